/**
 * What `status`, `history`, `demo` and `--dry-run` print: lists of lines, pure, for
 * both the terminal and the plain voice. Colours come in as functions.
 */
import type {
  AppStatus,
  CommandResult,
  DemoReport,
  FailureReason,
  Finding,
  HistoryEntry,
  InitFile,
  InitReport,
  NextStep,
  NginxStatus,
  Plan,
  PoolStatus,
  ProxyStatus,
  Slot,
  SlotStatus,
  StepName,
  WorkerGeneration,
} from '../event.js';
import { nextText, planLine } from './message/event.js';
import { failureMessage } from './message/failure.js';
import { findingMessage } from './message/finding.js';
import { holderLine, holderText, messageLines, suspectText } from './message/phrase.js';
import type { Style } from './style.js';
import { argv, clean, count, duration, inline, list, thousands, when } from './text.js';

/** The tables that a result carries; none for a deploy's. */
export function resultTables(result: CommandResult, style: Style): readonly string[] {
  return [
    ...(result.apps === undefined ? [] : statusLines(result.apps, result.nginx, style)),
    ...(result.verb === 'status' && result.nginx && 'state' in result.nginx
      ? nginxLines(result.nginx, style)
      : []),
    ...(result.pools === undefined ? [] : poolLines(result.pools, style)),
    ...(result.history === undefined ? [] : historyLines(result.history, style)),
    ...(result.init === undefined ? [] : nextLines(result.init, style)),
    ...(result.mended ?? []).map((finding) => mendedLine(finding, style)),
    ...(result.findings === undefined ? [] : findingLines(result.findings, result.examined ?? [], style)),
    ...(result.demo === undefined ? [] : demoLines(result.demo, style)),
  ];
}

/** Blue and green side by side, an app after the other, nginx below them. */
export function statusLines(
  apps: readonly AppStatus[],
  nginx: ProxyStatus | null | undefined,
  style: Style,
): readonly string[] {
  const blocks = apps.map((app) => appLines(app, style));
  return [
    ...blocks.flatMap((lines, index) => (index === 0 ? lines : ['', ...lines])),
    ...proxyLine(nginx, style),
  ];
}

/** The proxy: its master, its generations of workers with what they hold, an upgrade that is not finished. */
export function nginxLines(nginx: NginxStatus, style: Style): readonly string[] {
  const { state, pid, since, upgrade } = nginx;
  const about = pid === null ? '' : `, pid ${String(pid)}${since === null ? '' : ` since ${when(since)}`}`;
  const head = state === 'running' ? style.green(state) : style.red(state === 'dead' ? 'stopped' : state);
  return [
    style.bold(`nginx: ${head}${about}`),
    ...align([
      ['  config', inline(nginx.config)],
      ['  binary', inline(nginx.binary)],
      ...(nginx.pidfile === null
        ? []
        : [['  pidfile', `${inline(nginx.pidfile)}${state === 'dead' ? ' (left behind)' : ''}`]]),
    ]),
    ...generationLines(nginx.generations, style),
    ...(nginx.orphans === undefined
      ? []
      : [style.red('  without a master:'), ...generationLines(nginx.orphans, style)]),
    ...(upgrade === null
      ? []
      : [
          style.yellow(
            `  upgrade pending: old master ${String(upgrade.old ?? 'gone')}, new master ${String(upgrade.new ?? 'not there')}` +
              (upgrade.ours ? '; `swap-pool recover` ends it' : ''),
          ),
          ...generationLines(upgrade.generations, style),
        ]),
  ];
}

function generationLines(generations: readonly WorkerGeneration[], style: Style): readonly string[] {
  return generations.flatMap(({ since, retiring, workers }) => [
    `  ${retiring ? style.yellow('retiring') : 'serving'} since ${when(since)}`,
    ...workers.map((worker) => `    worker ${holderLine(worker)}`),
  ]);
}

/** One slot of each app asked about, one below the other. */
function poolLines(pools: readonly PoolStatus[], style: Style): readonly string[] {
  return pools.flatMap((pool, index) => [
    ...(index === 0 ? [] : ['']),
    style.bold(inline(pool.app)),
    ...('state' in pool
      ? align(
          ROWS.map(([label, cell]) => [label, cell(pool)]).filter(
            ([label = '', cell = '']) => ALWAYS.has(label) || cell !== '',
          ),
        ).map((line) => `  ${line}`)
      : [style.red(`  ${failureMessage(pool.failure, pool.app).message}`)]),
  ]);
}

/** Past deploys, in the order in which they come. */
export function historyLines(entries: readonly HistoryEntry[], style: Style): readonly string[] {
  if (entries.length === 0) return ['No deploy yet.'];
  const several = new Set(entries.map((entry) => entry.app)).size > 1;
  const head = ['when', ...(several ? ['app'] : []), 'who', 'command', 'switch', 'outcome', 'took', 'cut'];
  const rows = entries.map((entry) => [
    when(entry.time),
    ...(several ? [inline(entry.app)] : []),
    inline(entry.who),
    inline(entry.command),
    `${entry.from ?? '-'} -> ${entry.to}`,
    outcomeText(entry, style),
    entry.ms.total === undefined ? '-' : duration(entry.ms.total),
    entry.cut === 0 ? '0' : style.red(`at most ${thousands(entry.cut)}`),
  ]);
  return align([head.map(style.dim), ...rows], [head.length - 2, head.length - 1]);
}

/** Each app's findings, then those of the host; a line for an app that has none. */
function findingLines(
  findings: readonly Finding[],
  examined: readonly string[],
  style: Style,
): readonly string[] {
  const hosts = findings.some(({ app }) => app === null) ? [null] : [];
  return [...examined, ...hosts].flatMap((app) => {
    const own = findings.filter((finding) => finding.app === app);
    const name = style.bold(inline(app ?? 'this host'));
    if (own.length === 0) return [`${name}: ${style.green('nothing is wrong')}`];
    return [`${name}:`, ...own.flatMap((finding) => oneFinding(finding, style))];
  });
}

const mendedLine = (finding: Finding, style: Style): string =>
  `${style.bold(inline(finding.app ?? 'this host'))}: ${style.green('mended:')} ${findingMessage(finding).message}`;

function oneFinding(finding: Finding, style: Style): readonly string[] {
  const { severity } = finding;
  const [first = '', ...rest] = messageLines(findingMessage(finding));
  const color = { error: style.red, warning: style.yellow, advice: style.dim }[severity];
  return [
    `  ${color(severity.padEnd(7))}  ${first}`,
    ...rest.map((line) => `           ${line.trimStart()}`),
  ];
}

/** Deploys, then request classes, then the verdict. */
export function demoLines(demo: DemoReport, style: Style): readonly string[] {
  const deploys = demo.rows.map((row) => [
    row.switch,
    `${row.from} -> ${row.to}`,
    duration(Math.round(row.deployMs)),
  ]);
  const classes = demo.classes.map((row) => [
    inline(row.name),
    thousands(row.requests),
    row.cut === 0 ? '0' : style.red(thousands(row.cut)),
    ...[row.p50, row.p99, row.max].map((ms) => duration(Math.round(ms))),
  ]);
  const verdict = `${thousands(demo.cut)} of ${count(demo.requests, 'request')} cut`;
  return [
    ...align([['switch', 'deploy', 'took'].map(style.dim), ...deploys], [2]),
    '',
    ...align([['requests', 'sent', 'cut', 'p50', 'p99', 'max'].map(style.dim), ...classes], [1, 2, 3, 4, 5]),
    '',
    ...(demo.idleKeepAliveCut === 0
      ? []
      : [
          `${count(demo.idleKeepAliveCut, 'request')} on idle keep-alive connections met nginx's own reload (rewrite only): not counted above.`,
        ]),
    style.bold(demo.cut === 0 ? style.green(verdict) : style.red(verdict)),
  ];
}

/** The files of `init`: each with what becomes of it, and its diff. */
export function fileLines(files: readonly InitFile[], style: Style): readonly string[] {
  return files.flatMap(({ file, action, diff }) => [
    style.bold(`${action.padEnd(7)} ${inline(file)}`),
    ...(diff === '' ? [] : diffLines(diff, style).map((line) => `  ${line}`)),
  ]);
}

/** What to do after `init`. */
const toWrite = (step: NextStep): string => (step.why === 'include' ? step.directives : step.command);

function nextLines({ backup, next }: InitReport, style: Style): readonly string[] {
  const width = Math.max(0, ...next.map((step) => Array.from(clean(toWrite(step))).length));
  return [
    ...(backup === null ? [] : [`What was replaced is kept in ${inline(backup)}.`]),
    ...(next.length === 0 ? [] : ['Next, in this order:']),
    ...next.map((step) => `  ${clean(toWrite(step)).padEnd(width)}  ${style.dim(`# ${nextText(step)}`)}`),
  ];
}

/** The whole plan: steps, changed files as diffs, programs, signals. */
export function planLines(plan: Plan, app: string | null, style: Style): readonly string[] {
  const { from, to } = plan;
  const changes = plan.changes.flatMap((change) => [
    `${inline(change.file)}, ${changedLines(change.lines)}`,
    ...diffLines(change.diff, style).map((line) => `  ${line}`),
  ]);
  return [
    style.bold(`${planLine(plan, app)}${plan.dryRun ? ' (dry run: nothing is touched)' : ''}`),
    ...section('steps', [plan.steps.map((step) => `${step} ${slotOf(step, from, to)}`).join(', ')]),
    ...section('changes', changes),
    ...section(
      'runs',
      plan.commands.map((command) => argv(command)),
    ),
    ...section(
      'signals',
      plan.signals.map(({ signal, to: receiver }) => `${inline(signal)} to ${inline(receiver)}`),
    ),
  ];
}

const changedLines = (lines: readonly number[]): string => {
  if (lines.length === 0) return 'a link';
  return `${lines.length === 1 ? 'line' : 'lines'} ${list(lines)}`;
};

/** A unified diff, each line cleaned and coloured by its first character. */
export function diffLines(diff: string, style: Style): readonly string[] {
  return clean(diff)
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => {
      if (line.startsWith('+++') || line.startsWith('---')) return style.bold(line);
      if (line.startsWith('+')) return style.green(line);
      if (line.startsWith('-')) return style.red(line);
      return line.startsWith('@@') ? style.dim(line) : line;
    });
}

/** Cells to lines: columns two spaces apart, those in `right` flush right, no spaces at the end. */
export function align(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): readonly string[] {
  const width = (column: number): number => Math.max(0, ...rows.map((row) => visible(row[column] ?? '')));
  const widths = Array.from({ length: Math.max(0, ...rows.map((row) => row.length)) }, (_, i) => width(i));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat((widths[column] ?? 0) - visible(cell));
        return right.includes(column) ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd(),
  );
}

/** Characters a line takes on a screen: colours take none. Wide characters are counted as one. */
export function visible(text: string): number {
  // eslint-disable-next-line no-control-regex
  return Array.from(text.replace(/\u001b\[[0-9;]*m/g, '')).length;
}

// ---------------------------------------------------------------- private

function proxyLine(nginx: ProxyStatus | null | undefined, style: Style): readonly string[] {
  if (nginx === undefined) return [];
  if (nginx === null) return [style.yellow('nginx: not observed')];
  if (nginx.pid === null && nginx.workers === 0) return [style.red('nginx: not running')];
  if (nginx.pid === null) return [style.red(`nginx: ${count(nginx.workers, 'worker')} without a master`)];
  const workers = `${count(nginx.workers, 'worker')}, ${String(nginx.retiring)} retiring`;
  return [`nginx: pid ${String(nginx.pid)}, ${workers}`];
}

const SLOT_ORDER: readonly Slot[] = ['blue', 'green'];

function appLines(status: AppStatus, style: Style): readonly string[] {
  const name = style.bold(inline(status.app));
  const failure =
    status.failure === undefined ? [] : [style.red(failureMessage(status.failure, status.app).message)];
  const serves =
    status.served && status.active !== null ? `${status.active} serves` : style.red('not served');
  const { slots } = status;
  const rows =
    slots === null
      ? []
      : ROWS.map(([label, cell]) => [label, ...SLOT_ORDER.map((slot) => cell(slots[slot]))]).filter(
          ([label = '', ...cells]) => ALWAYS.has(label) || cells.some((cell) => cell !== ''),
        );
  const head = [
    '',
    ...SLOT_ORDER.map((slot) => (slot === status.active ? style.green(`${slot} (active)`) : slot)),
  ];
  return [
    `${name}: ${isTold(status) ? serves : style.red('cannot be told')}`,
    ...failure.map((line) => `  ${line}`),
    ...(rows.length === 0 ? [] : align([head, ...rows]).map((line) => `  ${line}`)),
    ...(status.last === null ? [] : [`  last deploy ${inline(status.last.deploy)}: ${status.last.outcome}`]),
    ...(status.open === null
      ? []
      : [
          style.yellow(
            `  open deploy ${inline(status.open.deploy)}${status.open.step === null ? '' : `, at ${status.open.step}`}`,
          ),
        ]),
    ...(status.lock === null ? [] : [style.yellow(`  locked by ${holderText(status.lock)}`)]),
  ];
}

/** Whether it is known that the app is served, or that it is not: most failures keep both from being known. */
const isTold = ({ failure }: AppStatus): boolean => failure === undefined || CERTAIN.has(failure.reason);
const CERTAIN: ReadonlySet<FailureReason> = new Set<FailureReason>([
  'nginx-not-running',
  'nginx-stopping',
  'pool-unreachable',
  'reference-unused',
]);

const ALWAYS: ReadonlySet<string> = new Set(['state', 'listen']);

const ROWS: readonly (readonly [string, (slot: SlotStatus) => string])[] = [
  ['state', (slot) => (slot.retired === true ? `${slot.state}, its socket has no name` : slot.state)],
  ['pid', (slot) => (slot.pid === undefined ? '' : String(slot.pid))],
  ['since', (slot) => (slot.since === undefined ? '' : when(slot.since))],
  ['listen', (slot) => inline(slot.listen)],
  ['held by', (slot) => (slot.holder === undefined ? '' : suspectText(slot.holder))],
  [
    'connections',
    (slot) =>
      busy(slot, `${String(slot.connections.accepted)} accepted, ${String(slot.connections.queued)} queued`),
  ],
  [
    'workers',
    (slot) => busy(slot, `${String(slot.workers.active)} active, ${String(slot.workers.idle)} idle`),
  ],
  [
    'pidfile',
    (slot) =>
      slot.pidfile === 'none' || (slot.state === 'stopped' && slot.pidfile === 'missing') ? '' : slot.pidfile,
  ],
];

/** A slot without a life has no connections to speak of. */
function busy(slot: SlotStatus, text: string): string {
  return slot.state === 'stopped' || slot.state === 'stale-pidfile' ? '' : text;
}

function outcomeText(entry: HistoryEntry, style: Style): string {
  const reason = entry.reason === null ? '' : ` (${entry.reason})`;
  const text = `${entry.outcome ?? 'open'}${reason}`;
  if (entry.outcome === null || entry.outcome === 'draining') return style.yellow(text);
  return entry.outcome === 'done' || entry.outcome === 'unchanged' ? text : style.red(text);
}

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, index) => `  ${(index === 0 ? title : '').padEnd(9)}${line}`);
}

/** The slot that a step is about: those after the pivot take the old pool down. */
function slotOf(step: StepName, from: Slot | null, to: Slot): Slot {
  return step === 'drain' || step === 'retire' || step === 'stop' ? (from ?? to) : to;
}
