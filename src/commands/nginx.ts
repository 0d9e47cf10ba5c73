/** The proxy's control script: one verb, under the proxy's lock where it changes anything. */
import type { Proxy } from '../context.js';
import { ok } from '../event.js';
import type {
  CommandResult,
  ExitCode,
  Failure,
  NginxStatus,
  NginxVerb,
  Result,
  WorkerGeneration,
} from '../event.js';
import type { Session } from '../session.js';
import { refusal } from './outcome.js';

interface NginxOptions {
  readonly verb: NginxVerb;
  /** Answers what `stop` asks. */
  readonly yes: boolean;
}

export async function nginx(
  session: Pick<Session, 'confirm'>,
  proxy: Proxy,
  { verb, yes }: NginxOptions,
): Promise<CommandResult> {
  switch (verb) {
    case 'status':
      return status(proxy);
    case 'test': {
      const tested = await proxy.control.test();
      return tested.ok ? { command: 'nginx', verb, outcome: 'done', exit: 0 } : failed(verb, tested.failure);
    }
    case 'stop': {
      const asked = yes ? ok(undefined) : await confirmStop(session, proxy);
      return asked.ok ? locked(proxy, verb) : failed(verb, asked.failure);
    }
    default:
      return locked(proxy, verb);
  }
}

/** How a verb ends where it cannot be told which nginx is meant. */
export const refused = (verb: NginxVerb, failure: Failure): CommandResult =>
  verb === 'status' ? unknown(failure) : failed(verb, failure);

/** LSB's codes: 0 running, 1 dead with its pidfile, 3 stopped, 4 unknown, workers without a master, or told to quit. */
async function status({ control }: Proxy): Promise<CommandResult> {
  const seen = await control.status();
  if (!seen.ok) return unknown(seen.failure);
  const { state, config, orphans, pid, generations } = seen.value;
  const told = { command: 'nginx', verb: 'status', exit: LSB[state], nginx: seen.value } as const;
  const pidsOf = (all: readonly WorkerGeneration[] = []): readonly number[] =>
    all.flatMap(({ workers }) => workers.map(({ pid }) => pid));
  if (state === 'orphaned')
    return { ...told, failure: { reason: 'nginx-orphaned', config, pids: pidsOf(orphans) } };
  if (state !== 'stopping' || pid === null) return told;
  return { ...told, failure: { reason: 'nginx-stopping', config, pid, workers: pidsOf(generations) } };
}

const unknown = (failure: Failure): CommandResult => ({ command: 'nginx', verb: 'status', exit: 4, failure });

const LSB: Readonly<Record<NginxStatus['state'], ExitCode>> = {
  running: 0,
  // its pid and its pidfile are there, and nobody new is served: neither running nor stopped
  stopping: 4,
  dead: 1,
  stopped: 3,
  // it serves, and is not under anybody's control: neither of LSB's words is true
  orphaned: 4,
};

async function confirmStop(
  session: Pick<Session, 'confirm'>,
  { apps, control }: Proxy,
): Promise<Result<void>> {
  const seen = await control.status();
  if (!seen.ok) return seen;
  const pid = seen.value.pid ?? seen.value.orphans?.[0]?.workers[0]?.pid ?? null;
  return pid === null ? ok(undefined) : session.confirm({ kind: 'nginx-stop', pid, apps });
}

async function locked(proxy: Proxy, verb: Exclude<NginxVerb, 'status' | 'test'>): Promise<CommandResult> {
  const lock = await proxy.lock();
  if (!lock.ok) return failed(verb, lock.failure);
  try {
    const done = await act(proxy, verb);
    const seen = await proxy.control.status();
    const now = seen.ok ? { nginx: seen.value } : {};
    if (!done.ok) return { ...failed(verb, done.failure), ...now };
    return { command: 'nginx', verb, outcome: done.value ? 'done' : 'unchanged', exit: 0, ...now };
  } finally {
    lock.value.release();
  }
}

/** False: there was nothing to do. */
async function act(
  { control }: Proxy,
  verb: Exclude<NginxVerb, 'status' | 'test'>,
): Promise<Result<boolean>> {
  switch (verb) {
    case 'reload':
      return changed(await control.reload());
    case 'stop':
      return control.stop();
    case 'force-stop':
      return control.forceStop();
    case 'reopen-logs':
      return changed(await control.reopenLogs());
    case 'upgrade': {
      const left = await control.recoverUpgrade();
      return left.ok ? changed(await control.upgrade()) : left;
    }
  }
}

const changed = (done: Result<void>): Result<boolean> => (done.ok ? ok(true) : done);

/** The result of a verb that failed; without an outcome where something was done that is neither undone nor what was wanted. */
function failed(verb: NginxVerb, failure: Failure): CommandResult {
  const { outcome, ...rest } = refusal('nginx', failure);
  return { ...rest, verb, ...(outcome === undefined || ACTED.has(failure.reason) ? {} : { outcome }) };
}

const ACTED: ReadonlySet<Failure['reason']> = new Set<Failure['reason']>([
  'logs-not-reopened',
  'nginx-busy',
  // of a test it is the product, of a reload it says enough
  'nginx-config-broken',
  'nginx-test-timeout',
  'nginx-gone',
  'nginx-unstoppable',
  'reload-swallowed',
  'reload-unproven',
]);
