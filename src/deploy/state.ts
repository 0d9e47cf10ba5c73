/**
 * What a journal says: pure, entries in, state out. Replaying the same entries always
 * gives the same state, and a journal that breaks off anywhere gives a state too, because
 * a process can be killed between any two records.
 */
import type { OlderWorker, PoolLife, ProxyProof, SwitchEvidence, SwitchIntent } from '../drivers.js';
import type {
  Connections,
  Failure,
  FailureReason,
  Outcome,
  ProcessId,
  Slot,
  StepName,
  SwitchKind,
  Timings,
} from '../event.js';

// ---------------------------------------------------------------- records

/** The first record: what was planned, and every fact of the world that recovery will need. */
export interface Opened {
  readonly type: 'opened';
  readonly schema: 1;
  readonly time: string;
  readonly deploy: string;
  readonly app: string;
  readonly command: 'deploy' | 'start' | 'rollback';
  readonly who: string;
  /** The swap-pool that runs it. */
  readonly runner: ProcessId;
  readonly from: Slot | null;
  readonly to: Slot;
  readonly switch: SwitchKind;
  readonly steps: readonly StepName[];
  /** The pool that leaves; null when nothing serves. */
  readonly leaving: PoolLife | null;
  /** The pool that is taken back as it runs, for a rollback onto a slot that still drains. */
  readonly arriving: PoolLife | null;
  /** The unfinished deploy whose drain this one takes over. */
  readonly supersedes: string | null;
  /** What the pool that is to serve runs, see --if-changed; null when nobody knows. */
  readonly fingerprint: string | null;
  readonly proof: ProxyProof | null;
  /** Set when the proxy did not run the files on the disk: the switch makes it read them, whoever takes it up. */
  readonly behind?: true;
}

/** Written and fsynced before a step acts. */
export interface Intent {
  readonly type: 'intent';
  readonly time: string;
  readonly step: StepName;
  readonly revert: boolean;
  /** `switch` only: what the proxy was like. */
  readonly before?: SwitchIntent;
}

/** Written and fsynced once a step has acted and its effect has been seen. */
export interface Evidence {
  readonly type: 'evidence';
  readonly time: string;
  readonly step: StepName;
  readonly revert: boolean;
  readonly ms: number;
  /** `start` */
  readonly life?: PoolLife;
  /** `start`: what was fingerprinted was changed before the pool had come up: nobody knows what it runs. */
  readonly edited?: true;
  /** `switch`, and its revert; `verify`, when a person had made the switch. */
  readonly switched?: SwitchEvidence;
  /** `drain`: what the pool held at the first look. `stop`: what was cut. */
  readonly connections?: Connections;
  readonly cut?: number;
  /** `drain`: its deadline passed, what is served will be cut. */
  readonly cutting?: boolean;
}

/** Nothing safe can be done without a person. `recover` may look again and go on. */
export interface Stranded {
  readonly type: 'stranded';
  readonly time: string;
  readonly failure: Failure;
}

/** The pivot is behind, the old pool was kept: at its deadline or by a signal. */
export interface Kept {
  readonly type: 'kept';
  readonly time: string;
  readonly reason: FailureReason;
}

/**
 * Somebody took the old pool back for a while and gave it up again: these proxy workers, too,
 * may still send requests to it.
 */
export interface Older {
  readonly type: 'older';
  readonly time: string;
  readonly older: readonly OlderWorker[];
}

/** The pool that is to serve is not one that this deploy was seen to start: nobody knows what it runs. */
export interface Adopted {
  readonly type: 'adopted';
  readonly time: string;
  readonly life: PoolLife;
}

/** The last record. */
export interface Closed {
  readonly type: 'closed';
  readonly time: string;
  readonly outcome: Outcome;
  readonly reason: FailureReason | null;
  readonly ms: Timings;
  readonly cut: number;
  /** What the proxy was proven to run at the end. */
  readonly proof: ProxyProof | null;
}

export type Entry = Opened | Intent | Evidence | Stranded | Kept | Older | Adopted | Closed;

// ---------------------------------------------------------------- state

/** What every state of an open deploy knows. */
export interface Known {
  readonly opened: Opened;
  readonly arriving: PoolLife | null;
  /** The world before the switch; set once a switch may have acted. */
  readonly before: SwitchIntent | null;
  /** Set while the proxy is proven to point at `to`. */
  readonly switched: SwitchEvidence | null;
  /** Proxy workers that may still send requests to the arriving slot, after a reverted switch. */
  readonly unswitched: SwitchEvidence | null;
  readonly cut: number;
  /** How long the steps took that are done, ms. */
  readonly ms: Timings;
  readonly drained: Connections | null;
  /** When the last intent was written: RFC 3339. */
  readonly since: string;
  /** The drain's deadline passed and the pool is being stopped with requests in flight. */
  readonly cutting: boolean;
}

export type DeployState =
  /** Nothing has been done yet. */
  | (Known & { readonly phase: 'planned' })
  /** A step has begun; whether it acted is not known. */
  | (Known & { readonly phase: 'acting'; readonly step: StepName })
  /** A step has been seen to be done, the next has not begun. */
  | (Known & { readonly phase: 'done'; readonly step: StepName })
  /** The deploy is being undone; `step` is the revert that stands last, `finished` or not. */
  | (Known & { readonly phase: 'reverting'; readonly step: StepName; readonly finished: boolean })
  | { readonly phase: 'closed'; readonly opened: Opened; readonly closed: Closed };

/** Replays a journal. Null: not even its first record is there, so nothing was touched. */
export function replay(entries: readonly Entry[]): DeployState | null {
  let state: DeployState | null = null;
  for (const entry of entries) state = next(state, entry) ?? state;
  return state;
}

function next(state: DeployState | null, entry: Entry): DeployState | null {
  if (state === null) return entry.type === 'opened' ? fresh(entry) : null;
  if (state.phase === 'closed') return state;
  switch (entry.type) {
    case 'opened':
      return state;
    case 'intent':
      return entry.revert
        ? { ...known(state), since: entry.time, phase: 'reverting', step: entry.step, finished: false }
        : {
            ...known(state),
            since: entry.time,
            before: entry.before ?? state.before,
            phase: 'acting',
            step: entry.step,
          };
    case 'evidence':
      return entry.revert ? undone(state, entry) : proved(state, entry);
    case 'stranded':
    case 'kept':
      return state;
    case 'older':
      return state.switched === null
        ? state
        : { ...state, switched: { ...state.switched, older: [...state.switched.older, ...entry.older] } };
    case 'adopted':
      return { ...state, arriving: entry.life, opened: { ...state.opened, fingerprint: null } };
    case 'closed':
      return { phase: 'closed', opened: state.opened, closed: entry };
    default:
      return unreachable(entry);
  }
}

function fresh(opened: Opened): DeployState {
  return {
    phase: 'planned',
    opened,
    arriving: opened.arriving,
    before: null,
    switched: null,
    unswitched: null,
    cut: 0,
    ms: {},
    drained: null,
    since: opened.time,
    cutting: false,
  };
}

function proved(state: Known, entry: Evidence): DeployState {
  return {
    ...known(state),
    opened: entry.edited === true ? { ...state.opened, fingerprint: null } : state.opened,
    arriving: entry.life ?? state.arriving,
    switched: entry.switched ?? state.switched,
    cut: state.cut + (entry.cut ?? 0),
    ms: { ...state.ms, [entry.step]: entry.ms },
    drained: entry.connections ?? state.drained,
    cutting: entry.cutting ?? state.cutting,
    phase: 'done',
    step: entry.step,
  };
}

function undone(state: Known, entry: Evidence): DeployState {
  return {
    ...known(state),
    switched: entry.step === 'switch' ? null : state.switched,
    unswitched: entry.step === 'switch' ? (entry.switched ?? null) : state.unswitched,
    cut: state.cut + (entry.cut ?? 0),
    phase: 'reverting',
    step: entry.step,
    finished: true,
  };
}

const known = (state: Known): Known => ({
  opened: state.opened,
  arriving: state.arriving,
  before: state.before,
  switched: state.switched,
  unswitched: state.unswitched,
  cut: state.cut,
  ms: state.ms,
  drained: state.drained,
  since: state.since,
  cutting: state.cutting,
});

// ---------------------------------------------------------------- what recovery must do

/** The way out of an open deploy, as far as its journal alone can tell. */
export type Course =
  /** Undo what was done; the proxy never followed, or no longer does. */
  | 'revert'
  /** A switch has begun: only the world knows whether it happened. */
  | 'observe'
  /** The switch is proven, the pool behind it is not: prove it now, or go back. */
  | 'prove'
  /** Past the pivot: nothing is undone any more. */
  | 'forward'
  | 'nothing';

/** A deploy whose plan has no switch pivots at its last step. */
export function course(state: DeployState): Course {
  switch (state.phase) {
    case 'closed':
      return 'nothing';
    case 'planned':
      return 'revert';
    case 'reverting':
      return 'revert';
    case 'acting':
    case 'done': {
      const done = state.phase === 'done';
      switch (state.step) {
        case 'start':
        case 'probe':
          return done && lastOf(state.opened) === state.step ? 'forward' : 'revert';
        case 'switch':
          if (!done) return 'observe';
          return lastOf(state.opened) === 'switch' ? 'forward' : 'prove';
        case 'verify':
          return done ? 'forward' : 'prove';
        case 'drain':
        case 'retire':
        case 'stop':
          return 'forward';
        default:
          return unreachable(state.step);
      }
    }
    default:
      return unreachable(state);
  }
}

/**
 * What a deploy took: its steps, and in all the time from its first record to `until` (RFC 3339). So what lies
 * between the steps counts, what was undone and, where somebody else ended it, the time it lay. A wall clock may
 * be set back meanwhile: then the steps alone count.
 */
export function durations(opened: Opened, steps: Timings, until: string): Timings {
  const ms: Partial<Record<StepName | 'total', number>> = {};
  let sum = 0;
  for (const name of opened.steps) {
    const each = steps[name];
    if (each === undefined) continue;
    ms[name] = Math.round(each);
    sum += each;
  }
  const wall = Date.parse(until) - Date.parse(opened.time);
  return { ...ms, total: Math.round(Math.max(sum, wall || 0)) };
}

/** Where an open deploy stands, for people; null when it has not begun or is closed. */
export const standsAt = (state: DeployState): StepName | null =>
  state.phase === 'planned' || state.phase === 'closed' ? null : state.step;

/**
 * Whether a switch of this deploy can be in effect. Where none can, it is somebody else who has pointed the
 * proxy at the arriving slot.
 */
export function mayHaveSwitched(state: DeployState): boolean {
  switch (state.phase) {
    case 'closed':
    case 'planned':
      return false;
    case 'reverting':
      return state.step === 'switch' && !state.finished;
    case 'acting':
    case 'done':
      return state.step !== 'start' && state.step !== 'probe';
    default:
      return unreachable(state);
  }
}

/** Whether the deploy is past its point of no return. */
export const pastPivot = (state: DeployState): boolean => course(state) === 'forward';

const lastOf = (opened: Opened): StepName | undefined => opened.steps.at(-1);

function unreachable(value: never): never {
  throw new Error(`not a journal value: ${JSON.stringify(value)}`);
}
