/**
 * When a drain looks again, and at how much: quick while the end may be near, for most requests that are under way
 * when a pool is left are short, and cheap when it is not. A short look asks only whether those who were at work
 * still are; a whole one takes many times as long, and the longer the more sockets the host has.
 *
 * Pure: moments are given, ms on one clock.
 */

/** Short looks and whole ones take a hundredth of a core at most, each. */
const SHARE = 100;
/** What has only begun may cost more, ms: it ends a request sooner. */
const HASTE = 100;
const SLOWEST = 500;
/**
 * Figures for a person are refreshed so often, ms; and of a drain that goes on for seconds so much more rarely as it has
 * lasted.
 */
const SHOW_EVERY = 200;
const SHOW_SHARE = 10;
const SHOW_SLOWEST = 2000;
/** More connections than these, and it is not the next one that is the last. */
const MANY = 20;

export class DrainPace {
  private shown = -Infinity;
  private idleSince: number | null = null;
  /** What the last whole look took, ms, and what the next one will that nobody has to see figures of. */
  private whole = 0;
  private cost = 0;
  /** The look that is under way. */
  private from = 0;
  private due = false;

  constructor(private readonly began: number) {}

  /** A look begins. Whether it is to be a whole one, for those who watch. */
  begins(at: number): boolean {
    this.from = at;
    this.due = at - this.shown >= Math.max(this.showEvery(at), SHARE * this.whole);
    return this.due;
  }

  /** It ends. `idle`: nobody works, and waited for is only that nobody can come any more. */
  ends(at: number, kind: 'short' | 'whole', seen: 'work' | 'idle'): void {
    const took = at - this.from;
    if (kind === 'whole') this.whole = took;
    // a whole one that was not due had to be, as nobody was at work: the next one will be such a one again. What finds
    // the pool idle and the way open is paced by its own rule
    if (!this.due && (kind === 'whole' || seen === 'work')) this.cost = took;
    this.idleSince = seen === 'idle' ? (this.idleSince ?? this.from) : null;
  }

  /** Whether figures are to be shown that were seen just now; they are taken to be. */
  shows(at: number): boolean {
    if (at - this.shown < this.showEvery(at)) return false;
    this.shown = at;
    return true;
  }

  /** Ms until the next look begins; `connections`: what the pool held at the last whole one. */
  next(at: number, connections: number): number {
    // a proxy worker that has had its last answer goes within ms, or stays for another site's sake
    if (this.idleSince !== null) return Math.min(SLOWEST, Math.max(1, (at - this.idleSince) / 10));
    const elapsed = at - this.began;
    const many = connections > MANY;
    const [least, most, share] = many ? [50, 100, 100] : [elapsed < 500 ? 1 : 10, 50, 200];
    const patient = Math.min(most, Math.max(least, elapsed / share));
    return Math.min(SLOWEST, Math.max(patient, elapsed < HASTE ? 0 : this.cost * SHARE));
  }

  /** How long those who watch can do without new figures. */
  private showEvery(at: number): number {
    return Math.max(SHOW_EVERY, Math.min(SHOW_SLOWEST, (at - this.began) / SHOW_SHARE));
  }
}
