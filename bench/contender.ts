/**
 * What a contender of the bench is: somebody's way to put a new pool in charge.
 */
import type { Account } from '../src/demo/summary.js';
import type { Programs } from '../src/demo/programs.js';
import type { Sandbox } from '../src/demo/sandbox.js';
import type { Slot } from '../src/event.js';

export interface Contender {
  readonly name: string;
  readonly title: string;
  /** How it was set up, and what about that is to its advantage. */
  readonly notes: readonly string[];
  /** Programs beside nginx and php-fpm that it needs: their paths. */
  readonly needs?: readonly string[];
  /** Brings it up: everything serves when this resolves. */
  readonly open: (bench: Bench) => Promise<Stage>;
}

/** What there is to build a contender of. */
export interface Bench {
  readonly root: string;
  /** swap-pool's bundle. */
  readonly cli: string;
  /** The bundled load sender. */
  readonly sender: string;
  readonly templates: string;
  readonly programs: Programs;
}

/** A contender that serves. */
export interface Stage {
  readonly sandbox: Sandbox;
  readonly port: number;
  /** The slot that serves; a contender that has but one pool says `blue`. */
  active(): Slot;
  /** One deploy; `mark` is told when a part of it begins. Throws when it fails. */
  deploy(mark: (what: string) => void): Promise<void>;
  /**
   * What its proxy closed by its own reload, for the class of hits that no pool sees; null for one that reloads nothing,
   * where nothing is excused.
   */
  account(): Account | null;
  /** Root processes beside nginx and the pools, for the memory. */
  pids?(): readonly number[];
}
