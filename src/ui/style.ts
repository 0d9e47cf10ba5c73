/** Colours as functions, so that tables and lines need not know whether there are any. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
}

const same = (text: string): string => text;

/** No colour at all. The coloured one is in tty.ts, beside its library. */
export const PLAIN: Style = { bold: same, dim: same, red: same, green: same, yellow: same };

/**
 * Whether to colour a stream. `--no-color` is stronger than the environment; of the
 * environment FORCE_COLOR is stronger than NO_COLOR, as in node itself. A CI's terminal
 * is a log: what a runner shows raw must hold no escape.
 */
export function wantsColor(
  allowed: boolean,
  isTty: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  if (!allowed) return false;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  return isTty && env['TERM'] !== 'dumb' && !isSet(env['CI']);
}

/** Whether a variable that means yes or no means yes. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}
