/**
 * The only waiting there is. Nothing here sleeps for its own sake: waitUntil
 * looks, and looks again, until what it waits for is seen or its deadline passes,
 * and a deadline is never a success.
 *
 * Spans are measured with performance.now(): a clock that somebody sets back and
 * forth does not move them. The wall clock is for records that people read.
 */

/** Milliseconds on a clock that only runs forward. */
export const now = (): number => performance.now();

/** RFC 3339, UTC, milliseconds: for records, never for measuring. */
export const timestamp = (): string => new Date().toISOString();

/** Milliseconds since the epoch: to be compared with file times, never for measuring. */
export const wallClock = (): number => Date.now();

export type Waited<T> =
  { readonly kind: 'seen'; readonly value: T } | { readonly kind: 'deadline' } | { readonly kind: 'aborted' };

export interface Waiting {
  /** How long to wait at most, ms. */
  readonly deadline: number;
  /** Ends the wait early. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds until the next look, given how long the wait has lasted. By default
   * 1 ms at first, a tenth of the time waited later, 250 ms at most: quick when the end
   * is near, cheap when it is not.
   */
  readonly pace?: (elapsed: number) => number;
}

const defaultPace = (elapsed: number): number => Math.min(250, Math.max(1, elapsed / 10));

/**
 * Calls `observe` until it gives something other than undefined, and gives that back.
 * It always looks at least once, and once more when the deadline has passed, so that
 * a process that was not scheduled in time is not taken for one that failed.
 */
export async function waitUntil<T>(
  observe: () => T | undefined | Promise<T | undefined>,
  { deadline, signal, pace = defaultPace }: Waiting,
): Promise<Waited<T>> {
  const began = now();
  for (;;) {
    const late = now() - began >= deadline;
    const value = await observe();
    if (value !== undefined) return { kind: 'seen', value };
    if (signal?.aborted === true) return { kind: 'aborted' };
    if (late) return { kind: 'deadline' };
    const elapsed = now() - began;
    await pause(Math.max(0, Math.min(pace(elapsed), deadline - elapsed)), signal);
  }
}

/** Calls `act` once after `ms`, unless the returned function is called first. For deadlines of I/O. */
export function after(ms: number, act: () => void): () => void {
  const timer = setTimeout(act, ms);
  return () => {
    clearTimeout(timer);
  };
}

/** Calls `act` every `ms` until the returned function is called; does not keep the process alive. For displays. */
export function every(ms: number, act: () => void): () => void {
  const timer = setInterval(act, ms);
  timer.unref();
  return () => {
    clearInterval(timer);
  };
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
  });
}
