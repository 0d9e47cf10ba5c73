/** The ends of nginx: one that waits for every request, one that waits for none. */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { removeDeadSocket } from '../system/dead-socket.js';
import { errorCode, removeFile } from '../system/files.js';
import type { Listener } from '../system/endpoints.js';
import { identify, isAlive, readStat, signalProcess, title } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { socketsAt } from '../system/sockets.js';
import { createWaitingVoice, holdersOf, listenersOf } from './holders.js';
import { pidIn } from './master.js';
import { heirsOf, parentMaster } from './masters.js';
import type { Orphans } from './orphans.js';
import { failureOf, look } from './reload.js';
import { MASTER_TITLE } from './title.js';
import type { ControlTools } from './upgrade.js';
import { steadyChildren } from './workers.js';

/** Who is to end. */
export interface Party {
  /** Null: only orphans are left. */
  readonly master: ProcessId | null;
  readonly orphans: Orphans;
  readonly pidfile: string | null;
}

/**
 * QUIT: the workers finish what they have. Done when all are gone. After the deadline `nginx-busy` with those that
 * still hold something; nothing is killed, and they go on finishing. `interrupted`: so it is, too.
 */
export async function stop(tools: ControlTools, party: Party): Promise<Result<void>> {
  const { fs, timeouts, tell, interruption } = tools;
  const { master, orphans } = party;
  const masters = master === null ? [] : [master];
  const crew = createCrew(tools, masters, orphans.all);
  const listeners = listenersOfParty(fs, party);
  const blind = master === null ? null : failureOf(look(fs, master), master);
  if (blind !== null) return fail(blind);
  if (master !== null && signalProcess(fs, master, 'SIGQUIT')) {
    tell({ kind: 'signal', signal: 'SIGQUIT', to: 'nginx', pids: [master.pid] });
  }
  const told = orphans.all.filter((id) => signalProcess(fs, id, 'SIGQUIT'));
  if (told.length > 0) {
    tell({ kind: 'signal', signal: 'SIGQUIT', to: 'nginx-workers', pids: told.map(({ pid }) => pid) });
  }
  const voice = createWaitingVoice(tell);
  const holders = (): ReturnType<typeof holdersOf> => holdersOf(fs, crew.workers(), master, listeners);
  const gone = await waitUntil(
    () => {
      if (crew.left().length === 0) return true;
      voice(holders);
      return undefined;
    },
    { deadline: timeouts.drain, signal: interruption.signal },
  );
  if (gone.kind === 'seen') {
    // a master takes its files away itself
    if (master === null) await sweep(fs, party.pidfile, listeners);
    return ok(undefined);
  }
  if (gone.kind === 'aborted') {
    return fail({
      reason: 'interrupted',
      signal: interruption.requested ?? 'SIGTERM',
      during: 'nginx-stop',
    });
  }
  return fail({ reason: 'nginx-busy', ms: timeouts.drain, holders: holders() });
}

/**
 * TERM, and after `stop` ms KILL to the master and every worker that was seen, each confirmed; both masters where an
 * upgrade is pending. What a killed nginx leaves, a pidfile and socket files that would keep the next from
 * starting, is removed. `nginx-unstoppable`: some outlive a KILL, or may not be signalled.
 */
export async function forceStop(tools: ControlTools, party: Party): Promise<Result<void>> {
  const { fs, timeouts, tell } = tools;
  const { master, orphans } = party;
  const older = master === null ? null : parentMaster(fs, master);
  // the old one first: it would start workers again when the new one ends
  const masters =
    master === null ? [] : [...(older === null ? [] : [older]), master, ...heirsOf(fs, master).masters];
  const crew = createCrew(tools, masters, orphans.all);
  const listeners = listenersOfParty(fs, party);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    // a master passes a TERM on
    const receivers =
      signal === 'SIGTERM' ? [...masters, ...orphans.all].filter((id) => isAlive(fs, id)) : crew.left();
    const sent = send(receivers, signal);
    if (sent !== null) return stuck(sent);
    const to = master === null ? 'nginx-workers' : 'nginx';
    tell({ kind: 'signal', signal, to, pids: receivers.map(({ pid }) => pid) });
    const gone = await waitUntil(() => (crew.left().length === 0 ? true : undefined), {
      deadline: timeouts.stop,
    });
    if (gone.kind === 'seen') break;
  }
  const left = crew.left();
  if (left.length > 0) {
    return stuck(
      left.map(({ pid }) => `${String(pid)}: state ${readStat(fs, pid)?.state ?? '?'}`).join(', '),
    );
  }
  await sweep(fs, party.pidfile, listeners);
  return ok(undefined);

  function send(ids: readonly ProcessId[], signal: NodeJS.Signals): string | null {
    try {
      for (const id of ids) signalProcess(fs, id, signal);
      return null;
    } catch (error) {
      return errorCode(error);
    }
  }

  function stuck(detail: string): Result<never> {
    return fail({ reason: 'nginx-unstoppable', pids: crew.left().map(({ pid }) => pid), detail });
  }
}

const listenersOfParty = (fs: Procfs, { master, orphans }: Party): readonly Listener[] => [
  ...(master === null ? [] : (listenersOf(fs, master) ?? [])),
  ...orphans.listeners,
];

/** What those leave that could not take it away themselves; all of them are gone. */
async function sweep(fs: Procfs, pidfile: string | null, listeners: readonly Listener[]): Promise<void> {
  for (const path of pidfile === null ? [] : [pidfile, `${pidfile}.oldbin`]) {
    const pid = pidIn(path);
    if (pid !== null && !title(fs, pid).startsWith(MASTER_TITLE)) removeFile(path);
  }
  for (const { address } of listeners) {
    // a relative name counts from a folder that nobody knows any more
    if (address.kind !== 'unix' || !address.path.startsWith('/')) continue;
    if (socketsAt(fs, address).listeners.length === 0) await removeDeadSocket(address.path);
  }
}

/** Everyone who belongs to the masters, those included that have lost them before or since. */
function createCrew(
  { fs }: ControlTools,
  masters: readonly ProcessId[],
  orphans: readonly ProcessId[],
): { readonly left: () => readonly ProcessId[]; readonly workers: () => readonly ProcessId[] } {
  const known = new Map(orphans.map((id) => [keyOf(id), id]));
  const record = (): void => {
    for (const master of masters.filter((id) => isAlive(fs, id))) {
      for (const pid of steadyChildren(fs, master.pid)) {
        const id = identify(fs, pid);
        if (id !== null && !masters.some((each) => each.pid === pid)) known.set(keyOf(id), id);
      }
    }
  };
  const children = (): readonly ProcessId[] => {
    record();
    return [...known.values()].filter((id) => isAlive(fs, id));
  };
  record();
  return {
    left: () => [...masters.filter((id) => isAlive(fs, id)), ...children()],
    workers: children,
  };
}

const keyOf = ({ pid, start }: ProcessId): string => `${String(pid)}:${String(start)}`;
