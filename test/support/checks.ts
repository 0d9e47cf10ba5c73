/**
 * The checks that nobody writes: what has to be true at the end of every test, whatever it was
 * about. Each gives sentences, none when all is well.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Load, LoadClass, LoadPlan, LoadRecord } from '../../src/demo/load.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { cuts } from '../../src/demo/summary.js';
import { SLOTS, type Slot, type SwitchKind } from '../../src/event.js';
import { waitUntil } from '../../src/system/clock.js';
import { procfs, readStat, title } from '../../src/system/proc.js';
import { socketsAt, type Address } from '../../src/system/sockets.js';
import { PATIENCE } from './limits.js';

const fs = procfs();

/** What a test expects to be otherwise, and says so. */
export interface Allowance {
  /** Lines of nginx's error log. */
  log: RegExp[];
  /** Requests that were to be cut. */
  cut: (record: LoadRecord) => boolean;
  /** A symlink switch that reloads all the same, because nginx keeps connections to the pool. */
  reloads: boolean;
  /** A deploy that is not finished: it drains, or a person has to look. */
  openJournal: boolean;
  bothSlots: boolean;
  orphans: boolean;
  /** Paths below the sandbox's folder. */
  strays: RegExp[];
  /** Classes of a load's plan of which no request is sent. */
  unsent: LoadClass[];
  /** Processes of the sandbox beside nginx and the pools, by their command. */
  processes: RegExp[];
  /** How long what ends by itself may take to end, ms. */
  patience: number;
}

/** A retired socket's name is gone while an old worker may still try it: that is the point, it goes to the other slot. */
export const RETIRED =
  /connect\(\) to unix:\S+ failed \(2: No such file or directory\) while connecting to upstream/;

/** FPM binds its socket before it gives it away: who asks a pool that comes back under its name may meet it in between. */
export const COMING_BACK =
  /connect\(\) to unix:\S+ failed \(13: Permission denied\) while connecting to upstream/;

export const nothingAllowed = (): Allowance => ({
  log: [RETIRED],
  cut: () => false,
  reloads: false,
  openJournal: false,
  bothSlots: false,
  orphans: false,
  strays: [],
  unsent: [],
  processes: [],
  patience: PATIENCE,
});

/** Requests of every class came to an end, 0 were cut, and all work after fastcgi_finish_request came to its end. */
export async function checkLoad(
  sandbox: Sandbox,
  load: Load,
  by: SwitchKind,
  allow: Allowance,
): Promise<string[]> {
  const records = await load.stop();
  const lost = cuts(records, allow.reloads ? 'rewrite' : by, sandbox.account());
  return [
    ...unsent(load.plan, records, allow),
    ...(await loadProblems(records, lost, () => sandbox.finished(), allow)),
  ];
}

/** That nothing was cut says nothing where nothing was sent. */
const unsent = (
  plan: LoadPlan,
  records: readonly LoadRecord[],
  { unsent: allowed }: Pick<Allowance, 'unsent'>,
): string[] =>
  Object.keys(plan)
    .map((name) => (name === 'idle' ? 'idle-keep-alive' : (name as LoadClass)))
    .filter((kind) => !allowed.includes(kind) && !records.some((record) => record.class === kind))
    .map((kind) => `no request of the class ${kind} was sent`);

/** The same of records that were made anywhere: `lost` of them were cut, `finished` are those whose work after the answer is done. */
export async function loadProblems(
  records: readonly LoadRecord[],
  lost: readonly LoadRecord[],
  finished: () => readonly string[],
  { cut, patience }: Pick<Allowance, 'cut' | 'patience'>,
): Promise<string[]> {
  const bad = lost.filter((record) => !cut(record));
  const begun = records.filter((record) => record.class === 'finish' && record.cut === null && !cut(record));
  const missing = (): string[] => {
    const done = new Set(finished());
    return begun.map(({ id }) => id).filter((id) => !done.has(id));
  };
  await waitUntil(() => (missing().length === 0 ? true : undefined), { deadline: patience });
  return [
    ...(bad.length === 0
      ? []
      : [`${bad.length} of ${records.length} requests cut: ${bad.slice(0, 5).map(show).join('; ')}`]),
    ...(missing().length === 0 ? [] : [`work cut after fastcgi_finish_request: ${missing().join(', ')}`]),
  ];
}

const show = ({ id, cut, ms, by, reused }: LoadRecord): string =>
  `${id} after ${ms.toFixed(0)} ms ${reused ? '(reused) ' : ''}by ${by ?? 'nobody'}: ${cut?.why ?? ''} ${cut?.detail ?? ''}`;

/** Nothing above `error` in nginx's log. */
export function checkNginxLog(sandbox: Sandbox, allow: Allowance): string[] {
  return alarms(readFileSync(sandbox.path('log', 'nginx.log'), 'utf8'), allow);
}

/** The lines of a log of nginx's above `error`. */
export const alarms = (log: string, { log: allowed }: Pick<Allowance, 'log'>): string[] =>
  log
    .split('\n')
    .filter((line) => /\[(alert|emerg|crit)\]/.test(line) && !allowed.some((pattern) => pattern.test(line)))
    .map((line) => `nginx.log: ${line}`);

/** nginx, at most one pool a site with its master, and nobody else. */
export async function checkProcesses(sandbox: Sandbox, allow: Allowance): Promise<string[]> {
  let problems: string[] = [];
  // a pool that was told to go takes a moment, and so does an nginx worker that has let go of its last client
  await waitUntil(() => ((problems = processProblems(sandbox, allow)).length === 0 ? true : undefined), {
    deadline: allow.patience,
  });
  return problems;
}

function processProblems(sandbox: Sandbox, allow: Allowance): string[] {
  const residents = sandbox.residents();
  const pids = new Set(residents.map(({ id }) => id.pid));
  const strange = residents.flatMap(({ id, ppid, command }) => {
    if (allow.processes.some((pattern) => pattern.test(command))) return [];
    const what = `process ${id.pid}: ${command}`;
    if (/^(nginx|php-fpm): master process/.test(command)) return [];
    if (command === 'nginx: worker process') return pids.has(ppid) ? [] : [`orphaned ${what}`];
    if (command.startsWith('nginx: worker process')) return [`still there: ${what}`];
    if (!command.startsWith('php-fpm: pool ')) return [`unexpected ${what}`];
    // "its parent is no FPM master" and not "its parent is 1": a subreaper may have taken it in
    return allow.orphans || isMaster(ppid) ? [] : [`orphaned ${what}`];
  });
  const doubled = sandbox.sites
    .filter(({ name }) => !allow.bothSlots && SLOTS.every((slot) => isListening(sandbox, slot, name)))
    .map(({ name }) => `both slots of ${name} run`);
  return [...strange, ...doubled];
}

const isMaster = (pid: number): boolean =>
  readStat(fs, pid) !== null && title(fs, pid).startsWith('php-fpm: master process');

/** Whether anybody listens at a slot's address. */
export const isListening = (sandbox: Sandbox, slot: Slot, name?: string): boolean =>
  socketsAt(fs, addressOf(sandbox, slot, name)).listeners.length > 0;

function addressOf(sandbox: Sandbox, slot: Slot, name?: string): Address {
  const address = sandbox.site(name).address[slot];
  if (address.startsWith('unix:')) return { kind: 'unix', path: address.slice(5) };
  return { kind: 'tcp', host: '127.0.0.1', port: Number(address.split(':')[1]) };
}

/** Every file below the sandbox's folder, for a later comparison. */
export function filesOf(sandbox: Sandbox): string[] {
  return readdirSync(sandbox.folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(sandbox.folder.length + 1))
    .sort();
}

/** No temporary or retired name anywhere, no socket or pidfile of a slot that does not run, no new file in configuration. */
export function checkFiles(sandbox: Sandbox, before: readonly string[], allow: Allowance): string[] {
  const known = new Set(before);
  const dead = sandbox.sites.flatMap(({ name }) =>
    SLOTS.filter((slot) => !isListening(sandbox, slot, name)).map((slot) => `run/${name}-${slot}`),
  );
  return filesOf(sandbox)
    .filter((path) => {
      if (allow.strays.some((pattern) => pattern.test(path))) return false;
      if (basename(path).includes('.swap-pool-')) return true;
      if (/^(config|pools|upstreams|sites|www)\//.test(path) || !path.includes('/')) return !known.has(path);
      return dead.some((slot) => [`${slot}.sock`, `${slot}-status.sock`, `${slot}.pid`].includes(path));
    })
    .map((path) => `stray file ${path}`);
}

/** One deploy's records; a torn last one is left out, as swap-pool leaves it out. */
export interface JournalFile {
  readonly file: string;
  readonly records: readonly { readonly type: string; readonly [key: string]: unknown }[];
}

export function readJournals(sandbox: Sandbox): JournalFile[] {
  return filesOf(sandbox)
    .filter((path) => /^state\/[^/]+\/deploys\/[^/]+\.ndjson$/.test(path))
    .map((file) => ({
      file,
      records: readFileSync(sandbox.path(file), 'utf8')
        .split('\n')
        .flatMap((line) => {
          try {
            return [JSON.parse(line) as JournalFile['records'][number]];
          } catch {
            return [];
          }
        }),
    }));
}

/** Every deploy has its last record. */
export const checkJournals = (sandbox: Sandbox, allow: Allowance): string[] =>
  readJournals(sandbox)
    .filter(({ records }) => !allow.openJournal && records.at(-1)?.type !== 'closed')
    .map(({ file, records }) => `${file} is not closed: ${JSON.stringify(records.at(-1) ?? null)}`);
