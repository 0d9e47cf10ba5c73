/**
 * The one table: a contender a row. PURE.
 */
import type { RowFigures } from '../figures.js';
import type { Target } from '../table.js';
import type { Document, Row } from './document.js';

export const COLUMNS: readonly string[] = [
  'contender',
  'requests',
  'cut',
  'closed by a reload',
  'work lost',
  'p50',
  'p99',
  'p99.9',
  'max',
  'steady p99.9',
  'ratio',
  'deploy',
  'extra memory',
];

export const LEGEND: readonly string[] = [
  'cut: a request of which bytes were sent and that got no complete, right answer; by class below.',
  'closed by a reload: requests on kept connections that the proxy closed by its own reload while they were on their way; no pool sees them, so they are counted apart.',
  'work lost: answered at once, and what goes on after fastcgi_finish_request never came to its end.',
  'p50 to max: ms, answered fast GETs that began between a deploy’s begin and 2 s after its end; steady p99.9: those of the seconds before each deploy.',
  'ratio: p99.9 around a deploy by that right before it, median of all pairs.',
  'deploy: median wall time, s; the mix always holds requests of 8 s, which a deploy that cuts nobody has to wait for.',
  'extra memory: MB, the most during the first deploy (whose latencies are left out for it) beyond what everything took before; each process’s share (Pss).',
];

export const cells = ({ title, result }: Row): readonly string[] =>
  result.kind === 'skipped' ? [title, `skipped: ${result.why}`] : [title, ...figuresIn(result.figures)];

function figuresIn(figures: RowFigures): string[] {
  const { deploying, steady } = figures.classes['fast'] ?? { deploying: NONE, steady: NONE };
  return [
    whole(figures.requests),
    whole(figures.cut),
    whole(figures.keptHits),
    whole(figures.workLost),
    ...[deploying.p50, deploying.p99, deploying.p999, deploying.max, steady.p999].map(decimal),
    figures.p999Ratio.toFixed(2),
    (figures.deployMs.median / 1000).toFixed(1),
    (figures.memory.extra / 1e6).toFixed(0),
  ];
}

const NONE = { p50: 0, p99: 0, p999: 0, max: 0 };

export const CLASS_COLUMNS: readonly string[] = [
  'class',
  'requests',
  'cut',
  'p50',
  'p99',
  'p99.9',
  'max',
  'steady p50',
  'p99',
  'p99.9',
  'max',
];

/** Each class by itself: around the deploys, and in the seconds before each. */
export const classRows = ({ classes }: RowFigures): readonly (readonly string[])[] =>
  Object.entries(classes).map(([name, { requests, cut, deploying, steady }]) => [
    name,
    whole(requests),
    whole(cut),
    ...[deploying, steady].flatMap(({ p50, p99, p999, max }) => [p50, p99, p999, max].map(decimal)),
  ]);

/** Every class that lost something, as `slow 40 of 312 (502 30, reset 10)`. */
export const cutBy = ({ classes }: RowFigures): string =>
  Object.entries(classes)
    .filter(([, { cut }]) => cut > 0)
    .map(
      ([name, { cut, requests, causes }]) =>
        `${name} ${whole(cut)} of ${whole(requests)} (${Object.entries(causes)
          .map(([why, count]) => `${why} ${count}`)
          .join(', ')})`,
    )
    .join('; ');

/** What is asked of our own switches; nothing is of anybody else. `rewrite` cannot keep nginx from closing idle connections. */
export function targetsOf({ name, result }: Row): readonly Target[] {
  if (!name.startsWith('swap-pool-') || result.kind === 'skipped') return [];
  const { cut, keptHits, workLost, p999Ratio, unsent } = result.figures;
  const zero = (what: string, value: number): Target => ({ what, value, limit: 0, unit: '' });
  return [
    zero('requests cut', cut),
    ...(name === 'swap-pool-symlink' ? [zero('requests on kept connections closed', keptHits)] : []),
    zero('work lost', workLost),
    // a zero of nothing proves nothing; on a busy machine those who ask again after an answer ask less often
    { what: 'of the plan of one class not sent', value: unsent, limit: 50, unit: '%' },
    {
      what: 'p99.9 of the fast class around a deploy by that before it',
      value: p999Ratio,
      limit: 1.5,
      unit: 'times',
      noisy: true,
    },
  ];
}

/** A target and how it stands. */
export const verdict = (target: Target): string =>
  `${target.what} ${target.value}${target.unit === '' ? '' : ` ${target.unit}`}, at most ${target.limit}`;

/** Where a deploy's time goes, as `start 24 · probe 9`, ms. */
export const partsOf = ({ parts }: RowFigures): string =>
  Object.entries(parts)
    .map(([what, ms]) => `${what} ${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)}`)
    .join(' · ');

/** How honest the sender was. */
export const senderOf = ({ sender: { lag } }: RowFigures): string =>
  `late by ${lag.p50.toFixed(1)} / ${lag.p99.toFixed(1)} / ${lag.max.toFixed(0)} ms (p50, p99, max)`;

export const machineOf = ({ machine, date }: Document): string =>
  [
    date.slice(0, 10),
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, Linux ${machine.kernel}, ${machine.system}`,
    Object.entries(machine.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', '),
    `load average ${machine.load.map((one) => one.toFixed(1)).join(' at the begin, ')} at the end`,
  ].join('; ');

const whole = (value: number): string => value.toLocaleString('en-US');
const decimal = (ms: number): string => (ms < 100 ? ms.toFixed(1) : whole(Math.round(ms)));
