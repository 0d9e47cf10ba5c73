/**
 * The sockets in the wall: what a deploy needs of a pool, of a proxy and of a
 * probe, and nothing of how they do it. Types only. deploy/ imports this file
 * and no driver; context.ts plugs the drivers in.
 */
import type {
  Connections,
  FileChange,
  NginxStatus,
  OtherPool,
  PidfileState,
  Place,
  ProcessId,
  ProxyStatus,
  Result,
  Slot,
  SlotState,
  Suspect,
  SwitchKind,
  Warning,
  WrongAnswer,
} from './event.js';
import type { Lock } from './system/lock.js';
import type { User } from './system/user.js';

// ---------------------------------------------------------------- the pool

/** One life of a pool: who to watch, and the only processes that may ever be signalled. */
export interface PoolLife {
  /** null: orphaned, its workers serve without a master; or a server that has none. */
  readonly master: ProcessId | null;
  readonly workers: readonly ProcessId[];
  /** Inodes of the sockets it listens on: they outlive its master, and no other life ever has them. */
  readonly sockets?: readonly number[];
}

/** Everything a slot is at one moment, as the kernel and the file system say. */
export interface SlotView {
  readonly slot: Slot;
  readonly state: Exclude<SlotState, 'draining'>;
  /** As a proxy names it: `unix:/run/shop-blue.sock` or `127.0.0.1:9001`. */
  readonly address: string;
  /** Set when `running` or `orphaned`. */
  readonly life: PoolLife | null;
  readonly connections: Connections;
  /** Workers that are at work, and those blocked waiting for a connection. */
  readonly working: number;
  readonly idle: number;
  readonly pidfile: PidfileState;
  /** Set when its pidfile names a living master of another configuration: a start would overwrite that one's file. */
  readonly rival?: { readonly path: string; readonly suspect: Suspect };
  /** Set when `foreign` and the holder could be found. */
  readonly holder: Suspect | null;
  /** Set when `foreign` because several pools of the slot have bound its address. */
  readonly lives?: readonly Suspect[];
  /** The listener lives, but its socket's name was taken away (retired). */
  readonly retired: boolean;
  /** The listener lives, but somebody removed or replaced its socket file: nobody can connect to it ever again. */
  readonly lost: boolean;
  /** What is odd about the slot but stops nothing: a stale pidfile, a dead socket file. */
  readonly warnings: readonly Warning[];
}

/**
 * What a pool is in the middle of. `leaving`: its master told its workers to end, to stop or to run
 * itself anew. `starting`: it has not come up yet.
 */
export type Transition = 'leaving' | 'starting';

/** One cheap look during a drain. */
export interface PoolLoad {
  readonly connections: Connections;
  readonly working: number;
  /**
   * An upper bound of the requests that a signal now would end: whatever is queued, whatever is accepted, and
   * each worker at work that holds none of those connections (its answer is out, its script goes on).
   */
  readonly requests: number;
  /** False once every process of the life is gone. */
  readonly alive: boolean;
}

/**
 * What the pool itself says of the requests it got. Every number only grows
 * while the pool lives.
 */
export interface PoolActivity {
  /** Connections accepted since its start without our own question; null when the pool keeps no count, or is `full`. */
  readonly accepted: number | null;
  /** It keeps a count, and no worker was free to be asked for it. */
  readonly full?: true;
  /**
   * How often the pool's workers were given the CPU (context switches), summed:
   * an idle worker is blocked in accept() and is not woken, so growth means a
   * request. Null when /proc does not tell.
   */
  readonly switches: number | null;
  /** How many workers waited for a request at the slot's own address before it was asked: where any did, nothing was queued. */
  readonly idle: number;
  /** The request URIs (with query) its workers handle or handled last; empty when the pool does not tell. */
  readonly uris: readonly string[];
}

export interface Stopped {
  /** The strongest signal that was needed. */
  readonly signal: 'SIGQUIT' | 'SIGTERM' | 'SIGKILL' | null;
}

export interface PoolDriver {
  /** As a proxy names it, per slot. */
  address(slot: Slot): string;

  /**
   * Looks; changes nothing. Fails with `unobservable` when the kernel does not let us look, with `slot-alive` where
   * the slot's master lives and listens elsewhere: whatever is done about it by its configuration misses it.
   */
  observe(slot: Slot): Result<SlotView>;

  /** observe() of both slots, as they are at one moment. */
  observeBoth(): Readonly<Record<Slot, Result<SlotView>>>;

  /**
   * Whether the very pool that was started or observed stands as it stood then: its master lives and has all of its
   * sockets, and the file at the slot's address is still theirs. Cheap on a host of any size. False: it does not, or
   * observe() has to say.
   */
  stands(slot: Slot, life: PoolLife): boolean;

  /** Whether anybody of a life is left. */
  isAlive(slot: Slot, life: PoolLife): Result<boolean>;

  /**
   * Whether `user` could connect to the slot's address, as its file's name and modes say; nothing is connected, so
   * that no worker is woken. Null: it could, or it cannot be told (the caller may not look, TCP).
   */
  reach(slot: Slot, user: User | null): WrongAnswer | null;

  /**
   * What the pool's sockets show by themselves. Who holds no connection may work on. `held`: the accepted ones, each by a
   * number of its own.
   */
  connections(slot: Slot): Result<{ readonly held: readonly number[]; readonly queued: number }>;

  /**
   * Whether more than so many of those who were at work when load() looked last still are: enough to know that the
   * pool is not idle, and next to nothing on a host of any size. False: they are not, or load() has to say.
   */
  works(slot: Slot, more: number): boolean;

  /** The drain's look: cheap, exact, for the life that was recorded. */
  load(slot: Slot, life: PoolLife): Result<PoolLoad>;

  /**
   * Starts the pool so that it outlives us and inherits nothing, and waits until its
   * master is identified and holds the listening socket. Refuses (`slot-alive`,
   * `slot-foreign`, `pidfile-refused`) while it could meet another life of this slot. A failed
   * start leaves nothing of its own behind.
   */
  start(slot: Slot): Promise<Result<PoolLife>>;

  /**
   * For a start whose end nobody saw (we were killed): waits until no start of this slot
   * can still be under way, then looks. `since`: when the start began, ms since the epoch.
   * What its manager begins again and again comes to no end by itself: halt(). Fails with
   * `start-timeout` while a start goes on.
   */
  settle(slot: Slot, since: number): Promise<Result<SlotView>>;

  /** Takes the socket's name away, so that nobody can connect; idempotent. TCP: nothing to take. */
  retire(slot: Slot): Result<void>;
  /** Gives it back; idempotent. */
  unretire(slot: Slot): Result<void>;

  /**
   * QUIT, then TERM, then KILL to the very processes of `life`, each bounded by
   * `stop.timeout`, each confirmed by identity right before its signal. Done when all are gone.
   * `patient`: QUIT has patience(), for a pool that may still serve. `force`: begins with TERM.
   */
  stop(
    slot: Slot,
    life: PoolLife,
    told: (warning: Warning) => void,
    how?: 'patient' | 'force',
  ): Promise<Result<Stopped>>;

  /**
   * How long what the pool serves is given to end, ms: `stop.timeout`, and never less than its own
   * master gives it after a QUIT.
   */
  patience(slot: Slot): number;

  /**
   * How long its master, as it runs, lets requests end when it reloads, ms; 0: not at all. Null: its configuration has
   * changed, and what it began with cannot be told.
   */
  grace(slot: Slot): number | null;

  /** What it is in the middle of now; null: nothing. */
  transition(slot: Slot): Result<Transition | null>;

  /**
   * Waits until it is in the middle of nothing, as long as that can rightly take, then looks.
   * `doing`: what it still is at when that time is over.
   */
  steady(slot: Slot): Promise<Result<{ readonly view: SlotView; readonly doing: Transition | null }>>;

  /** Whether a pool of its kind can be told such a thing at all: `pool-unable`. */
  able(slot: Slot, verb: 'reload' | 'reopen-logs'): Result<void>;

  /**
   * Whether the pool would take its configuration as it is on disk: asked of it, nothing is touched; a kind that
   * cannot be asked takes what there is. `pool-config-invalid`.
   */
  test(slot: Slot): Promise<Result<void>>;

  /**
   * Lets the master run itself anew, and waits until it has: another run of its program, the very same
   * sockets, none of the old workers. A reload that is under way is joined, and told (`reload-joined`).
   * `pool-died`, `pool-reload-unproven`, `signal-refused`.
   */
  reload(slot: Slot, life: PoolLife, told: (warning: Warning) => void): Promise<Result<PoolLife>>;

  /**
   * Lets the master open its logs by their names again, and waits until it, and the workers that take
   * requests, have them open. Gives back the files; none when its logs are no files.
   * `pool-died`, `pool-logs-not-reopened`, `signal-refused`.
   */
  reopenLogs(slot: Slot, life: PoolLife): Promise<Result<readonly string[]>>;

  /**
   * Removes the files that a gone life left: retired name, dead socket, stale pidfile. Never a living one's:
   * `slot-foreign` where somebody answers whom the kernel's tables do not show.
   */
  sweep(slot: Slot): Promise<Result<void>>;

  /** Whether its manager has something to go on with, as a unit that is started again and again. */
  isKept(slot: Slot): Promise<Result<boolean>>;

  /**
   * For a slot in which nobody lives: ends what its manager goes on with. `slot-foreign` where somebody answers all
   * the same, `unit-disagrees` when it goes on.
   */
  halt(slot: Slot): Promise<Result<void>>;

  activity(slot: Slot, life: PoolLife): Promise<PoolActivity>;

  /** Last lines of the pool's own log since `start` of this process; '' when there are none. */
  log(slot: Slot): Promise<string>;

  /** argv a start would run. */
  startCommand(slot: Slot): readonly string[];

  /** How a stop begins: the argv of a program that knows how, or a signal. */
  stopBegins(
    slot: Slot,
  ): { readonly command: readonly string[] } | { readonly signal: 'SIGQUIT' | 'SIGTERM' };

  /** Facts of the configuration that deserve a warning before a deploy. */
  warnings(from: SlotView | null, to: Slot): readonly Warning[];

  /** A hash over everything that decides what the pool would run (for --if-changed). */
  fingerprint(): Promise<Result<string>>;

  /** Remembers what the pools are, for a time when their configuration is broken: by a deploy that begins, under its locks. */
  remember(): void;
}

// ---------------------------------------------------------------- the proxy

/**
 * What proves which configuration a running proxy follows: the hash of its files
 * and the workers that were born from them. Recorded at the end of every deploy.
 */
export interface ProxyProof {
  readonly hash: string;
  readonly workers: readonly ProcessId[];
  /** When the files began to be read, ms since the epoch; older records do not know. */
  readonly read?: number;
  /** Set when nothing that takes requests used what names the slots. */
  readonly unused?: boolean;
}

/** The proxy before a deploy: what its files say and what it runs. */
export interface ProxyView {
  /** The slot that the configuration (or the link) names; null: the link is missing or dangling. */
  readonly active: Slot | null;
  /** Its main configuration file. */
  readonly config: string;
  readonly running: boolean;
  readonly status: ProxyStatus;
  /**
   * Files that are not what the proxy runs; empty when disk and running agree.
   * Always empty while it does not run.
   */
  readonly differing: readonly string[];
  /**
   * Those of them that lead to a slot: they name it, or send requests to what names it. `surely`: they changed after
   * every worker was born (bytes that were proven to run before: were written after); else it is only not proven that
   * these have read them.
   */
  readonly unread: { readonly files: readonly string[]; readonly surely: boolean };
  /** Where the slots are named, when nothing that takes requests uses any of these places. */
  readonly unused: readonly Place[];
  /** What runs now, as far as it is proven (`differing` empty, running). */
  readonly proof: ProxyProof | null;
  /** Workers that are shutting down: they finish requests under a configuration of the past. */
  readonly older: readonly OlderWorker[];
  /** Sites that end with a slot's pool though they are none of its own: another pool of its master serves them. */
  readonly otherPools: readonly OtherPool[];
  /** Places that go on naming the active slot after a switch, and have nobody behind them once it is stopped. */
  readonly leftBehind: readonly Place[];
  readonly warnings: readonly Warning[];
  /** What a switch to the other slot would change. */
  readonly changes: readonly FileChange[];
  readonly commands: readonly (readonly string[])[];
  readonly signals: readonly { readonly signal: string; readonly to: string }[];
}

/** Journalled before the switch acts: what the world was like. */
export interface SwitchIntent {
  readonly workers: readonly ProcessId[];
  readonly hash: string;
  /** The slot that the configuration (or the link) named; null: the link named none. */
  readonly named: Slot | null;
}

/** A proxy worker of a generation before: it finishes its requests under an older configuration. */
export interface OlderWorker extends ProcessId {
  /** Its configuration is known to send a request on to the other slot when its own is gone. */
  readonly forgiving?: boolean;
}

/** Journalled once the switch is proven. */
export interface SwitchEvidence {
  readonly files: readonly string[];
  readonly proof: ProxyProof;
  /** Proxy workers that may still send requests to the slot that was left. */
  readonly older: readonly OlderWorker[];
}

/** A slot, and the proof of what the proxy ran when requests were seen to reach it. */
export interface LastProven {
  readonly slot: Slot;
  readonly proof: ProxyProof;
}

/** Whether a request can still come to the slot that was left. */
export interface WayIn {
  readonly open: boolean;
  /** Old workers that live, whether or not they keep the way open. */
  readonly retiring: readonly ProcessId[];
}

/** Whether the proxy is asked what it takes its files for even where it is proven to run these very ones. */
export type TestWhen = 'always' | 'unless-proven';

/** Which slot new requests go to, as far as it can be observed. */
export type Serving = Slot | 'unclear';

export interface ProxySwitch {
  readonly kind: SwitchKind;

  /** What names this proxy for good, whoever asks: the real path of its configuration. One lock a key. */
  lockKey(): Promise<Result<string>>;

  /** Whether point() changes what the proxy reads, or makes it read anew: then its lock is held. `behind`: as of point(). */
  needsLock(behind?: boolean): boolean;

  /**
   * Reads, parses and compares everything, changes nothing. `last` is what the last
   * finished deploy proved. A configuration that is broken already, is not understood or
   * does not name the slots fails here, before anything is touched. `test`: `always`, for who is going to act on it.
   */
  survey(last: ProxyProof | null, test?: TestWhen): Promise<Result<ProxyView>>;

  /** Makes the running proxy follow the files as they are: test, reload, observed. */
  reload(): Promise<Result<ProxyProof>>;

  /** To be journalled before `point`. */
  intent(): Promise<Result<SwitchIntent>>;

  /**
   * Points the proxy at `to` and proves that it follows; idempotent. On a failure that
   * it could undo by itself nothing has changed for any request. `stranded` when it cannot tell.
   * Also the revert: the same call towards the other slot. `behind`: it may run other files than those on the disk, so
   * that it does not follow them before it has read them, whatever the switch would do without. What a disk made
   * visible and not durable is told: the switch goes on, as all see it by then.
   */
  point(to: Slot, behind?: boolean, told?: (warning: Warning) => void): Promise<Result<SwitchEvidence>>;

  /** For recovery: which slot do new requests reach? `intent` is what was journalled before the switch. */
  serving(intent: SwitchIntent | null): Promise<Result<Serving>>;

  /**
   * Whether the files (or the link) name the slot as the one to be asked. Looked at right before
   * a pool loses its name: somebody else may have pointed the proxy back meanwhile.
   */
  names(slot: Slot): Promise<Result<boolean>>;

  /** Whether what a switch to the slot replaces could be replaced at all, before anything is begun for it. */
  mayPoint(to: Slot, view: ProxyView): Result<void>;

  /** Drain proof, point 1, for the slot that was left; `older` are the workers of SwitchEvidence. */
  wayIn(left: Slot, older: readonly OlderWorker[]): Promise<Result<WayIn>>;

  /**
   * Without a look at its configuration: the slot that requests reach as far as the link or `last`, what the last
   * deploy proved, tells. `proven`: what runs is what ran then. Null: nothing is known.
   */
  known(last: LastProven | null): Promise<{ readonly slot: Slot; readonly proven: boolean } | null>;

  /** How many workers run and retire; null when it cannot be found out. */
  status(): Promise<ProxyStatus | null>;

  /**
   * Whom its workers run as, or will once it is started: the user that has to be able to open a pool's socket.
   * Null: that cannot be told.
   */
  workerUser(): Promise<User | null>;
}

// ---------------------------------------------------------------- proving that it answers

export interface ProbeDriver {
  /** Whether what it asks for is there, as far as that can be known before the pool runs: `config-invalid`. */
  mayProbe(slot: Slot): Result<void>;
  /**
   * N right answers in a row, asked as the user the proxy's workers run as. `signal` ends it at once, as a failure;
   * the pool may still be at the question that was asked last.
   */
  probe(
    slot: Slot,
    signal?: AbortSignal,
  ): Promise<Result<{ readonly answers: number; readonly user: string | null }>>;
}

/** A request through the proxy. Absent when no URL is configured. */
export interface VerifyDriver {
  readonly url: string;
  /** The Host that is sent, where it is not the URL's own. */
  readonly host?: string;
  /** How long all tries of a verification may take together, ms. */
  readonly timeout: number;
  /** Loads what a request needs: for a moment in which there is nothing else to do. */
  prepare(): void;
  /** Sends one request with the nonce in its query. null: the answer was as expected. */
  request(nonce: string): Promise<WrongAnswer | null>;
}

// ---------------------------------------------------------------- the proxy's control script

/** What became of a binary upgrade that broke off. */
export type UpgradeEnd = 'none' | 'finished' | 'undone';

/**
 * The proxy itself, whatever apps stand behind it. All but status() and test() are called under its lock.
 * Every deadline is a failure; what signals were sent is told on the way.
 */
export interface ProxyControl {
  /** One lock a key, as ProxySwitch.lockKey. */
  lockKey(): Promise<Result<string>>;
  status(): Promise<Result<NginxStatus>>;
  /** Its own test, with its master's words. `nginx-config-broken`, `nginx-test-timeout`. */
  test(): Promise<Result<void>>;
  reload(): Promise<Result<void>>;
  /** False: it does not run. */
  stop(): Promise<Result<boolean>>;
  forceStop(): Promise<Result<boolean>>;
  reopenLogs(): Promise<Result<void>>;
  /** A new binary, no connection refused. What fails before its end is undone, or `stranded`. */
  upgrade(): Promise<Result<void>>;
  /** Ends an upgrade that upgrade() left when it was killed. */
  recoverUpgrade(): Promise<Result<UpgradeEnd>>;
  /** Whether there is one to end: a cheap look, no lock. */
  hasBegunUpgrade(): Promise<boolean>;
}

// ---------------------------------------------------------------- keys and drawers

/** What deploy/ asks of the composition root: the drivers of one app. */
export interface Drivers {
  readonly pool: PoolDriver;
  readonly proxy: ProxySwitch;
  readonly probe: ProbeDriver;
  readonly verify: VerifyDriver | null;
  /** The proxy's lock: held from reading its config to the proven generation. */
  lockProxy(): Promise<Result<Lock>>;
  readonly drain: { readonly timeout: number; readonly onTimeout: 'keep' | 'stop' };
  readonly verifyTimeout: number;
}
