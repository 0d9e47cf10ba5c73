/** From a decision to a journal: the last thing that can refuse, and from then on everything is written down. */
import type { Drivers, OlderWorker, PoolLife } from '../drivers.js';
import { ok } from '../event.js';
import type { Emit, ProcessId, Result } from '../event.js';
import { timestamp } from '../system/clock.js';
import type { Deploy, Interruption, Superseded } from './deploy.js';
import type { Journal, JournalStore } from './journal.js';
import type { Situation, Steps } from './plan.js';
import { durations } from './state.js';
import type { DeployState, Opened } from './state.js';

/** What a deploy needs of the app it is for. */
export interface Host {
  readonly name: string;
  readonly store: JournalStore;
  readonly drivers: Drivers;
  readonly emit: Emit;
  readonly interruption: Interruption;
  readonly who: string;
  readonly runner: ProcessId;
  /** From now on events belong to this deploy. */
  enter(deploy: string): void;
}

export interface Begin {
  readonly command: Opened['command'];
  readonly decision: Steps;
  readonly situation: Situation;
  readonly fingerprint: string | null;
}

/** Opens the journal, with room for all of it; nothing has been touched when this fails. */
export function newDeploy(host: Host, { command, decision, situation, fingerprint }: Begin): Result<Deploy> {
  const { from, to, steps, leaving, arriving, supersedes } = decision;
  const opened: Opened = {
    type: 'opened',
    schema: 1,
    time: timestamp(),
    deploy: host.store.nextId(),
    app: host.name,
    command,
    who: host.who,
    runner: host.runner,
    from,
    to,
    switch: host.drivers.proxy.kind,
    steps,
    leaving,
    arriving,
    supersedes,
    fingerprint,
    proof: situation.proxy.proof,
    ...(situation.proxy.differing.length > 0 ? { behind: true } : {}),
  };
  const journal = host.store.begin(opened);
  if (!journal.ok) return journal;
  host.enter(opened.deploy);
  const clear = decision.clear === null ? null : { life: decision.clear, older: situation.proxy.older };
  return ok(deployOf(host, journal.value, clear, false));
}

/** Takes up a deploy that broke off, as its journal says it stood. */
export function takeUp(host: Host, state: DeployState, cutNow: boolean): Result<Deploy> {
  const journal = host.store.resume(state.opened.deploy);
  if (!journal.ok) return journal;
  host.enter(state.opened.deploy);
  return ok(deployOf(host, journal.value, null, cutNow));
}

function deployOf(
  host: Host,
  journal: Journal,
  clear: { readonly life: PoolLife; readonly older: readonly OlderWorker[] } | null,
  cutNow: boolean,
): Deploy {
  const state = journal.state();
  if (state.phase === 'closed') throw new Error(`${state.opened.deploy} is closed`);
  const { opened, arriving, switched, unswitched, drained, cutting, cut, ms } = state;
  // no record of its end: we were killed, or the disk failed
  const unseen = state.phase !== 'planned' && arriving === null && opened.steps.includes('start');
  return {
    opened,
    drivers: host.drivers,
    journal,
    emit: host.emit,
    interruption: host.interruption,
    cutNow,
    leaving: opened.leaving,
    arriving,
    clear,
    unseenStart: unseen ? Date.parse(state.since) : null,
    switched,
    unswitched,
    unanswered: 0,
    drained,
    cutting,
    cut,
    ms: { ...ms },
    superseded: opened.supersedes === null ? null : supersededBy(host.store, opened.supersedes),
  };
}

function supersededBy(store: JournalStore, id: string): Superseded {
  const append = (write: (journal: Journal) => void): void => {
    const journal = store.resume(id);
    if (!journal.ok || journal.value.state().phase === 'closed') return;
    write(journal.value);
    journal.value.leave();
  };
  return {
    finish: () => {
      append((journal) => {
        const state = journal.state();
        const time = timestamp();
        journal.write({
          type: 'closed',
          time,
          outcome: 'done',
          reason: null,
          ms: state.phase === 'closed' ? {} : durations(state.opened, state.ms, time),
          cut: state.phase === 'closed' ? 0 : state.cut,
          proof: null,
        });
      });
    },
    handBack: (older) => {
      append((journal) => {
        journal.write({ type: 'older', time: timestamp(), older });
      });
    },
  };
}
