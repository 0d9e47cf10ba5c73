/**
 * A row as a picture: latency over time with every deploy's steps, what was cut, and what was in flight on the two
 * pools. Inline SVG that takes its colours from the page. PURE.
 */
import type { Chart } from '../figures.js';

const WIDTH = 900;
const LEFT = 46;
const RIGHT = 8;
/** Where the three strips are, from top to bottom. */
const LATENCY = { top: 22, bottom: 150 };
const CUTS = { top: 162, bottom: 192 };
const FLIGHT = { top: 206, bottom: 262 };
const HEIGHT = 286;
/** ms, a decade each. */
const DECADES = { from: 0.1, to: 10_000 };

export function chart(data: Chart, title: string): string {
  const seconds = data.median.length * data.bin;
  const x = (at: number): number => LEFT + (at / Math.max(seconds, 1)) * (WIDTH - LEFT - RIGHT);
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}: latency, cuts and requests in flight over time">`,
    ...deploys(data, x),
    ...grid(),
    area('spread', data.median, data.max, data.bin, x),
    line('median', data.median, data.bin, x),
    ...cuts(data, x),
    ...flight(data, x),
    ...axis(seconds, x),
    '</svg>',
  ].join('\n');
}

type X = (seconds: number) => number;

const n = (value: number): string => String(Math.round(value * 10) / 10);

/** Logarithmic: a deploy that stalls takes a thousand times what a fast answer does. */
function y(ms: number): number {
  const share = Math.log(Math.max(ms, DECADES.from) / DECADES.from) / Math.log(DECADES.to / DECADES.from);
  return LATENCY.bottom - Math.min(1, share) * (LATENCY.bottom - LATENCY.top);
}

function deploys({ deploys: all, bursts }: Chart, x: X): string[] {
  const height = FLIGHT.bottom - LATENCY.top;
  return [
    ...all.flatMap(({ start, end, marks }) => [
      `<rect class="deploy" x="${n(x(start))}" y="${LATENCY.top}" width="${n(Math.max(1, x(end) - x(start)))}" height="${height}"/>`,
      ...marks.map(
        ({ what, at }) =>
          `<path class="step" d="M${n(x(at))} ${LATENCY.top - 8}V${LATENCY.bottom}"><title>${what}</title></path>`,
      ),
    ]),
    ...bursts.map(
      (at) => `<path class="burst" d="M${n(x(at))} ${LATENCY.bottom}l-4 8h8z"><title>burst</title></path>`,
    ),
  ];
}

function grid(): string[] {
  const lines = [];
  for (let ms = DECADES.from; ms <= DECADES.to; ms *= 10) {
    const label = ms >= 1000 ? `${ms / 1000} s` : `${Math.round(ms * 10) / 10}`;
    lines.push(
      `<path class="grid" d="M${LEFT} ${n(y(ms))}H${WIDTH - RIGHT}"/>`,
      `<text class="end" x="${LEFT - 6}" y="${n(y(ms) + 4)}">${label}</text>`,
    );
  }
  return lines;
}

/** Runs of bins that have a value, each `[bin, value]`. */
function runs(values: readonly (number | null)[]): (readonly [number, number])[][] {
  const found: (readonly [number, number])[][] = [[]];
  values.forEach((value, index) => {
    if (value !== null) found.at(-1)?.push([index, value]);
    else if (found.at(-1)?.length !== 0) found.push([]);
  });
  return found.filter((run) => run.length > 0);
}

const line = (name: string, values: readonly (number | null)[], bin: number, x: X): string =>
  `<path class="${name}" d="${runs(values)
    .map((run) => `M${run.map(([at, ms]) => `${n(x((at + 0.5) * bin))} ${n(y(ms))}`).join('L')}`)
    .join('')}"/>`;

function area(
  name: string,
  low: readonly (number | null)[],
  high: readonly (number | null)[],
  bin: number,
  x: X,
): string {
  const point = ([at, ms]: readonly [number, number]): string => `${n(x((at + 0.5) * bin))} ${n(y(ms))}`;
  const lows = runs(low);
  return `<path class="${name}" d="${runs(high)
    .map((run, index) => `M${[...run.map(point), ...(lows[index] ?? []).map(point).reverse()].join('L')}Z`)
    .join('')}"/>`;
}

function cuts({ cut, keptHits, bin }: Chart, x: X): string[] {
  const most = Math.max(1, ...cut, ...keptHits);
  const height = (count: number): number => (Math.log1p(count) / Math.log1p(most)) * (CUTS.bottom - CUTS.top);
  const bars = (name: string, counts: readonly number[]): string[] =>
    counts.flatMap((count, index) =>
      count === 0
        ? []
        : [
            `<rect class="${name}" x="${n(x(index * bin) - 1)}" y="${n(CUTS.bottom - height(count))}" width="${n(Math.max(2.5, x(bin) - x(0)))}" height="${n(height(count))}"><title>${count}</title></rect>`,
          ],
    );
  return [
    `<path class="grid" d="M${LEFT} ${CUTS.bottom}H${WIDTH - RIGHT}"/>`,
    `<text class="end" x="${LEFT - 6}" y="${CUTS.bottom}">cut</text>`,
    ...bars('kept', keptHits),
    ...bars('cut', cut),
  ];
}

function flight({ inFlight, bin }: Chart, x: X): string[] {
  const most = Math.max(1, ...inFlight.blue, ...inFlight.green);
  // by the root: a burst is many times what a drain is about
  const at = (count: number): number =>
    FLIGHT.bottom - Math.sqrt(count / most) * (FLIGHT.bottom - FLIGHT.top);
  const shape = (name: string, counts: readonly number[]): string =>
    `<path class="${name}" d="M${LEFT} ${FLIGHT.bottom}L${counts
      .map((count, index) => `${n(x((index + 0.5) * bin))} ${n(at(count))}`)
      .join('L')}L${n(x(counts.length * bin))} ${FLIGHT.bottom}Z"/>`;
  return [
    shape('blue', inFlight.blue),
    shape('green', inFlight.green),
    `<path class="grid" d="M${LEFT} ${FLIGHT.bottom}H${WIDTH - RIGHT}"/>`,
    `<text class="end" x="${LEFT - 6}" y="${FLIGHT.top + 8}">${most}</text>`,
    `<text class="end" x="${LEFT - 6}" y="${FLIGHT.bottom}">0</text>`,
  ];
}

function axis(seconds: number, x: X): string[] {
  const step = [10, 20, 30, 60, 120].find((one) => seconds / one <= 8) ?? 300;
  const labels = [];
  for (let at = 0; at <= seconds; at += step) {
    labels.push(`<text class="middle" x="${n(x(at))}" y="${FLIGHT.bottom + 16}">${at} s</text>`);
  }
  return [`<text x="0" y="11">ms</text>`, ...labels];
}
