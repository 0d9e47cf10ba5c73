/**
 * Durations as people write them. PURE.
 */

/** What a text is as a duration, in ms; or why it is none, in the two halves of a Problem. */
export type Duration =
  | { readonly ok: true; readonly ms: number }
  | { readonly ok: false; readonly what: string; readonly fix: string };

/**
 * setTimeout(3) of node keeps its delay in a signed 32-bit number of ms; a longer
 * one is turned into 1 ms, so that "wait long" would become "do not wait".
 */
export const LONGEST_MS = 2 ** 31 - 1;

/**
 * Reads `500ms`, `30s`, `5m`, `1h30m`: whole numbers with their units, each unit at most
 * once, the larger before the smaller. A bare number is refused, `0` too: one tool's
 * seconds are the other's milliseconds.
 */
export function parseDuration(text: string): Duration {
  const parts = FORM.exec(text);
  if (text === '' || parts === null) {
    return /^\d+$/.test(text)
      ? {
          ok: false,
          what: 'is a bare number',
          fix: `give it a unit: ${shorten(text)}s, ${shorten(text)}ms, …`,
        }
      : { ok: false, what: 'is no duration', fix: WANTED };
  }
  const ms = UNITS.reduce((sum, unit, index) => sum + Number(parts[index + 1] ?? 0) * unit, 0);
  if (ms > LONGEST_MS) return { ok: false, what: 'is too long', fix: 'write at most 24 days, that is 576h' };
  return { ok: true, ms };
}

const WANTED = 'write a duration such as 500ms, 30s, 5m or 1h30m';
const FORM = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/;
const UNITS = [3_600_000, 60_000, 1000, 1];

const shorten = (digits: string): string => (digits.length > 12 ? 'N' : digits);
