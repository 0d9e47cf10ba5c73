/**
 * A new binary under live traffic, as nginx provides for it: USR2 makes the master run its own argv[0] again with
 * the listening sockets handed down, so that no connection is ever refused; WINCH lets the old workers go, and
 * until the old master has got its QUIT the way back is open.
 *
 * nginx believes in signals; here each step is seen: the new master's workers wait on every socket of the old one,
 * a connection of ours is held by one of them, and the old ones have left.
 */
import { fail, ok } from '../event.js';
import type {
  Failure,
  Holder,
  Notice,
  ProcessId,
  Result,
  StopSignal,
  UpgradeStage,
  Warning,
} from '../event.js';
import type { UpgradeEnd } from '../drivers.js';
import { waitUntil } from '../system/clock.js';
import { run } from '../system/exec.js';
import { exists, removeFile } from '../system/files.js';
import type { Listener } from '../system/endpoints.js';
import { argv, commandName, isAlive, signalProcess } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { untrustedPart } from '../system/trust.js';
import { errorLogOf, loadTree, mainValue, pidfileOf, testCommand } from './config-tree.js';
import { createWaitingVoice, holdersOf, listenersOf } from './holders.js';
import { mannersOf, UNKNOWN } from './listens.js';
import type { Manner } from './listens.js';
import { pidIn } from './master.js';
import { heirsOf } from './masters.js';
import { absent, orphansOn } from './orphans.js';
import { quitting } from './quitting.js';
import { ANY_SIGNAL, SLEEPS, failureOf, logSince, logSize, look } from './reload.js';
import type { Reading, Running } from './running.js';
import type { Tree } from './tree.js';
import { addressesOf, createReadiness, spelled, tryAddresses } from './upgrade-proof.js';
import type { Tried } from './upgrade-proof.js';
import type { BegunUpgrade, UpgradeRecord } from './upgrade-record.js';
import { readWorkers } from './workers.js';

/** What `nginx <verb>` works with, beside the running nginx. */
export interface ControlTools {
  readonly fs: Procfs;
  readonly running: Running;
  readonly root: boolean;
  /** ms: `reload` for whatever a master does, `drain` for the workers' last requests, `stop` for a TERM. */
  readonly timeouts: { readonly reload: number; readonly drain: number; readonly stop: number };
  readonly record: (key: string) => UpgradeRecord;
  readonly tell: (notice: Notice) => void;
  readonly warn: (warning: Warning) => void;
  /** A wish to stop: waits end early, and what can be undone is. */
  readonly interruption: { readonly requested: StopSignal | null; readonly signal: AbortSignal };
}

/** One upgrade: who is at it, and what the old master had. */
interface Upgrade {
  readonly program: string;
  readonly old: ProcessId;
  readonly listeners: readonly Listener[];
  /** How many workers each side has to have. */
  readonly least: { readonly old: number; readonly new: number };
  readonly pidfile: string;
  readonly record: UpgradeRecord;
  /** How nginx is spoken to at its addresses. */
  readonly manners: (address: Listener['address']) => Manner;
  /** What the error log says since the upgrade began; `pid`: only what that master says. */
  readonly log: (pid: number | null) => string;
}

/** A new master, and the workers that it came with: who has lost one of them is not to be trusted with the rest. */
interface Young {
  readonly id: ProcessId;
  readonly crew: readonly ProcessId[];
}

export interface Upgrader {
  /**
   * Under nginx's lock. Before anything is done: `nginx-not-running`, `upgrade-pending`, `upgrade-impossible`,
   * `new-binary-rejects`, `unsafe-path`, `unobservable`, and what a reload refuses. `upgrade-failed` and `interrupted`: the
   * old binary serves as before. `stranded`: it could not be brought back, what is left serves.
   */
  upgrade(): Promise<Result<void>>;
  /** Under nginx's lock: ends what upgrade() left when it was killed. `stranded` when that cannot be. */
  recover(key: string): Promise<Result<UpgradeEnd>>;
}

export function createUpgrader(tools: ControlTools): Upgrader {
  const { fs, running, root, timeouts, tell, warn, interruption } = tools;
  const { signal } = interruption;

  async function upgrade(): Promise<Result<void>> {
    const read = await running.read();
    if (!read.ok) return read;
    const { nginx } = read.value;
    const { master } = nginx;
    if (master === null) return fail(await absent(fs, nginx));
    const leaves = quitting(fs, nginx);
    if (leaves !== null) return fail(leaves);
    const checked = await check(read.value, master);
    if (!checked.ok) return checked;
    const own = checked.value;
    const written = note(own, 'start');
    if (!written.ok) return written;

    send(own.old, 'SIGUSR2', 'old-nginx');
    const came = await arrival(own);
    if (!came.ok) return revert(own, { winched: false }, came.failure);
    const young = came.value;
    tell({ kind: 'nginx-master', pid: young.id.pid, workers: young.crew.length });
    const tried = await rehearse(own, young);
    if (!tried.ok) return revert(own, { winched: false }, tried.failure, young);
    if (interruption.requested !== null)
      return revert(own, { winched: false }, interrupted(interruption.requested));
    const noted = note(own, 'leave');
    if (!noted.ok) return revert(own, { winched: false }, noted.failure);
    const over = await handOver(own, young);
    if (!over.ok)
      return over.failure.reason === 'stranded' ? over : revert(own, { winched: true }, over.failure, young);
    await remember(read.value);
    return ok(undefined);
  }

  /** Everything that can be known before anything is done. */
  async function check(reading: Reading, old: ProcessId): Promise<Result<Upgrade>> {
    const { nginx, tree } = reading;
    const { program } = nginx;
    // ngx_signal_handler ignores USR2 while the master's parent is the one that it was started by
    if (mainValue(nginx, tree, 'daemon')?.[0] === 'off') {
      return fail({ reason: 'upgrade-impossible', why: 'daemon-off', program });
    }
    if (!exists(program)) return fail({ reason: 'upgrade-impossible', why: 'no-binary', program });
    const untrusted = root ? untrustedPart(program, 0) : null;
    if (untrusted !== null) return fail({ reason: 'unsafe-path', ...untrusted });
    const pending = await running.refuseUpgrade(reading);
    if (!pending.ok) return pending;
    const command = testCommand({ ...nginx, image: program }, '-t');
    const ran = await run(command, { cwd: nginx.cwd, timeout: timeouts.reload });
    if (ran.status !== 0) {
      const output = [ran.stderr.trim(), ran.failure ?? ''].filter(Boolean).join('\n');
      return fail({ reason: 'new-binary-rejects', program, output });
    }
    tell({ kind: 'nginx-tested', program });
    const observed = await running.observe(reading, null, 'unless-proven');
    if (!observed.ok) return observed;
    const { differing } = observed.value;
    if (differing.length > 0) warn({ reason: 'running-differs', files: differing });
    const listeners = listenersOf(fs, old);
    if (listeners === null) return unseen(old);
    const pidfile = await pidfileOf(nginx, tree);
    if (!pidfile.ok) return pidfile;
    const key = await running.shared.lockKey();
    if (!key.ok) return key;
    const wanted = mainValue(nginx, tree, 'worker_processes')?.[0] ?? '1';
    const errorLog = await errorLogOf(nginx, tree);
    const logged = errorLog === null ? 0 : logSize(errorLog);
    return ok({
      program,
      old,
      listeners,
      // `auto` counts the CPUs as nginx sees them, which may not be how we do
      least: {
        old: readWorkers(fs, old).serving.length,
        new: /^[1-9]\d*$/.test(wanted) ? Number(wanted) : 1,
      },
      pidfile: pidfile.value,
      record: tools.record(key.value),
      manners: manners(tree),
      log: (pid) => (errorLog === null ? '' : logSince(errorLog, logged, pid)),
    });
  }

  /** Waits for the new master: its workers up, on all of the old one's sockets, the two pidfiles right. */
  async function arrival(own: Upgrade): Promise<Result<Young>> {
    const { old, pidfile } = own;
    let at: UpgradeStage = 'start';
    let sleeps = 0;
    let young: { readonly id: ProcessId; readonly judge: () => UpgradeStage | null } | null = null;
    const waited = await waitUntil<Result<Young>>(
      () => {
        if (!isAlive(fs, old)) return fail({ reason: 'nginx-gone', pid: old.pid });
        const { masters, unborn } = heirsOf(fs, old);
        const [id] = masters;
        if (id !== undefined) {
          sleeps = 0;
          if (young?.id.pid !== id.pid) {
            young = {
              id,
              judge: createReadiness(fs, id, { listeners: own.listeners, least: own.least.new }),
            };
          }
          const lacks = young.judge();
          at = lacks ?? 'start';
          const named = pidIn(pidfile) === id.pid && pidIn(`${pidfile}.oldbin`) === old.pid;
          return lacks === null && named ? ok(crewOf(id)) : undefined;
        }
        // none: so it is until the old master has answered USR2, and again when the new one has failed and it has seen that
        if (unborn || look(fs, old, ANY_SIGNAL) !== 'idle' || exists(`${pidfile}.oldbin`)) sleeps = 0;
        else sleeps += 1;
        return sleeps < SLEEPS ? undefined : failed(own, 'start', 0);
      },
      { deadline: timeouts.reload, signal },
    );
    if (waited.kind === 'seen') return waited.value;
    return waited.kind === 'aborted'
      ? fail(interrupted(interruption.requested))
      : failed(own, at, timeouts.reload);
  }

  /** From WINCH to the end: the new workers alone serve, and are seen to. */
  async function handOver(own: Upgrade, young: Young): Promise<Result<void>> {
    const { old, listeners } = own;
    const ready = createReadiness(fs, young.id, { listeners, least: own.least.new });
    send(old, 'SIGWINCH', 'old-nginx');
    const retired = await watch(own, young, 'retire', timeouts.reload, () => {
      const { serving, untitled } = readWorkers(fs, old);
      return serving.length + untitled.length === 0 && look(fs, old, ANY_SIGNAL) === 'idle';
    });
    if (!retired.ok) return retired;
    const answers = await prove(own, young);
    if (!answers.ok) return answers;
    const voice = createWaitingVoice(tell);
    const holders = (): readonly Holder[] => holdersOf(fs, readWorkers(fs, old).retiring, old);
    const left = await watch(own, young, 'leave', timeouts.drain, () => {
      if (readWorkers(fs, old).retiring.length === 0) return true;
      voice(holders);
      return false;
    });
    if (!left.ok) return left;
    const still = await watch(own, young, 'listeners', timeouts.reload, () => ready() === null);
    if (!still.ok) return still;
    const again = await prove(own, young);
    if (!again.ok) return again;

    // the point of no return
    const noted = note(own, 'end');
    if (!noted.ok) return noted;
    send(old, 'SIGQUIT', 'old-nginx');
    const gone = await waitUntil(() => (isAlive(fs, old) ? undefined : true), { deadline: timeouts.reload });
    if (gone.kind !== 'seen')
      return stranded('the old nginx does not end', failure(own, 'quit', timeouts.reload));
    const swept = await dismissOrphans(own);
    if (!swept.ok) return swept;
    own.record.remove();
    return ok(undefined);
  }

  /**
   * Before the old workers are told to go: while both sides take requests a few of our own are sent, until one has come
   * to a new worker at every address, or chance did not will it. What such a worker dies of, half of the site is spared.
   */
  async function rehearse(own: Upgrade, young: Young): Promise<Result<void>> {
    let left = addressesOf(own.listeners);
    for (let round = 0; round < REHEARSALS && left.length > 0 && !signal.aborted; round += 1) {
      const tried = await tryAddresses(fs, young.id, left, {
        ...own,
        beside: own.old,
        patience: BRIEFLY,
        signal,
      });
      if (tried.died.length > 0 || hasLost(own, young)) return failed(own, 'crashed', 0);
      left = tried.passed;
    }
    return ok(undefined);
  }

  /** A request of ours at every address that can be reached, taken by a new worker that lives on. */
  async function prove(own: Upgrade, young: Young): Promise<Result<void>> {
    // UDP alone: there is nobody to connect to
    const all = addressesOf(own.listeners);
    if (all.length === 0) return ok(undefined);
    const waited = await waitUntil<Result<Tried>>(
      async () => {
        const tried = await tryAddresses(fs, young.id, all, { ...own, signal });
        if (tried.died.length > 0 || hasLost(own, young)) return failed(own, 'crashed', 0);
        return tried.taken.length > 0 && tried.silent.length === 0 ? ok(tried) : undefined;
      },
      { deadline: timeouts.reload, signal },
    );
    if (waited.kind === 'aborted') return fail(interrupted(interruption.requested));
    if (waited.kind === 'deadline') return failed(own, 'answers', timeouts.reload);
    if (!waited.value.ok) return waited.value;
    const [first, ...others] = waited.value.value.taken;
    if (first !== undefined) {
      tell({ kind: 'nginx-answers', address: spelled(first.address), pid: first.pid, more: others.length });
    }
    return ok(undefined);
  }

  const crewOf = (id: ProcessId): Young => ({ id, crew: readWorkers(fs, id).serving });

  /** Whether a new worker is gone. The master starts another at once, and says of the first that a signal ended it. */
  const hasLost = ({ log }: Upgrade, { id, crew }: Young): boolean =>
    crew.some((worker) => !isAlive(fs, worker)) || /worker process \d+ exited on signal/.test(log(id.pid));

  /** Waits for `done` while both masters live. */
  async function watch(
    own: Upgrade,
    { id, crew }: Young,
    at: UpgradeStage,
    deadline: number,
    done: () => boolean,
  ): Promise<Result<void>> {
    const waited = await waitUntil<Result<void>>(
      () => {
        if (!isAlive(fs, own.old)) return fail({ reason: 'nginx-gone', pid: own.old.pid });
        if (!isAlive(fs, id)) return failed(own, 'died', 0);
        if (crew.some((worker) => !isAlive(fs, worker))) return failed(own, 'crashed', 0);
        return done() ? ok(undefined) : undefined;
      },
      { deadline, signal },
    );
    if (waited.kind === 'seen') return waited.value;
    return waited.kind === 'aborted' ? fail(interrupted(interruption.requested)) : failed(own, at, deadline);
  }

  /** Goes back because of `cause`, which it gives; `stranded` where that did not go well. */
  async function revert(
    own: Upgrade,
    how: { readonly winched: boolean },
    cause: Failure,
    young?: Young,
  ): Promise<Result<never>> {
    const undone = await back(own, how, cause);
    if (!undone.ok) return undone;
    if (cause.reason !== 'upgrade-failed') return fail(cause);
    // of a worker's death its master has told by now
    const by = cause.at === 'crashed' ? (young?.id.pid ?? null) : null;
    return fail({ ...cause, log: own.log(by) });
  }

  /**
   * The way back: the old workers first, and only when they wait for connections the new ones are told to go.
   * `stranded` where the old side does not come back: then the new one goes on.
   */
  async function back(
    own: Upgrade,
    { winched }: { winched: boolean },
    cause: Failure | null,
  ): Promise<Result<void>> {
    const { old, listeners, pidfile, record } = own;
    tell({ kind: 'nginx-goes-back', to: old.pid });
    if (!isAlive(fs, old)) {
      return stranded('the old nginx is gone, and the new one serves', cause);
    }
    note(own, 'back');
    await endStillborn(own);
    // a new binary may be on its way at this very moment
    const settled = await waitUntil(
      () => (heirsOf(fs, old).unborn || look(fs, old, ANY_SIGNAL) === 'busy' ? undefined : true),
      { deadline: timeouts.reload },
    );
    if (settled.kind !== 'seen') {
      const { untitled } = heirsOf(fs, old);
      return stranded(
        untitled.length > 0
          ? `what was to become the new nginx neither comes up nor ends: ${untitled.map(named).join(', ')}`
          : 'the old nginx does not answer',
        cause,
      );
    }
    const [young] = heirsOf(fs, old).masters;
    // beside a new binary HUP reads nothing anew: it starts workers and no more. Without one nginx does so by itself
    if (winched && young !== undefined) send(old, 'SIGHUP', 'old-nginx');
    const ready = createReadiness(fs, old, { listeners, least: own.least.old });
    const served = await waitUntil(() => (ready() === null ? true : undefined), {
      deadline: timeouts.reload,
    });
    if (served.kind !== 'seen') return stranded('the old nginx does not take up its work again', cause);
    const left = await dismiss(own, young ?? null);
    if (!left.ok) return stranded('the new nginx still has requests', left.failure);
    const restored = await waitUntil(
      () => (pidIn(pidfile) === old.pid && !exists(`${pidfile}.oldbin`) ? true : undefined),
      { deadline: timeouts.reload },
    );
    if (restored.kind !== 'seen') return stranded(`${pidfile} does not name the nginx that runs`, cause);
    record.remove();
    return ok(undefined);
  }

  const named = ({ pid }: ProcessId): string => `pid ${String(pid)} (${commandName(fs, pid) ?? '?'})`;

  /** Lets a new master go, with the workers it has, and those whose master died. */
  async function dismiss(own: Upgrade, young: ProcessId | null): Promise<Result<void>> {
    const voice = createWaitingVoice(tell);
    const people = young === null ? [] : [young, ...allWorkers(young)];
    if (young !== null) {
      send(young, 'SIGQUIT', 'new-nginx');
      let idle = 0;
      const gone = await waitUntil(
        () => {
          if (people.every((id) => !isAlive(fs, id))) return true;
          // a master ends when it sees its last worker end (ngx_master_process_cycle): one that never had any does not
          const alone = allWorkers(young).length === 0 && look(fs, young, ANY_SIGNAL) === 'idle';
          idle = alone ? idle + 1 : 0;
          if (idle === ABANDONED) send(young, 'SIGKILL', 'new-nginx');
          voice(() =>
            holdersOf(
              fs,
              people.filter((id) => isAlive(fs, id) && id !== young),
              young,
            ),
          );
          return undefined;
        },
        { deadline: timeouts.drain },
      );
      const left = people.filter((id) => isAlive(fs, id));
      if (gone.kind !== 'seen' && isAlive(fs, young)) {
        return fail({ reason: 'nginx-busy', ms: timeouts.drain, holders: holdersOf(fs, left, young) });
      }
    }
    return dismissOrphans(own);
  }

  const allWorkers = (master: ProcessId): readonly ProcessId[] => {
    const { serving, retiring, untitled } = readWorkers(fs, master);
    return [...serving, ...retiring, ...untitled];
  };

  /** Workers go on serving when their master is killed; nobody would ever tell them to go. */
  async function dismissOrphans({ listeners, old }: Upgrade): Promise<Result<void>> {
    const orphans = orphansOn(fs, listeners);
    if (orphans.length === 0) return ok(undefined);
    for (const id of orphans) signalProcess(fs, id, 'SIGQUIT');
    tell({ kind: 'signal', signal: 'SIGQUIT', to: 'nginx-workers', pids: orphans.map(({ pid }) => pid) });
    const left = (): readonly ProcessId[] => orphans.filter((id) => isAlive(fs, id));
    const gone = await waitUntil(() => (left().length === 0 ? true : undefined), {
      deadline: timeouts.drain,
    });
    if (gone.kind === 'seen') return ok(undefined);
    return fail({ reason: 'nginx-busy', ms: timeouts.drain, holders: holdersOf(fs, left(), old) });
  }

  async function recover(key: string): Promise<Result<UpgradeEnd>> {
    const record = tools.record(key);
    const begun = record.read();
    if (begun === null) return ok('none');
    const { old } = begun;
    tell({ kind: 'upgrade-found', old: old.pid });
    const found = await running.locate();
    if (!found.ok) return found;
    const { master } = found.value;
    const holder = isAlive(fs, old) ? old : master;
    const listeners = holder === null ? [] : listenersOf(fs, holder);
    if (listeners === null) return unseen(holder ?? old);
    const tree = loadTree(found.value);
    const own: Upgrade = {
      program: begun.program,
      old,
      listeners,
      least: { old: begun.workers, new: 1 },
      pidfile: begun.pidfile,
      record,
      manners: manners(tree.ok ? tree.value : null),
      log: () => '',
    };
    if (!isAlive(fs, old)) {
      // with both masters killed their workers serve on, and to end them would end the site
      const gone = master === null ? await absent(fs, found.value) : null;
      if (gone?.reason === 'nginx-orphaned') return fail(gone);
      const swept = await dismissOrphans(own);
      if (!swept.ok) return swept;
      const left = `${begun.pidfile}.oldbin`;
      if (pidIn(left) === old.pid) removeFile(left);
      record.remove();
      return ok(master === null ? 'undone' : 'finished');
    }
    const seen = look(fs, old);
    const blind = seen === 'foreign' || seen === 'unreadable' ? failureOf(seen, old) : null;
    if (blind !== null) return fail(blind);
    const [young] = heirsOf(fs, old).masters;
    const onward = young !== undefined && (begun.stage === 'leave' || begun.stage === 'end');
    if (onward) {
      const over = await handOver(own, crewOf(young));
      if (over.ok) return ok('finished');
      if (over.failure.reason === 'stranded') return over;
      const returned = await back(own, { winched: true }, over.failure);
      return returned.ok ? ok('undone') : returned;
    }
    // on the way back a HUP may have been sent or not: it was, if there are workers
    const winched = begun.stage !== 'start' && readWorkers(fs, old).serving.length === 0;
    const returned = await back(own, { winched }, null);
    return returned.ok ? ok('undone') : returned;
  }

  /** A new binary that neither came up nor ended: it runs because of us, and holds nobody's requests. */
  async function endStillborn({ old, program }: Upgrade): Promise<void> {
    const ours = (): readonly ProcessId[] =>
      heirsOf(fs, old).untitled.filter(({ pid }) => argv(fs, pid).includes(program));
    for (const name of ['SIGTERM', 'SIGKILL'] as const) {
      // one that is about to come up does so in this time
      const none = await waitUntil(() => (ours().length === 0 ? true : undefined), {
        deadline: timeouts.stop,
      });
      if (none.kind === 'seen') return;
      for (const id of ours()) send(id, name, 'new-nginx');
    }
  }

  const note = (
    { old, program, pidfile, least, record }: Upgrade,
    stage: BegunUpgrade['stage'],
  ): Result<void> => record.write({ old, program, pidfile, workers: least.old, stage });

  /** What the next deploy compares with: the new workers have read what is on the disk, unless it changed meanwhile. */
  async function remember(reading: Reading): Promise<void> {
    const now = await running.read();
    if (!now.ok || now.value.hash !== reading.hash || now.value.nginx.master === null) return;
    running.prove(reading, readWorkers(fs, now.value.nginx.master).serving);
  }

  function send(to: ProcessId, name: NodeJS.Signals, who: 'old-nginx' | 'new-nginx'): void {
    if (signalProcess(fs, to, name)) tell({ kind: 'signal', signal: name, to: who, pids: [to.pid] });
  }

  function failure(own: Upgrade, at: UpgradeStage, ms: number): Failure {
    const holders = at === 'leave' ? holdersOf(fs, readWorkers(fs, own.old).retiring, own.old) : [];
    return { reason: 'upgrade-failed', program: own.program, at, ms, holders, log: own.log(null) };
  }
  const failed = (own: Upgrade, at: UpgradeStage, ms: number): Result<never> => fail(failure(own, at, ms));

  return { upgrade, recover };
}

function manners(tree: Tree | null): Upgrade['manners'] {
  const known = tree === null ? null : mannersOf(tree);
  return (address) => known?.(address) ?? UNKNOWN;
}

/** So many times over is enough for chance: an idle host's kernel wakes the same few workers. */
const REHEARSALS = 10;
/** ms that a connection of these waits for a worker. */
const BRIEFLY = 250;

/** Looks in a row at a master without workers that sleeps with no signal pending. */
const ABANDONED = 4 * SLEEPS;

const stranded = (detail: string, cause: Failure | null): Result<never> =>
  fail({ reason: 'stranded', detail, cause, of: 'nginx-upgrade' });

const unseen = ({ pid }: ProcessId): Result<never> =>
  fail({ reason: 'unobservable', what: 'nginx', detail: `/proc/${String(pid)}/fd` });

const interrupted = (signal: StopSignal | null): Failure => ({
  reason: 'interrupted',
  signal: signal ?? 'SIGTERM',
  during: 'nginx-upgrade',
});
