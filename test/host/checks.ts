/** What has to be true at the end of every host test. Each check gives sentences, none when all is well. */
import type { LoadRecord } from '../../src/demo/load.js';
import { accountOf, cuts } from '../../src/demo/summary.js';
import type { SwitchKind } from '../../src/event.js';
import { now, waitUntil, wallClock } from '../../src/system/clock.js';
import { RETIRED, alarms, loadProblems } from '../support/checks.js';
import { NOTICES, type Host } from './host.js';
import type { HostLoad } from './load.js';
import { APPLICATION } from './site.js';

/** What a test expects to be otherwise, and says so. */
export interface HostAllowance {
  /** Lines of nginx's error log. */
  log: RegExp[];
  /** Requests that were to be cut. */
  cut: (record: LoadRecord) => boolean;
  /** A site that switches by symlink whose nginx is reloaded under load all the same: by the test, or by the move. */
  reloads: boolean;
  failedUnits: RegExp[];
  /** A deploy that is not finished: it drains, or a person has to look. */
  openJournal: boolean;
  /** Processes by their command: orphaned workers, retiring ones, a swap-pool. */
  processes: RegExp[];
  /** Files that would be strays, by their path. */
  files: RegExp[];
  /** How long what ends by itself may take to end, ms. */
  patience: number;
}

export const nothingAllowed = (): HostAllowance => ({
  log: [RETIRED],
  cut: () => false,
  reloads: false,
  failedUnits: [],
  openJournal: false,
  processes: [],
  files: [],
  patience: 10_000,
});

/** Ends a load. 0 requests cut (what nginx's reload hits is nginx's, where a switch needs one), all work after fastcgi_finish_request done. */
export async function endLoad(host: Host, load: HostLoad): Promise<string[]> {
  const records = await load.stop();
  const account = accountOf(host.read(NOTICES), host.read('/var/log/nginx/access.log'), wallClock() - now());
  const finished = (): string[] => host.trySh(`cat ${APPLICATION}/work/finished`).stdout.split('\n');
  return loadProblems(records, cuts(records, switchOf(host), account), finished, host.allow);
}

function switchOf(host: Host): SwitchKind {
  const symlink = host.trySh('grep -qs "by: symlink" /etc/swap-pool/*.yaml').status === 0;
  return symlink && !host.allow.reloads ? 'symlink' : 'rewrite';
}

/** The checks that need no end of the load. What is on its way out is waited for. */
export async function disorder(host: Host): Promise<string[]> {
  let problems: string[] = [];
  await waitUntil(
    () => {
      problems = [...processes(host), ...strays(host)];
      return problems.length === 0 ? true : undefined;
    },
    { deadline: host.allow.patience, pace: () => 50 },
  );
  return [...problems, ...alarms(host.read(NOTICES), host.allow), ...journals(host), ...failedUnits(host)];
}

/** No orphaned worker, no retiring one, nobody of swap-pool's. */
function processes(host: Host): string[] {
  const all = host.machine.inhabitants();
  const masters = new Set(
    all.filter(({ command }) => /^(nginx|php-fpm): master process/.test(command)).map(({ id }) => id.pid),
  );
  return all.flatMap(({ id, ppid, command }) => {
    if (host.allow.processes.some((pattern) => pattern.test(command))) return [];
    const what = `process ${id.pid}: ${command}`;
    if (/^nginx: worker process is/.test(command)) return [`still there: ${what}`];
    if (/^(nginx: worker|php-fpm: pool )/.test(command)) return masters.has(ppid) ? [] : [`orphaned ${what}`];
    return /^(\S*node )?\S*\bswap-pool( |$)/.test(command) ? [`still runs: ${what}`] : [];
  });
}

/** No temporary or retired name anywhere, no socket in /run that nobody listens to. */
function strays(host: Host): string[] {
  const names = host.sh(
    `find /etc /run /srv /var/lib -path /run/host -prune -o \\( -name '*.swap-pool-*' -o -path '/run/*' -type s \\) -printf '%y %p\\n'`,
  );
  const listening = new Set(
    host
      .sh('cat /proc/net/unix')
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([, , , , , , , path]) => path),
  );
  return names
    .split('\n')
    .map((line) => [line.slice(0, 1), line.slice(2)] as const)
    .filter(
      ([kind, path]) =>
        path !== '' && !(kind === 's' && listening.has(path) && !path.includes('.swap-pool-')),
    )
    .filter(([, path]) => !host.allow.files.some((pattern) => pattern.test(path)))
    .map(([kind, path]) => `stray ${kind === 's' ? 'socket' : 'file'} ${path}`);
}

/** Every deploy has its last record. */
const journals = (host: Host): string[] =>
  host.allow.openJournal
    ? []
    : host
        .sh(`find /var/lib/swap-pool -name '*.ndjson' -path '*/deploys/*' 2>/dev/null || true`)
        .split('\n')
        .filter(Boolean)
        .map((path) => [path, host.read(path).trimEnd().split('\n').at(-1) ?? ''] as const)
        .filter(([, last]) => !last.includes('"type":"closed"'))
        .map(([path, last]) => `${path} is not closed: ${last}`);

const failedUnits = (host: Host): string[] =>
  host
    .sh('systemctl list-units --failed --plain --no-legend --full')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '')
    .filter((unit) => unit !== '' && !host.allow.failedUnits.some((pattern) => pattern.test(unit)))
    .map((unit) => `failed unit ${unit}`);
