/**
 * The vocabulary of swap-pool: everything that can happen has a name here, and
 * carries only the facts that belong to it. Read this file first.
 *
 * Failures and warnings are values told apart by `reason`. Their wording lives
 * in ui/message/ alone, so code and tests compare reasons, never sentences.
 * The reasons are part of the public interface: they are never renamed.
 */

// ---------------------------------------------------------------- results

/** What an operation that may fail gives back. A throw is a bug in swap-pool. */
export type Result<T> = { readonly ok: true; readonly value: T } | Failed;
export interface Failed {
  readonly ok: false;
  readonly failure: Failure;
}

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });
export const fail = (failure: Failure): Failed => ({ ok: false, failure });

// ---------------------------------------------------------------- identity and places

/** The two places a pool can run in. Which of them is *active* is a role, not a name. */
export type Slot = 'blue' | 'green';
export const SLOTS: readonly Slot[] = ['blue', 'green'];
export const otherSlot = (slot: Slot): Slot => (slot === 'blue' ? 'green' : 'blue');

/**
 * One process for all time. A pid alone is reused; its start time (clock ticks
 * since boot, field 22 of /proc/PID/stat) tells two lives apart, and the boot id
 * (/proc/sys/kernel/random/boot_id) two boots.
 */
export interface ProcessId {
  readonly boot: string;
  readonly pid: number;
  readonly start: number;
}

/** A spot in a file; lines and columns count from 1, columns in bytes. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column?: number;
}

/** What both slots' pools have, and only one can: a directive of FPM's, its value, and where it is set. */
export interface SharedValue {
  readonly what: 'listen' | 'pid' | 'pm.status_listen';
  readonly value: string;
  /** None where it is not read from a file. */
  readonly places: readonly Place[];
}

/** A place in the proxy's configuration that sends requests to another pool of a slot's master. */
export interface OtherPool {
  readonly place: Place;
  readonly slot: Slot;
  /** The other pool's, as a proxy names it. */
  readonly address: string;
}

/** One thing that is wrong with a configuration file, and what to do about it. */
export interface Problem {
  readonly place: Place;
  readonly what: string;
  readonly fix: string;
}

/** Connections a pool holds (accepted) and that wait in its backlog (queued). */
export interface Connections {
  readonly accepted: number;
  readonly queued: number;
}

/** A process as a message names it. `user` is a name where known, else a uid. */
export interface Suspect {
  readonly pid: number;
  readonly command: string;
  readonly user: string;
}

/** One of several pools that have bound a slot's address, one after the other: its master, or one of its orphans. */
export interface Life extends Suspect {
  /** It is a master. */
  readonly leads: boolean;
  readonly workers: readonly number[];
  /** Whether what comes to the address comes to it; null: that cannot be told. */
  readonly reachable: boolean | null;
  readonly accepted: number;
  readonly working: number;
  /** Nothing is accepted or worked on, nor queued. */
  readonly idle: boolean;
}

/** Who holds a lock, as the holder itself wrote it down. */
export interface LockHolder {
  readonly pid: number;
  readonly user: string;
  readonly command: string;
  /** RFC 3339 */
  readonly since: string;
}

// ---------------------------------------------------------------- steps and outcomes

/** The steps of a deploy, in their order. deploy/steps.ts says what each does. */
export type StepName = 'start' | 'probe' | 'switch' | 'verify' | 'drain' | 'retire' | 'stop';

/** What `pool` does to the pool of one slot. `condrestart` and `force-reload` are other names of two of them. */
export type PoolVerb =
  'start' | 'stop' | 'force-stop' | 'restart' | 'try-restart' | 'reload' | 'reopen-logs' | 'status';

/** What is seen to begin and to end: a deploy's steps, and what `pool` does beside them. */
export type ActName = StepName | 'reload' | 'reopen-logs';

/** What a command asks before it goes on. `--yes` answers. */
export type Question =
  | { readonly kind: 'init-write'; readonly files: number }
  | { readonly kind: 'nginx-stop'; readonly pid: number; readonly apps: readonly string[] }
  | { readonly kind: 'doctor-fix'; readonly apps: readonly string[]; readonly findings: number }
  | {
      readonly kind: 'pool-serves';
      readonly verb: PoolVerb;
      readonly slot: Slot;
      /** False: what the proxy runs is not what its files say, so it may serve. */
      readonly certain: boolean;
      readonly connections: Connections;
      readonly working: number;
    };

/**
 * How the proxy follows a switch: `rewrite` exchanges addresses in its config
 * and reloads it, `symlink` renames a link that its config names.
 */
export type SwitchKind = 'rewrite' | 'symlink';

export type CommandName =
  | 'deploy'
  | 'start'
  | 'rollback'
  | 'status'
  | 'recover'
  | 'history'
  | 'init'
  | 'pool'
  | 'nginx'
  | 'doctor'
  | 'demo';

/** What `nginx <verb>` does to the proxy. */
export const NGINX_VERBS = [
  'test',
  'reload',
  'stop',
  'force-stop',
  'upgrade',
  'reopen-logs',
  'status',
] as const;
export type NginxVerb = (typeof NGINX_VERBS)[number];

export type Outcome =
  | 'done'
  | 'unchanged'
  | 'reverted'
  | 'refused'
  | 'usage'
  | 'locked'
  | 'stranded'
  | 'draining'
  | 'interrupted';

/** 70 is sysexits' EX_SOFTWARE: a bug of ours. 129, 130, 143 are 128 + the signal. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 70 | 129 | 130 | 143;

/** The signals that ask a deploy to stop. */
export type StopSignal = 'SIGHUP' | 'SIGINT' | 'SIGTERM';

/** 128 + the signal's number, as shells report it. */
export const SIGNALLED: Readonly<Record<StopSignal, 129 | 130 | 143>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
};

// ---------------------------------------------------------------- pools

/** What a pidfile turned out to be when it was checked against the process table. */
export type PidfileState =
  | 'none' //          the pool has no pidfile configured
  | 'missing'
  | 'ok' //            names the master that holds the slot's socket
  | 'empty'
  | 'garbage' //       not a number
  | 'several-lines'
  | 'dead' //          no such process
  | 'reused' //        a process that is no FastCGI master
  | 'init' //          pid 1
  | 'other-master' //  a master of another config, or in another namespace
  | 'writable'; //     others may write it or its folder, so its word is worth nothing

/**
 * `running`: its master holds the slot's socket. `orphaned`: workers serve, no
 * master. `foreign`: somebody else listens there. `stale-pidfile`: stopped, its
 * pidfile left behind. `draining`: runs, but an unfinished deploy is taking it down.
 */
export type SlotState = 'running' | 'stopped' | 'orphaned' | 'foreign' | 'stale-pidfile' | 'draining';

/** Why one try of a probe or a verification was not the answer that was expected. */
export type WrongAnswer =
  | { readonly kind: 'no-socket' } //                       ENOENT
  | { readonly kind: 'refused' } //                         ECONNREFUSED
  | { readonly kind: 'permission'; readonly user: string } // EACCES as the proxy's workers' user
  | { readonly kind: 'timeout'; readonly ms: number }
  | { readonly kind: 'closed' } //                          the pool hung up before it had answered
  | { readonly kind: 'protocol'; readonly detail: string }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly expected: number | 'below 400';
      /** The beginning of what came with it. */
      readonly body?: string;
      /** The pool could not open the script: nothing of the application ran. */
      readonly unopened?: true;
    }
  | { readonly kind: 'body'; readonly expected: string; readonly body: string }
  | { readonly kind: 'fatal'; readonly stderr: string } //  PHP reported a fatal error
  | { readonly kind: 'error'; readonly code: string };

// ---------------------------------------------------------------- failures

/** The proxy's files on disk lead to a slot that has no pool (or no link): who makes it read them takes the site down. */
export interface Down {
  readonly slot: Slot;
  /** The other slot has one. */
  readonly otherRuns: boolean;
}

export type Failure =
  // the command line and the configuration (exit 2)
  | { readonly reason: 'usage'; readonly detail: string }
  | { readonly reason: 'config-invalid'; readonly problems: readonly Problem[] }
  | { readonly reason: 'no-apps'; readonly folder: string }
  | { readonly reason: 'app-unknown'; readonly app: string; readonly known: readonly string[] }
  | { readonly reason: 'app-ambiguous'; readonly known: readonly string[] }
  | { readonly reason: 'unsafe-path'; readonly path: string; readonly detail: string }
  | {
      readonly reason: 'binary-missing';
      readonly program: 'php-fpm' | 'flock';
      readonly searched: readonly string[];
    }
  | { readonly reason: 'binary-ambiguous'; readonly found: readonly string[] }
  | {
      readonly reason: 'pool-config-invalid';
      readonly slot: Slot;
      readonly file: string;
      readonly output: string;
      /** It names files in folders that do not exist, which FPM's own test does not look for. */
      readonly homeless?: true;
    }
  /** php-fpm was ended before it had said what it makes of the file. */
  | {
      readonly reason: 'pool-test-timeout';
      readonly slot: Slot;
      readonly file: string;
      readonly ms: number;
    }
  | {
      readonly reason: 'pool-section-unclear';
      readonly file: string;
      /** The one that was asked for, and that the file does not have. */
      readonly asked?: string;
      readonly sections: readonly string[];
      /** It is an option of the command that says which, not the app's file. */
      readonly option?: true;
    }
  | {
      readonly reason: 'slots-share';
      /** All of it. */
      readonly shared: readonly SharedValue[];
    }
  | {
      readonly reason: 'listen-is-link';
      readonly slot: Slot;
      readonly path: string;
      readonly target: string;
    }
  | { readonly reason: 'address-invalid'; readonly slot: Slot; readonly address: string }
  | { readonly reason: 'symlink-needs-unix'; readonly slot: Slot; readonly address: string }
  | {
      readonly reason: 'proxies-differ';
      readonly proxies: readonly { readonly config: string; readonly apps: readonly string[] }[];
    }
  | { readonly reason: 'answer-needed'; readonly question: Question }
  | { readonly reason: 'declined'; readonly question: Question }

  // locks and state
  | {
      readonly reason: 'locked';
      readonly lock: 'app' | 'nginx' | 'slot';
      readonly path: string;
      readonly holder: LockHolder | null;
    }
  | {
      readonly reason: 'state-of-another-config';
      readonly folder: string;
      readonly owner: string;
      readonly config: string;
    }
  | { readonly reason: 'state-unwritable'; readonly path: string; readonly code: string }
  | {
      readonly reason: 'journal-unreadable';
      readonly path: string;
      readonly detail: string;
      /** It was read, and what stands there is no journal any more: no permission would mend it. */
      readonly damaged?: true;
    }

  // pools
  | {
      readonly reason: 'slot-foreign';
      readonly slot: Slot;
      readonly address: string;
      readonly holder: Suspect | null;
      /** They are pools of the slot, one started over the other. */
      readonly lives?: readonly Suspect[];
    }
  | {
      readonly reason: 'slot-alive';
      readonly slot: Slot;
      readonly address: string;
      readonly pids: readonly number[];
      /** They are the slot's own, and listen somewhere else: its configuration was changed while they ran. */
      readonly elsewhere?: true;
    }
  | {
      readonly reason: 'pidfile-refused';
      readonly slot: Slot;
      readonly path: string;
      readonly state: 'other-master';
      readonly suspect: Suspect;
    }
  | {
      readonly reason: 'start-failed';
      readonly slot: Slot;
      readonly command: readonly string[];
      readonly status: number | null;
      readonly log: string;
    }
  | {
      readonly reason: 'start-timeout';
      readonly slot: Slot;
      readonly address: string;
      readonly ms: number;
      readonly log: string;
    }
  | { readonly reason: 'pool-died'; readonly slot: Slot; readonly log: string }
  /** One life for both slots: whatever ends the one ends the other. */
  | {
      readonly reason: 'slots-one-master';
      readonly what: 'unit' | 'master';
      /** The unit's name, or the master. */
      readonly unit: string | null;
      readonly master: Suspect | null;
    }
  | {
      readonly reason: 'unit-invalid';
      readonly slot: Slot;
      readonly unit: string;
      /** `no-slot`: its environment lacks SWAP_POOL_SLOT, or has another one. */
      readonly what: 'not-found' | 'masked' | 'bad' | 'no-slot';
      readonly detail: string;
    }
  /** The unit runs already, or says of its master what the socket does not. */
  | {
      readonly reason: 'unit-disagrees';
      readonly slot: Slot;
      readonly unit: string;
      readonly state: string;
      /** As the unit has it, and as the socket's holder is; null: none. */
      readonly unitPid: number | null;
      readonly pid: number | null;
    }
  | {
      readonly reason: 'probe-failed';
      readonly slot: Slot;
      readonly tries: number;
      readonly answer: WrongAnswer;
      /** What was asked: a script's file, or the path of FPM's own page. */
      readonly asked?: string;
      readonly log: string;
    }
  | {
      readonly reason: 'stop-failed';
      readonly slot: Slot;
      readonly pids: readonly number[];
      readonly detail: string;
    }
  | {
      readonly reason: 'drain-timeout';
      readonly slot: Slot;
      readonly ms: number;
      readonly connections: Connections;
      readonly working: number;
      /** Old proxy workers that could still come to the pool; 0 when the way in is closed. */
      readonly retiring: number;
    }
  | { readonly reason: 'still-draining'; readonly slot: Slot }
  /** The pool goes on as before: what it serves did not end in time. */
  | {
      readonly reason: 'pool-busy';
      readonly slot: Slot;
      readonly ms: number;
      readonly connections: Connections;
      readonly working: number;
      readonly retiring: number;
    }
  | { readonly reason: 'pool-not-running'; readonly slot: Slot; readonly address: string }
  | { readonly reason: 'pool-orphaned'; readonly slot: Slot; readonly pids: readonly number[] }
  /** It was about to be taken down, and the proxy was pointed at it. */
  | { readonly reason: 'pool-named'; readonly slot: Slot }
  /** Its master has been told to stop or to reload by somebody, or it is starting, and comes to no end. */
  | {
      readonly reason: 'pool-in-transition';
      readonly slot: Slot;
      readonly doing: 'leaving' | 'starting';
    }
  | {
      readonly reason: 'pool-reload-unproven';
      readonly slot: Slot;
      readonly ms: number;
      readonly log: string;
    }
  | {
      readonly reason: 'pool-logs-not-reopened';
      readonly slot: Slot;
      readonly files: readonly string[];
      readonly ms: number;
    }
  | {
      readonly reason: 'signal-refused';
      readonly slot: Slot;
      readonly pid: number;
      readonly signal: string;
      readonly code: string;
    }
  /** A pool of this kind knows no such thing. */
  | {
      readonly reason: 'pool-unable';
      readonly slot: Slot;
      readonly verb: PoolVerb;
      readonly kind: string;
    }
  | { readonly reason: 'unobservable'; readonly what: string; readonly detail: string }

  // the proxy
  | { readonly reason: 'nginx-not-running'; readonly config: string }
  /** Its workers serve on without it. */
  | { readonly reason: 'nginx-orphaned'; readonly config: string; readonly pids: readonly number[] }
  /** It was told to quit: it takes no new connection, and ends when these workers have finished. */
  | {
      readonly reason: 'nginx-stopping';
      readonly config: string;
      readonly pid: number;
      readonly workers: readonly number[];
    }
  | { readonly reason: 'nginx-not-found'; readonly searched: readonly string[] }
  | { readonly reason: 'nginx-ambiguous'; readonly masters: readonly Suspect[] }
  | { readonly reason: 'nginx-arguments-unclear'; readonly title: string }
  | { readonly reason: 'nginx-pidfile-wrong'; readonly path: string; readonly detail: string }
  | { readonly reason: 'nginx-syntax'; readonly place: Place; readonly what: string }
  | { readonly reason: 'nginx-include'; readonly place: Place; readonly what: string }
  | { readonly reason: 'nginx-config-broken'; readonly output: string }
  /** It was ended before it had said whether it takes its files: neither yes nor no. */
  | { readonly reason: 'nginx-test-timeout'; readonly config: string; readonly ms: number }
  | {
      readonly reason: 'nginx-tree-differs';
      readonly onlyOurs: readonly string[];
      readonly onlyTheirs: readonly string[];
    }
  | {
      readonly reason: 'reference-missing';
      readonly addresses: readonly string[];
      readonly variables: readonly Place[];
      /** Places that name a slot, and that `nginx.only` leaves out. */
      readonly outside?: readonly Place[];
    }
  | {
      readonly reason: 'reference-ambiguous';
      readonly places: readonly { readonly place: Place; readonly slot: Slot }[];
    }
  | { readonly reason: 'only-unknown'; readonly only: string }
  | { readonly reason: 'master-shared'; readonly places: readonly OtherPool[] }
  | { readonly reason: 'link-not-named'; readonly link: string }
  | { readonly reason: 'link-and-slot-named'; readonly link: string; readonly places: readonly Place[] }
  | { readonly reason: 'link-wrong'; readonly link: string; readonly detail: string }
  | { readonly reason: 'upgrade-pending'; readonly path: string }
  | { readonly reason: 'config-changed'; readonly file: string }
  | { readonly reason: 'config-unwritable'; readonly file: string; readonly code: string }
  | { readonly reason: 'edit-rejected'; readonly output: string }
  | { readonly reason: 'reload-swallowed'; readonly log: string }
  | { readonly reason: 'reload-unproven'; readonly ms: number; readonly detail: string }
  | { readonly reason: 'nginx-gone'; readonly pid: number }
  | { readonly reason: 'nginx-busy'; readonly ms: number; readonly holders: readonly Holder[] }
  | { readonly reason: 'nginx-unstoppable'; readonly pids: readonly number[]; readonly detail: string }
  | {
      readonly reason: 'logs-not-reopened';
      readonly ms: number;
      readonly pids: readonly number[];
      /** The master alone, which has not taken the signal: nothing was opened, nor refused. */
      readonly unheard?: true;
      readonly log: string;
    }
  | {
      readonly reason: 'upgrade-impossible';
      readonly why: 'daemon-off' | 'no-binary';
      readonly program: string;
    }
  | { readonly reason: 'new-binary-rejects'; readonly program: string; readonly output: string }
  | {
      readonly reason: 'upgrade-failed';
      readonly program: string;
      readonly at: UpgradeStage;
      readonly ms: number;
      /** Of `leave`: who did not. */
      readonly holders: readonly Holder[];
      readonly log: string;
    }
  | {
      readonly reason: 'disk-differs-from-running';
      readonly files: readonly string[];
      readonly slot: Slot;
    }
  | {
      readonly reason: 'verify-failed';
      readonly url: string;
      readonly host?: string;
      readonly answer: WrongAnswer;
    }
  | { readonly reason: 'verify-not-seen'; readonly slot: Slot; readonly url: string | null }
  | { readonly reason: 'old-pool-still-used'; readonly slot: Slot; readonly requests: number }

  // the deploy itself
  | { readonly reason: 'deploy-open'; readonly deploy: string; readonly step: StepName | null }
  | { readonly reason: 'nothing-to-roll-back'; readonly why: 'none' | 'was-rollback' }
  | {
      readonly reason: 'interrupted';
      readonly signal: StopSignal;
      /** The slot that an earlier deploy still drains: it was waited for, and nothing else was begun. */
      readonly draining?: Slot;
      /** It was the demo, whose sandbox is gone. */
      readonly demo?: true;
      /** It was no deploy, or one that had not begun: what it was that ended. `question`: that, or the wait for a lock. */
      readonly during?: 'question' | 'pool' | 'nginx-stop' | 'nginx-upgrade';
      /** It was the second: nothing was finished and nothing undone. */
      readonly atOnce?: true;
    }
  | { readonly reason: 'left-unfinished'; readonly deploy: string }
  | {
      readonly reason: 'stranded';
      readonly detail: string;
      readonly cause: Failure | null;
      /** It was no deploy. */
      readonly of?: 'nginx-upgrade';
    }
  | { readonly reason: 'not-serving'; readonly apps: readonly string[] }
  /** The slot's pool lives, and whoever the proxy's workers run as cannot connect to it. */
  | {
      readonly reason: 'pool-unreachable';
      readonly slot: Slot;
      readonly address: string;
      readonly answer: WrongAnswer;
    }
  /** What names the slots in the proxy's configuration is used by nothing that takes requests. */
  | { readonly reason: 'reference-unused'; readonly places: readonly Place[] }
  /** These files lead to the slot, and the running proxy has surely not read them as they are. */
  | {
      readonly reason: 'files-unread';
      readonly files: readonly string[];
      readonly slot: Slot;
      readonly down?: Down;
    }
  // init
  | { readonly reason: 'file-exists'; readonly files: readonly string[] }
  | { readonly reason: 'file-of-another-app'; readonly file: string; readonly owner: string }
  | { readonly reason: 'file-unreadable'; readonly path: string; readonly code: string }
  | { readonly reason: 'pool-file-unclear'; readonly place: Place; readonly what: string }
  | {
      readonly reason: 'site-unclear';
      readonly file: string;
      readonly why: 'no-pool' | 'several-pools' | 'not-included' | 'no-room' | 'name-taken';
      readonly places: readonly Place[];
    }
  | {
      readonly reason: 'init-rejected';
      readonly judge: InitJudge;
      readonly file: string;
      readonly output: string;
    }
  | {
      readonly reason: 'old-pool-busy';
      readonly address: string;
      readonly ms: number;
      readonly connections: Connections;
      readonly working: number;
      /** Old proxy workers that could still come to it. */
      readonly retiring: number;
    }
  /** `places`: where the proxy's files name it, or may; `unread`: files that it has not read as they are. */
  | {
      readonly reason: 'old-pool-named';
      readonly address: string;
      readonly places: readonly Place[];
      readonly unread: readonly string[];
    }
  | { readonly reason: 'unhealthy'; readonly errors: number; readonly warnings: number }
  /** What was to be told is all that the command is for, and standard output did not take it. */
  | { readonly reason: 'output-lost'; readonly code: string }
  | { readonly reason: 'demo-cut'; readonly cut: number; readonly requests: number }
  | { readonly reason: 'demo-needs'; readonly missing: readonly string[] }
  | { readonly reason: 'bug'; readonly detail: string };

export type FailureReason = Failure['reason'];

/**
 * The proxy does not run. The reason's name is public and names the one proxy that there is; whoever decides on
 * deploys knows none by name.
 */
export const proxyStopped = (config: string): Failed => fail({ reason: 'nginx-not-running', config });
export const isProxyStopped = ({ reason }: Failure): boolean => reason === 'nginx-not-running';

/** Why a slot in which somebody else listens is left alone, as a look at it has it. */
export const slotForeign = ({
  slot,
  address,
  holder,
  lives,
}: Omit<Extract<Failure, { reason: 'slot-foreign' }>, 'reason'>): Failed =>
  fail({
    reason: 'slot-foreign',
    slot,
    address,
    holder,
    ...(lives === undefined || lives.length === 0 ? {} : { lives }),
  });

// ---------------------------------------------------------------- warnings

export type Warning =
  | { readonly reason: 'no-probe-script' }
  | { readonly reason: 'probe-weak'; readonly slot: Slot }
  | { readonly reason: 'no-status'; readonly slot: Slot }
  | { readonly reason: 'control-timeout-zero'; readonly slot: Slot }
  | {
      readonly reason: 'few-workers';
      readonly start: number;
      readonly busy: number;
      readonly pm: 'static' | 'dynamic';
    }
  | { readonly reason: 'little-memory'; readonly needed: number; readonly available: number }
  | { readonly reason: 'backup-max-fails'; readonly places: readonly Place[] }
  | { readonly reason: 'variable-reference'; readonly places: readonly Place[] }
  | { readonly reason: 'master-shared'; readonly places: readonly OtherPool[] }
  | { readonly reason: 'left-behind'; readonly slot: Slot; readonly places: readonly Place[] }
  | { readonly reason: 'reference-unused'; readonly places: readonly Place[] }
  | { readonly reason: 'proxy-stopped'; readonly config: string; readonly slot: Slot }
  | { readonly reason: 'socket-file-gone'; readonly slot: Slot; readonly path: string }
  | { readonly reason: 'running-differs'; readonly files: readonly string[]; readonly down?: Down }
  | {
      readonly reason: 'pidfile';
      readonly slot: Slot;
      readonly path: string;
      readonly state: PidfileState;
      readonly pid: number | null;
    }
  | { readonly reason: 'socket-file-stale'; readonly slot: Slot; readonly path: string }
  | { readonly reason: 'slot-orphaned'; readonly slot: Slot; readonly pids: readonly number[] }
  | { readonly reason: 'standby-running'; readonly slot: Slot; readonly pid: number | null }
  | { readonly reason: 'nothing-serves'; readonly slot: Slot }
  | { readonly reason: 'recovering'; readonly deploy: string; readonly step: StepName | null }
  /** The journal of an unfinished deploy; `aside`: what it is called since it is no hindrance any more. */
  | {
      readonly reason: 'journal-damaged';
      readonly path: string;
      readonly detail: string;
      readonly aside: string | null;
    }
  | { readonly reason: 'waits-for-other-sites'; readonly retiring: number; readonly pids: readonly number[] }
  | { readonly reason: 'rollback-runs-now' }
  /** The first signal: heard while `step` was under way. */
  | { readonly reason: 'signal-noted'; readonly signal: StopSignal; readonly step: StepName }
  | {
      readonly reason: 'stop-escalates';
      readonly slot: Slot;
      readonly signal: 'SIGTERM' | 'SIGKILL';
      readonly pids: readonly number[];
    }
  /** A script's or a unit's own stop did not do it: signals follow. */
  | {
      readonly reason: 'stop-command-failed';
      readonly slot: Slot;
      readonly command: readonly string[];
      /** null: it was ended, its time was over. */
      readonly status: number | null;
      readonly output: string;
    }
  /** The unit stops its pool with another signal than QUIT. */
  | {
      readonly reason: 'unit-kill-signal';
      readonly slot: Slot;
      readonly unit: string;
      readonly signal: string;
      /** Its ExecStop= sends it. */
      readonly command?: true;
    }
  /** systemd kills the pool before FPM has let its requests end. ms */
  | {
      readonly reason: 'unit-stop-timeout';
      readonly slot: Slot;
      readonly unit: string;
      readonly timeout: number;
      readonly control: number;
    }
  /** The folder goes when one slot's unit stops, with the other one's socket in it. */
  | { readonly reason: 'unit-runtime-folder'; readonly units: readonly string[]; readonly folder: string }
  /** Its file was changed and systemd has not read it yet. */
  | { readonly reason: 'unit-unread'; readonly slot: Slot; readonly unit: string }
  /** Of the proxy that the apps name: what this one, or a file that should be one, says of it is not known, and why. */
  | { readonly reason: 'app-left-out'; readonly cause: Failure }
  /** A look at the proxy that does without its configuration, and why. */
  | { readonly reason: 'nginx-config-unusable'; readonly cause: Failure }
  /** `asked`: it was said before, and agreed to. */
  | { readonly reason: 'cut'; readonly slot: Slot; readonly cut: number; readonly asked?: true }
  | {
      readonly reason: 'reload-cuts';
      readonly slot: Slot;
      readonly connections: Connections;
      readonly working: number;
      /** It cannot be told whether the master that runs has a process_control_timeout. */
      readonly unsure?: true;
    }
  | { readonly reason: 'reload-joined'; readonly slot: Slot }
  | { readonly reason: 'pool-config-remembered'; readonly slot: Slot; readonly file: string }
  | { readonly reason: 'name-given-back'; readonly slot: Slot }
  /** The pool that is to serve had died while another deploy was left open. */
  | { readonly reason: 'brought-back'; readonly slot: Slot }
  | { readonly reason: 'revert-unfinished'; readonly slot: Slot; readonly cause: Failure }
  | { readonly reason: 'journal-write-failed'; readonly code: string }
  /** It is in place, for all to see; a power cut may bring back what was there before. */
  | { readonly reason: 'not-durable'; readonly path: string; readonly code: string }
  /** Standard output did not take all that was told; what was done is done. */
  | { readonly reason: 'output-lost'; readonly code: string }
  | { readonly reason: 'old-pool-not-running'; readonly address: string }
  /** Only shown: who calls may not write beside nginx's configuration, where the copy for its test has to stand. */
  | { readonly reason: 'nginx-not-asked'; readonly config: string; readonly code: string }
  /** A pool without a status page was watched for `ms`: it had work for so many workers at once. */
  | { readonly reason: 'workers-guessed'; readonly workers: number; readonly ms: number }
  /** Places that will go on naming it, or may, when the site has been edited. */
  | { readonly reason: 'old-pool-named'; readonly address: string; readonly places: readonly Place[] }
  | { readonly reason: 'site-names-others'; readonly places: readonly Place[] };

export type WarningReason = Warning['reason'];

// ---------------------------------------------------------------- what doctor finds

/**
 * `error`: the site is hurt, or the next deploy will be refused. `warning`: an ordinary event, such as a
 * restart or a broken release, would cut requests or mislead. `advice`: it could be better, nothing is wrong.
 */
export type Severity = 'error' | 'warning' | 'advice';

/** What doctor sees that stops no deploy and that no deploy tells. */
export type Observation =
  /** Workers that serve without their master: it was killed, or got a HUP. `serves`: null when that cannot be told. */
  | {
      readonly reason: 'orphans';
      readonly slot: Slot;
      readonly serves: boolean | null;
      readonly address: string;
      readonly pids: readonly number[];
      readonly connections: Connections;
    }
  /** Several processes have bound the slot's address, one after the other: two masters, or one and orphans. */
  | {
      readonly reason: 'several-lives';
      readonly slot: Slot;
      readonly address: string;
      readonly holders: readonly Life[];
    }
  | {
      readonly reason: 'master-of-other-config';
      readonly slot: Slot;
      readonly address: string;
      readonly master: Suspect;
      /** The site is sent to it; null: that cannot be told. */
      readonly serves: boolean | null;
      /** Its configuration, and the slot's. */
      readonly runs: string;
      readonly expected: string;
    }
  /** `doubtful`: the files lead there, and nobody has proven that nginx has read them. */
  | {
      readonly reason: 'not-served';
      readonly slot: Slot;
      readonly address: string;
      readonly doubtful?: true;
    }
  /** It listens, and nobody can connect: the socket's name is gone. `retired`: we took it away. */
  | {
      readonly reason: 'socket-nameless';
      readonly slot: Slot;
      readonly address: string;
      readonly pid: number | null;
      readonly retired: boolean;
    }
  /** It runs a slot's configuration and listens where that no longer says, or nowhere. `slot`: whose live master it is. */
  | {
      readonly reason: 'listens-elsewhere';
      readonly master: Suspect;
      readonly slot: Slot | null;
      readonly config: string;
      readonly addresses: readonly string[];
    }
  | { readonly reason: 'no-status-listen'; readonly slot: Slot }
  | {
      readonly reason: 'backlog-cut';
      readonly slot: Slot;
      readonly backlog: number;
      readonly somaxconn: number;
    }
  | {
      readonly reason: 'socket-path-long';
      readonly slot: Slot | null;
      readonly path: string;
      readonly bytes: number;
      readonly most: number;
    }
  | { readonly reason: 'oldbin-left'; readonly path: string; readonly pid: number | null }
  | {
      readonly reason: 'worker-retires-long';
      readonly pid: number;
      /** What it still serves: connections of clients, and its own to pools and other servers. */
      readonly clients: number;
      readonly upstreams: number;
      /** RFC 3339 */
      readonly since: string;
      readonly ms: number;
    }
  | { readonly reason: 'shutdown-timeout-unset'; readonly config: string }
  | { readonly reason: 'keep-conn-symlink'; readonly places: readonly Place[] }
  | { readonly reason: 'backup-balancer'; readonly balancer: string; readonly places: readonly Place[] }
  | {
      readonly reason: 'reload-not-taken';
      readonly files: readonly string[];
      /** False: they changed about when nginx's workers were born, who may have read them. */
      readonly surely: boolean;
      readonly log: string;
      readonly down?: Down;
    }
  /** `mendable`: this nginx knows keepalive_min_timeout. */
  | {
      readonly reason: 'reload-hits-idle';
      readonly version: string | null;
      readonly mendable: boolean;
      readonly places: readonly Place[];
    }
  | { readonly reason: 'deploy-left-open'; readonly deploy: string; readonly step: StepName | null }
  | { readonly reason: 'at-work'; readonly holder: LockHolder }
  | {
      readonly reason: 'little-space';
      /** What is written there: the journal, locks and the like, nginx's files, FPM's. */
      readonly what: 'journal' | 'proxy' | 'pool';
      readonly path: string;
      readonly available: number;
      readonly needed: number;
    };

export type ObservationReason = Observation['reason'];

/** One thing that doctor has found. Its facts are those of the failure or the warning that it would be elsewhere. */
export type Finding = {
  readonly severity: Severity;
  /** null: it is the host's, or nginx's, whichever apps stand behind it. */
  readonly app: string | null;
  /** `doctor --fix` mends it. */
  readonly fixable: boolean;
} & Found;

export type Found =
  { readonly failure: Failure } | { readonly warning: Warning } | { readonly observation: Observation };

// ---------------------------------------------------------------- the plan

/** One file that the switch would change, as a unified diff. */
export interface FileChange {
  readonly file: string;
  /** None: it is a link, and the diff tells where it leads. */
  readonly lines: readonly number[];
  readonly diff: string;
}

/** What a deploy would do. `--dry-run` prints it; every deploy emits it first. */
export interface Plan {
  readonly command: 'deploy' | 'start' | 'rollback' | 'recover';
  /** The slot that serves before; null when nothing does. */
  readonly from: Slot | null;
  readonly to: Slot;
  readonly switch: SwitchKind;
  readonly steps: readonly StepName[];
  readonly changes: readonly FileChange[];
  /** Programs that would be run, as argv. */
  readonly commands: readonly (readonly string[])[];
  readonly signals: readonly { readonly signal: string; readonly to: string }[];
  readonly dryRun: boolean;
}

// ---------------------------------------------------------------- init

/** Who looks at a file before it is put in place: its own program, or our reader of the app's YAML. */
export type InitJudge = 'nginx' | 'php-fpm' | 'systemd-analyze' | 'logrotate' | 'sh' | 'config';

/** One file of `init`. `keep`: it is ours and was changed since, so it stays as it is. */
export interface InitFile {
  readonly file: string;
  readonly action: 'create' | 'edit' | 'replace' | 'same' | 'keep';
  /** Empty for what is not written. */
  readonly diff: string;
}

/** What is left to do after `init`; in this order nothing is cut. */
export type NextStep =
  | {
      readonly why: 'units' | 'boot' | 'start' | 'flip' | 'old-pool' | 'stop-old' | 'drop-old';
      /** As a shell takes it. */
      readonly command: string;
    }
  /** What a person writes into the site's file. */
  | { readonly why: 'include'; readonly directives: string };

export interface InitReport {
  readonly files: readonly Omit<InitFile, 'diff'>[];
  /** Where replaced files are kept; null when none was. */
  readonly backup: string | null;
  readonly next: readonly NextStep[];
}

// ---------------------------------------------------------------- events

export type EventBody =
  | { readonly type: 'plan'; readonly plan: Plan }
  | {
      readonly type: 'step-started';
      readonly step: ActName;
      readonly slot: Slot;
      /** True when the step is being undone. */
      readonly revert: boolean;
    }
  | {
      readonly type: 'step-done';
      readonly step: ActName;
      readonly slot: Slot;
      readonly revert: boolean;
      readonly ms: number;
      readonly note: StepNote | null;
    }
  | {
      readonly type: 'progress';
      readonly step: StepName;
      readonly slot: Slot;
      readonly connections: Connections;
      readonly working: number;
      readonly retiring: number;
    }
  | { readonly type: 'files'; readonly files: readonly InitFile[] }
  | { readonly type: 'notice'; readonly notice: Notice }
  | { readonly type: 'warning'; readonly warning: Warning }
  | { readonly type: 'failure'; readonly failure: Failure }
  | { readonly type: 'result'; readonly result: CommandResult };

/** The one fact worth a word beside a finished step. */
export type StepNote =
  | { readonly kind: 'pid'; readonly pid: number; readonly adopted: boolean }
  | { readonly kind: 'answers'; readonly answers: number; readonly user: string | null }
  | { readonly kind: 'files'; readonly files: readonly string[] }
  | { readonly kind: 'seen'; readonly by: 'nonce' | 'count' | 'activity' | 'no-traffic' }
  | { readonly kind: 'signal'; readonly signal: 'SIGQUIT' | 'SIGTERM' | 'SIGKILL' };

/** What a control command has done or sees on its way, outside the steps of a deploy. */
export type Notice =
  | {
      readonly kind: 'signal';
      readonly signal: NodeJS.Signals;
      readonly to: 'nginx' | 'old-nginx' | 'new-nginx' | 'nginx-workers';
      readonly pids: readonly number[];
    }
  | { readonly kind: 'nginx-tested'; readonly program: string }
  | { readonly kind: 'nginx-waits'; readonly holders: readonly Holder[] }
  | { readonly kind: 'nginx-master'; readonly pid: number; readonly workers: number }
  /** `more`: at so many other addresses as well. */
  | { readonly kind: 'nginx-answers'; readonly address: string; readonly pid: number; readonly more: number }
  | { readonly kind: 'nginx-goes-back'; readonly to: number }
  | { readonly kind: 'upgrade-found'; readonly old: number };

/** An event as reporters receive it: when, for which app, inside which deploy. */
export type Event = EventBody & {
  /** RFC 3339, milliseconds, UTC. */
  readonly time: string;
  readonly app: string | null;
  readonly deploy?: string;
};

/** Where code that does the work says what happens. Never throws, never blocks. */
export type Emit = (event: EventBody) => void;

// ---------------------------------------------------------------- what a command ends with

export interface SlotStatus {
  readonly state: SlotState;
  readonly pid?: number;
  /** RFC 3339: when the master started. */
  readonly since?: string;
  readonly listen: string;
  readonly connections: Connections;
  readonly workers: { readonly active: number; readonly idle: number };
  readonly holder?: Suspect;
  readonly pidfile: PidfileState;
  /** Its socket's name was taken away: it runs, and nobody can connect. */
  readonly retired?: true;
}

/** One app's pool, as `pool status` shows it. */
export type PoolStatus = { readonly app: string } & (
  (SlotStatus & { readonly failure?: Failure }) | { readonly failure: Failure }
);

export interface AppStatus {
  readonly app: string;
  readonly active: Slot | null;
  /**
   * Whether the proxy runs and leads to the active slot, whose pool lives (be it as orphans) and can be connected to
   * by the user of the proxy's workers. What the proxy is not known to do counts as not done.
   */
  readonly served: boolean;
  readonly slots: Readonly<Record<Slot, SlotStatus>> | null;
  readonly last: { readonly deploy: string; readonly outcome: Outcome } | null;
  /** An unfinished deploy, and the step it stands at. */
  readonly open: { readonly deploy: string; readonly step: StepName | null } | null;
  readonly lock: LockHolder | null;
  readonly failure?: Failure;
}

export interface ProxyStatus {
  readonly pid: number | null;
  readonly workers: number;
  readonly retiring: number;
}

/** A proxy worker (or a master that has yet to go), and what it still serves. */
export interface Holder {
  readonly pid: number;
  /** Connections of clients, and of its own to pools and other servers. */
  readonly clients: number;
  readonly upstreams: number;
}

/** Workers that were born together, of one start or reload. */
export interface WorkerGeneration {
  /** RFC 3339 */
  readonly since: string;
  /** They take no new requests. */
  readonly retiring: boolean;
  readonly workers: readonly Holder[];
}

/** The proxy as `nginx status` shows it. `dead`: it does not run, its pidfile is there. `orphaned`: workers serve, no master. */
export interface NginxStatus extends ProxyStatus {
  /** `stopping`: told to quit, it takes no new connection any more. */
  readonly state: 'running' | 'stopping' | 'orphaned' | 'dead' | 'stopped';
  readonly config: string;
  readonly binary: string;
  /** RFC 3339: when the master started. */
  readonly since: string | null;
  readonly pidfile: string | null;
  /** The youngest first. */
  readonly generations: readonly WorkerGeneration[];
  /** Workers whose master was killed, if there are any; beside a master that runs, those of another one. */
  readonly orphans?: readonly WorkerGeneration[];
  /** A binary upgrade that is not finished; `ours`: begun by `nginx upgrade`, so that `recover` ends it. */
  readonly upgrade: {
    readonly old: number | null;
    readonly new: number | null;
    readonly ours: boolean;
    readonly generations: readonly WorkerGeneration[];
  } | null;
}

/**
 * Where an upgrade of the binary failed. `start`: no new master came up; `workers`: it has too few; `listeners`:
 * they do not wait on every socket of the old one; `died`: it ended; `crashed`: workers of it did not live on; `retire`: the old workers
 * went on taking requests; `answers`: no new worker took a connection; `leave`: the old workers did not end; `quit`: the
 * old master did not.
 */
export type UpgradeStage =
  'start' | 'workers' | 'listeners' | 'died' | 'crashed' | 'retire' | 'answers' | 'leave' | 'quit';

export interface HistoryEntry {
  readonly deploy: string;
  readonly app: string;
  /** RFC 3339 */
  readonly time: string;
  readonly who: string;
  readonly command: string;
  readonly from: Slot | null;
  readonly to: Slot;
  /** null: open, that is running now or interrupted by a crash. */
  readonly outcome: Outcome | null;
  readonly ms: Timings;
  /** At most so many requests were cut; 0 is exact. */
  readonly cut: number;
  readonly reason: FailureReason | null;
}

/** Milliseconds by step, and `total`. A step that was not taken has no key. */
export type Timings = Readonly<Partial<Record<StepName | 'total', number>>>;

/** The last line of every command, failed or not. `cut` is an upper bound, 0 is exact. */
export interface CommandResult {
  readonly command: CommandName | null;
  /** Of `pool` and `nginx`. */
  readonly verb?: PoolVerb | NginxVerb;
  readonly slot?: Slot;
  readonly outcome?: Outcome;
  readonly exit: ExitCode;
  readonly from?: Slot | null;
  readonly to?: Slot;
  readonly switch?: SwitchKind;
  /** `start`: set when the pool is up, and nobody is sent to it. */
  readonly served?: false;
  readonly ms?: Timings;
  readonly drain?: Connections & { readonly cut: number };
  readonly failure?: Failure;
  readonly apps?: readonly AppStatus[];
  readonly pools?: readonly PoolStatus[];
  readonly nginx?: ProxyStatus | NginxStatus | null;
  readonly history?: readonly HistoryEntry[];
  /** Of `doctor`: the worst first; and which apps were looked at. */
  readonly findings?: readonly Finding[];
  readonly examined?: readonly string[];
  /** What `--fix` has mended: what was found before and is not found any more. */
  readonly mended?: readonly Finding[];
  readonly demo?: DemoReport;
  readonly init?: InitReport;
}

/** One row of the demo's table. */
export interface DemoRow {
  readonly switch: SwitchKind;
  readonly from: Slot;
  readonly to: Slot;
  readonly deployMs: number;
}

export interface DemoReport {
  readonly rows: readonly DemoRow[];
  readonly requests: number;
  readonly cut: number;
  /** Requests on kept connections that nginx's own reload closed while they were on their way: a class of their own (rewrite only). */
  readonly idleKeepAliveCut: number;
  readonly classes: readonly {
    readonly name: string;
    readonly requests: number;
    readonly cut: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  }[];
}
