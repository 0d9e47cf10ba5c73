/**
 * What `systemctl show` says of units. PURE.
 */

/** The properties that are asked for. */
export const PROPERTIES: readonly string[] = [
  'Id',
  'LoadState',
  'LoadError',
  'ActiveState',
  'SubState',
  'Result',
  'MainPID',
  'NRestarts',
  'Job',
  'KillSignal',
  'ExecStop',
  'TimeoutStopUSec',
  'RuntimeDirectory',
  'RuntimeDirectoryPreserve',
  'Environment',
  'EnvironmentFiles',
  'FragmentPath',
  'DropInPaths',
  'NeedDaemonReload',
];

export interface Unit {
  /** Its real name, where it was asked for by another one. */
  readonly id: string;
  /** `loaded`, `not-found`, `masked`, `bad-setting`, `error` */
  readonly load: string;
  readonly loadError: string;
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading` */
  readonly active: string;
  /** It has ended, and systemd waits to start it again (Restart=). */
  readonly isToRestart: boolean;
  /** How often systemd has started it again since somebody did. */
  readonly restarts: number;
  /** Why it is in its state: `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit` … */
  readonly result: string;
  readonly mainPid: number | null;
  /** A start or a stop of it is queued or under way. */
  readonly hasJob: boolean;
  /** Its number. */
  readonly killSignal: number;
  /** The signals that its ExecStop= sends by kill(1) or one like it. */
  readonly stopSignals: readonly string[];
  /** How long a stop may take before systemd kills, ms; null: for ever, or it does not say. */
  readonly stopTimeout: number | null;
  /** Names below /run that go when it stops. */
  readonly runtimeFolders: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** The unit's file, its drop-ins, its environment files. */
  readonly files: readonly string[];
  /** Its files are newer than what systemd has read. */
  readonly isUnread: boolean;
}

/** The units of one answer, in the order they were asked for: a block each, blank lines between. */
export function parseUnits(text: string): Unit[] {
  return text
    .split(/\n{2,}/)
    .filter((block) => block.trim() !== '')
    .map(parseUnit);
}

function parseUnit(block: string): Unit {
  const values = new Map<string, string>();
  const environmentFiles: string[] = [];
  const stops: string[] = [];
  for (const line of block.split('\n')) {
    const at = line.indexOf('=');
    if (at < 0) continue;
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    // one line a file: `/etc/default/shop (ignore_errors=yes)`
    if (key === 'EnvironmentFiles') environmentFiles.push(value.replace(/ \(ignore_errors=\w+\)$/, ''));
    else if (key === 'ExecStop') stops.push(value);
    else values.set(key, value);
  }
  const of = (key: string): string => values.get(key) ?? '';
  const pid = Number(of('MainPID') || '0');
  return {
    id: of('Id'),
    load: of('LoadState'),
    // `org.freedesktop.systemd1.NoSuchUnit "Unit x.service not found."`
    loadError: /"(.*)"/.exec(of('LoadError'))?.[1] ?? '',
    active: of('ActiveState'),
    // `auto-restart`, `auto-restart-queued`
    isToRestart: of('SubState').startsWith('auto-restart'),
    restarts: Number(of('NRestarts') || '0'),
    result: of('Result'),
    mainPid: pid > 0 ? pid : null,
    hasJob: /[1-9]/.test(of('Job')),
    killSignal: Number(of('KillSignal') || '15'),
    stopSignals: stops.flatMap((stop) => signalSent(stop) ?? []),
    stopTimeout: span(of('TimeoutStopUSec')),
    runtimeFolders:
      of('RuntimeDirectoryPreserve') === 'yes' ? [] : of('RuntimeDirectory').split(' ').filter(Boolean),
    environment: Object.fromEntries(
      words(of('Environment')).flatMap((word) => {
        const at = word.indexOf('=');
        return at > 0 ? [[word.slice(0, at), word.slice(at + 1)]] : [];
      }),
    ),
    files: [of('FragmentPath'), ...of('DropInPaths').split(' '), ...environmentFiles].filter(Boolean),
    isUnread: of('NeedDaemonReload') === 'yes',
  };
}

/** A list as systemd quotes it: blanks between, "…" around what holds some, a backslash before what is special. */
function words(text: string): string[] {
  return [...text.matchAll(/\$?(["'])((?:\\.|(?!\1).)*)\1|([^\s"']\S*)/g)].map(([, , quoted, bare]) =>
    quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1'),
  );
}

/** `{ path=/bin/kill ; argv[]=/bin/kill -s TERM $MAINPID ; ignore_errors=no ; … }`: what kill(1) is told to send; null: no kill. */
function signalSent(stop: string): string | null {
  const argv = /argv\[\]=(.*?) ;/.exec(stop)?.[1]?.split(' ') ?? [];
  const at = argv.findIndex((word) => /(?:^|\/)(?:kill|pkill|killall)$/.test(word));
  if (at < 0) return null;
  const options = argv.slice(at + 1).join(' ');
  const named = /(?:^| )(?:-s ?|--signal[ =]|-)(?:SIG)?([A-Z]+[12]?|\d+)(?= |$)/.exec(options)?.[1] ?? 'TERM';
  return /^\d/.test(named) ? signalName(Number(named)) : `SIG${named}`;
}

/** A span as systemd writes it, `1min 30s`, in ms; null for `infinity` and for what is none. */
function span(text: string): number | null {
  const parts = [...text.matchAll(/([\d.]+)(us|ms|s|min|h|d)\b/g)];
  if (parts.length === 0) return null;
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * (UNITS[unit ?? ''] ?? 0), 0);
}
const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** signal(7), as far as units are stopped with them. */
export const signalName = (number: number): string =>
  ({ 1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 9: 'SIGKILL', 10: 'SIGUSR1', 12: 'SIGUSR2', 15: 'SIGTERM' })[
    number
  ] ?? `signal ${String(number)}`;
