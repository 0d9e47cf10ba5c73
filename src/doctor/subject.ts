/** What doctor looks at: everything that could be found out of one app, and what a check says of it. */
import type { Config } from '../config/resolve.js';
import type { ProbeDriver, ProxyProof, ProxySwitch, ProxyView, SlotView } from '../drivers.js';
import type {
  Failure,
  Found,
  Life,
  LockHolder,
  ProcessId,
  Result,
  Severity,
  Slot,
  StepName,
} from '../event.js';
import type { Resolver } from '../nginx/address.js';
import type { Tester } from '../nginx/config-tree.js';
import type { Nginx } from '../nginx/master.js';
import type { Tree } from '../nginx/tree.js';
import type { Workers } from '../nginx/workers.js';
import type { Pools } from '../pool/driver.js';
import type { PoolSlot } from '../pool/slots.js';
import type { Procfs } from '../system/proc.js';
import type { Elsewhere } from './elsewhere.js';

/** One app as it could be opened: what cannot be read is a failure here, and not the end. */
export interface Patient {
  readonly fs: Procfs;
  readonly app: string;
  readonly root: boolean;
  readonly config: Result<Config>;
  /** null: without a configuration nobody knows what they are. */
  readonly pools: Result<Pools> | null;
  /** What else keeps them from being known. */
  readonly faults: readonly Failure[];
  /** null: where the pools listen is not known. */
  readonly proxy: ProxySwitch | null;
  readonly probe: ProbeDriver | null;
  readonly tester: Tester;
  readonly folders: Folders;
  readonly lockHolder: LockHolder | null;
  readonly past: Past;
}

/** Where swap-pool writes. */
export interface Folders {
  readonly state: string;
  readonly run: string;
  readonly locks: string;
}

/** What the app's journals say. */
export interface Past {
  /** Whose they are: `state-of-another-config` when somebody else's. */
  readonly owned: Result<void>;
  readonly open: { readonly deploy: string; readonly step: StepName | null } | null;
  /** Journals that may be of unfinished deploys, and can be read no more. */
  readonly damaged: readonly Failure[];
  /** The slot that the last done deploy left serving. */
  readonly last: Slot | null;
  /** What was last proven of the proxy. */
  readonly proof: ProxyProof | null;
}

/** The nginx that the app means, read without knowing a pool. */
export interface NginxFacts {
  readonly nginx: Nginx;
  readonly tree: Tree;
  readonly hash: string;
  /** What was last proven to run, by a deploy of this app and by anybody's. */
  readonly proofs: readonly ProxyProof[];
  /** null: the pools' addresses are not known. */
  readonly resolver: Resolver | null;
  /** null: it does not run. */
  readonly workers: Workers | null;
  /** Workers that serve without a master. */
  readonly orphans: readonly ProcessId[];
  /** ms since the epoch, by worker */
  readonly born: (id: ProcessId) => number;
  /** What a worker still serves. */
  readonly held: (id: ProcessId) => { readonly clients: number; readonly upstreams: number };
  readonly version: string | null;
  readonly pidfile: string | null;
  /** The last lines of its error log that are no mere notices. */
  readonly log: () => string;
}

export interface Subject {
  readonly fs: Procfs;
  readonly config: Config;
  readonly slots: Readonly<Record<Slot, PoolSlot>> | null;
  readonly views: Readonly<Partial<Record<Slot, SlotView>>>;
  /** The slot that the proxy is proven to run, else names; else the one that should serve. null: nobody can tell. */
  readonly active: Slot | null;
  /** Whether the proxy leads there: `unknown`: it has not read the files that say so; `doubtful`: it may have. */
  readonly led: 'known' | 'doubtful' | 'unknown';
  readonly pools: Pools | null;
  readonly proxy: ProxyView | null;
  readonly nginx: NginxFacts | null;
  /** Why a pool that runs does not answer as it should. */
  readonly silent: Readonly<Partial<Record<Slot, Failure>>>;
  /** Of a slot whose address several pools have bound: each of them. */
  readonly lives: Readonly<Partial<Record<Slot, readonly Life[]>>>;
  /** Masters of its configuration that listen where it does not say. */
  readonly elsewhere: readonly Elsewhere[];
  readonly folders: Folders;
  /** A deploy is at work or was left open: what is between two states now is no finding of its own. */
  readonly inBetween: boolean;
}

/** What a check says. `host`: it is not this app's alone. */
export type Verdict = {
  readonly severity: Severity;
  readonly fixable?: true;
  readonly host?: true;
} & Found;

export type Check = (subject: Subject) => readonly Verdict[];

/** The views that there are, blue first. */
export const viewsOf = ({ views }: Pick<Subject, 'views'>): readonly SlotView[] =>
  [views.blue, views.green].filter((view) => view !== undefined);
