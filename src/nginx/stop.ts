/** The ends of nginx: one that waits for every request, one that waits for none. */
import { fail, ok } from '../event.js';
import type { ProcessId, Result } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { removeDeadSocket } from '../system/dead-socket.js';
import { errorCode, removeFile } from '../system/files.js';
import { identify, isAlive, readStat, signalProcess } from '../system/proc.js';
import { socketsAt } from '../system/sockets.js';
import { createWaitingVoice, holdersOf, listenersOf } from './holders.js';
import { pidIn } from './master.js';
import { heirsOf, parentMaster } from './masters.js';
import { failureOf, look } from './reload.js';
import type { ControlTools } from './upgrade.js';
import { steadyChildren } from './workers.js';

/**
 * QUIT: the workers finish what they have. Done when all are gone. After the deadline `nginx-busy` with those that
 * still hold something; nothing is killed, and they go on finishing. `interrupted`: so it is, too.
 */
export async function stop(tools: ControlTools, master: ProcessId): Promise<Result<void>> {
  const { fs, timeouts, tell, interruption } = tools;
  const crew = createCrew(tools, [master]);
  const listeners = listenersOf(fs, master) ?? [];
  const blind = failureOf(look(fs, master), master);
  if (blind !== null) return fail(blind);
  if (signalProcess(fs, master, 'SIGQUIT')) {
    tell({ kind: 'signal', signal: 'SIGQUIT', to: 'nginx', pids: [master.pid] });
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
  if (gone.kind === 'seen') return ok(undefined);
  if (gone.kind === 'aborted')
    return fail({ reason: 'interrupted', signal: interruption.requested ?? 'SIGTERM' });
  return fail({ reason: 'nginx-busy', ms: timeouts.drain, holders: holders() });
}

/**
 * TERM, and after `stop` ms KILL to the master and every worker that was seen, each confirmed; both masters where an
 * upgrade is pending. What a killed nginx leaves, a pidfile and socket files that would keep the next from
 * starting, is removed. `nginx-unstoppable`: some outlive a KILL, or may not be signalled.
 */
export async function forceStop(
  tools: ControlTools,
  { master, pidfile }: { readonly master: ProcessId; readonly pidfile: string | null },
): Promise<Result<void>> {
  const { fs, timeouts, tell } = tools;
  const older = parentMaster(fs, master);
  // the old one first: it would start workers again when the new one ends
  const masters = [...(older === null ? [] : [older]), master, ...heirsOf(fs, master).masters];
  const crew = createCrew(tools, masters);
  const listeners = listenersOf(fs, master) ?? [];
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const receivers = signal === 'SIGTERM' ? masters.filter((id) => isAlive(fs, id)) : crew.left();
    const sent = send(receivers, signal);
    if (sent !== null) return stuck(sent);
    tell({ kind: 'signal', signal, to: 'nginx', pids: receivers.map(({ pid }) => pid) });
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
  await sweep();
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

  async function sweep(): Promise<void> {
    for (const path of pidfile === null ? [] : [pidfile, `${pidfile}.oldbin`]) {
      const pid = pidIn(path);
      if (masters.some((id) => id.pid === pid)) removeFile(path);
    }
    for (const { address } of listeners) {
      // a relative name counts from a folder that nobody knows any more
      if (address.kind !== 'unix' || !address.path.startsWith('/')) continue;
      if (socketsAt(fs, address).listeners.length === 0) await removeDeadSocket(address.path);
    }
  }
}

/** Everyone who belongs to the masters, those included that have lost them since. */
function createCrew(
  { fs }: ControlTools,
  masters: readonly ProcessId[],
): { readonly left: () => readonly ProcessId[]; readonly workers: () => readonly ProcessId[] } {
  const known = new Map<string, ProcessId>();
  const record = (): void => {
    for (const master of masters.filter((id) => isAlive(fs, id))) {
      for (const pid of steadyChildren(fs, master.pid)) {
        const id = identify(fs, pid);
        if (id !== null && !masters.some((each) => each.pid === pid))
          known.set(`${String(pid)}:${String(id.start)}`, id);
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
