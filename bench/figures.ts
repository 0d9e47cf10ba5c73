/**
 * What was seen of a row, in figures. PURE.
 */
import type { LoadClass, LoadRecord } from '../src/demo/load.js';
import { isReloadHit, percentile, type Account } from '../src/demo/summary.js';
import type { Slot } from '../src/event.js';
import { MIX } from './mix.js';
import type { Seen } from './row.js';

/** Milliseconds. */
export interface Latency {
  readonly requests: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface ClassFigures {
  readonly requests: number;
  readonly cut: number;
  /** What a cut was, `reset`, `502` …, and how often. */
  readonly causes: Readonly<Record<string, number>>;
  /** Around the deploys, and while there is none: answered requests only. */
  readonly deploying: Latency;
  readonly steady: Latency;
}

export interface RowFigures {
  readonly requests: number;
  readonly cut: number;
  /** Requests on kept connections that the proxy's own reload closed while they were on their way. */
  readonly keptHits: number;
  /** Work after fastcgi_finish_request that was answered and never came to its end. */
  readonly workLost: number;
  readonly classes: Readonly<Record<string, ClassFigures>>;
  /** Of the class of the mix that was sent least, by its plan: what is missing, percent. */
  readonly unsent: number;
  /** p99.9 of the fast class around a deploy, by that right before it: the median of all deploys. */
  readonly p999Ratio: number;
  readonly deployMs: { readonly median: number; readonly min: number; readonly max: number };
  /** Milliseconds from a mark of a deploy to the next, by its name: medians. */
  readonly parts: Readonly<Record<string, number>>;
  /** Bytes. */
  readonly memory: { readonly before: number; readonly peak: number; readonly extra: number };
  readonly sender: Seen['sender'];
  readonly chart: Chart;
}

/** What the picture shows, in bins; a null is a bin without a request. Times are seconds from the chart's begin. */
export interface Chart {
  readonly bin: number;
  readonly median: readonly (number | null)[];
  readonly max: readonly (number | null)[];
  readonly cut: readonly number[];
  readonly keptHits: readonly number[];
  readonly inFlight: Readonly<Record<Slot, readonly number[]>>;
  readonly deploys: readonly {
    readonly start: number;
    readonly end: number;
    readonly marks: readonly { readonly what: string; readonly at: number }[];
  }[];
  readonly bursts: readonly number[];
}

/** `tail`: ms after a deploy's end that still belong to it. */
export function figuresOf(seen: Seen, tail: number): RowFigures {
  const { records, deploys, memory } = seen;
  const account = heardLate(seen);
  const hit = (record: LoadRecord): boolean => account !== null && isReloadHit(record, 'rewrite', account);
  const isCut = (record: LoadRecord): boolean => record.cut !== null && !hit(record);
  const cuts = records.filter(isCut);
  const pairs = pairsOf(seen, tail);
  const within = ({ start }: LoadRecord, spans: readonly Span[]): boolean =>
    spans.some(([from, to]) => start >= from && start < to);
  const around = pairs.map(({ around: span }) => span);
  const before = pairs.map(({ before: span }) => span);
  const kinds = [...new Set(records.map((record) => record.class))].sort();
  const classes = Object.fromEntries(
    kinds.map((kind): [LoadClass, ClassFigures] => {
      const ofKind = records.filter((record) => record.class === kind);
      const answered = ofKind.filter(({ cut }) => cut === null);
      return [
        kind,
        {
          requests: ofKind.length,
          cut: ofKind.filter(isCut).length,
          causes: count(ofKind.filter(isCut).map(causeOf)),
          deploying: latency(answered.filter((one) => within(one, around))),
          steady: latency(answered.filter((one) => within(one, before))),
        },
      ];
    }),
  );
  const fast = records.filter((one) => one.class === 'fast' && one.cut === null);
  const ratios = pairs.map(
    ({ around: during, before: quiet }) =>
      latency(fast.filter((one) => within(one, [during]))).p999 /
      latency(fast.filter((one) => within(one, [quiet]))).p999,
  );
  const times = deploys.map(({ start, end }) => end - start);
  return {
    requests: records.length,
    cut: cuts.length,
    keptHits: records.filter((record) => record.cut !== null && hit(record)).length,
    workLost: records.filter(
      ({ class: kind, cut, id }) => kind === 'finish' && cut === null && !seen.finished.has(id),
    ).length,
    classes,
    unsent: round(100 * (1 - Math.min(...shares(seen)))),
    p999Ratio: round(percentile(ratios, 50), 100),
    deployMs: {
      median: round(percentile(times, 50)),
      min: round(percentile(times, 0)),
      max: round(percentile(times, 100)),
    },
    parts: partsOf(seen),
    memory: { ...memory, extra: memory.peak - memory.before },
    sender: seen.sender,
    chart: chartOf(seen, { isCut, hit }),
  };
}

/** How much of its plan each class of the mix has sent between the two moments. */
function shares({ records, from, to }: Seen): number[] {
  const { fast, post, slow, upload, finish, idle } = MIX;
  const seconds = (to - from) / 1000;
  const plan: readonly (readonly [LoadClass, number])[] = [
    ['fast', fast?.rate ?? 0],
    ['post', post !== undefined && 'rate' in post ? post.rate : 0],
    ['slow', 1000 / (slow?.every ?? Infinity)],
    ['upload', 1000 / (upload?.every ?? Infinity)],
    ['finish', 1000 / (finish?.every ?? Infinity)],
    // these ask again some time after their answer, which a round trip and more is away
    ['idle-keep-alive', idle === undefined ? 0 : (1000 * idle.clients) / (idle.every + 3 * idle.delay)],
  ];
  const sent = (kind: LoadClass): number =>
    records.filter(({ class: one, start }) => one === kind && start >= from && start < to).length;
  return plan.map(([kind, rate]) => (rate === 0 ? 1 : sent(kind) / (rate * seconds)));
}

/** A sender whose loop was late has heard of the end of a connection as much later. */
function heardLate({ account, sender }: Seen): Account | null {
  if (account === null) return null;
  return { ...account, reloads: account.reloads.flatMap((at) => [at, at + sender.lag.max]) };
}

type Span = readonly [number, number];

/**
 * Every deploy with what follows it, and the quiet time before it: from the end of the burst, or from the
 * begin. The first deploy is left out where there are several: the memory was looked at during it, which takes time.
 */
function pairsOf({ deploys, bursts, from }: Seen, tail: number): readonly { around: Span; before: Span }[] {
  const pairs = deploys.map(({ start, end }, index): { around: Span; before: Span } => ({
    around: [start, end + tail],
    before: [bursts[index - 1]?.[1] ?? from, start],
  }));
  return pairs.length > 1 ? pairs.slice(1) : pairs;
}

function latency(records: readonly LoadRecord[]): Latency {
  const ms = records.map((record) => record.ms);
  return {
    requests: ms.length,
    p50: round(percentile(ms, 50)),
    p99: round(percentile(ms, 99)),
    p999: round(percentile(ms, 99.9)),
    max: round(percentile(ms, 100)),
  };
}

/** A status is its number. */
function causeOf({ cut }: LoadRecord): string {
  if (cut === null) return '';
  return cut.why === 'status' ? cut.detail.slice(0, 3) : cut.why;
}

function count(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function partsOf({ deploys }: Seen): Record<string, number> {
  const parts = new Map<string, number[]>();
  for (const { marks, end } of deploys) {
    marks.forEach(({ what, at }, index) => {
      const until = marks[index + 1]?.at ?? end;
      parts.set(what, [...(parts.get(what) ?? []), until - at]);
    });
  }
  return Object.fromEntries([...parts].map(([what, ms]) => [what, round(percentile(ms, 50))]));
}

/** Width of a bin, s. */
const BIN = 0.25;

function chartOf(
  { records, deploys, from, to, bursts, samples }: Seen,
  { isCut, hit }: Record<'isCut' | 'hit', (record: LoadRecord) => boolean>,
): Chart {
  const bins = Math.ceil((to - from) / 1000 / BIN);
  const seconds = (at: number): number => round((at - from) / 1000, 100);
  const binOf = (at: number): number => Math.floor((at - from) / 1000 / BIN);
  const fast: number[][] = Array.from({ length: bins }, () => []);
  const cut = fast.map(() => 0);
  const keptHits = fast.map(() => 0);
  for (const record of records) {
    const { start, ms } = record;
    if (record.class === 'fast' && record.cut === null) fast[binOf(start)]?.push(ms);
    // a request is cut when it ends
    const bin = binOf(start + ms);
    if (isCut(record)) cut[bin] = (cut[bin] ?? 0) + 1;
    else if (hit(record) && record.cut !== null) keptHits[bin] = (keptHits[bin] ?? 0) + 1;
  }
  const most = (slot: Slot): number[] => {
    const found: (number | undefined)[] = fast.map(() => undefined);
    for (const { at, inFlight } of samples) {
      const bin = binOf(at);
      if (bin >= 0 && bin < bins) found[bin] = Math.max(found[bin] ?? 0, inFlight[slot]);
    }
    // on a busy machine nobody may have looked for a while
    let last = 0;
    return found.map((count) => (last = count ?? last));
  };
  return {
    bin: BIN,
    median: fast.map((ms) => (ms.length === 0 ? null : round(percentile(ms, 50)))),
    max: fast.map((ms) => (ms.length === 0 ? null : round(percentile(ms, 100)))),
    cut: cut.slice(0, bins),
    keptHits: keptHits.slice(0, bins),
    inFlight: { blue: most('blue'), green: most('green') },
    deploys: deploys.map(({ start, end, marks }) => ({
      start: seconds(start),
      end: seconds(end),
      marks: marks.map(({ what, at }) => ({ what, at: seconds(at) })),
    })),
    bursts: bursts.map(([at]) => seconds(at)),
  };
}

const round = (value: number, parts = 10): number => Math.round(value * parts) / parts;
