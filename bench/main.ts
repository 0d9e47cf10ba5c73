/**
 * The bench: rows of contenders under the hard mix, and small benches of one question each.
 *
 *     npm run bench                      everything, eight deploys a row: three quarters of an hour
 *     npm run bench -- --quick           our two switches alone, within two minutes; fails when a request was cut
 *     npm run bench -- speed crowd       these alone: contenders and small benches by their names
 *     npm run bench -- --deploys 3 …     so many deploys a row
 *     npm run bench -- --save …          into bench/results/, named by the date, instead of node_modules/.cache/; what was
 *                                        measured again that day takes the place of what was there
 *
 * Exits 1 when one of our switches has cut a request, or any other of our targets is missed; with --quick, the zeros
 * alone count.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { findPrograms } from '../src/demo/programs.js';
import { Sandbox } from '../src/demo/sandbox.js';
import { timestamp } from '../src/system/clock.js';
import type { Bench, Contender } from './contender.js';
import { CONTENDERS } from './contenders/table.js';
import { figuresOf, type RowFigures } from './figures.js';
import { machine } from './machine.js';
import { FULL, QUICK } from './mix.js';
import type { Document, Row } from './report/document.js';
import { html } from './report/html.js';
import { COLUMNS, cells, cutBy, targetsOf, verdict } from './report/main-table.js';
import { markdown, small } from './report/markdown.js';
import { missing, play } from './row.js';
import { SMALL } from './small/table.js';
import { must } from './stage.js';
import { isMet, type Table } from './table.js';

declare const __ROOT__: string;

interface Wanted {
  readonly quick: boolean;
  readonly save: boolean;
  readonly deploys: number;
  readonly names: readonly string[];
}

async function main(wanted: Wanted): Promise<void> {
  const programs = must(findPrograms());
  await Sandbox.removeDead(programs);
  const bench: Bench = {
    root: __ROOT__,
    cli: join(__ROOT__, 'dist/swap-pool.cjs'),
    sender: join(__dirname, 'bench-sender.cjs'),
    templates: join(__ROOT__, 'templates'),
    programs,
  };
  const host = await machine(bench);
  const begin = loadavg()[0] ?? 0;
  const date = timestamp();
  const rows: Row[] = [];
  const tables: Table[] = [];
  const failed: { name: string; why: string }[] = [];
  const { quick, deploys, save } = wanted;
  const document = (): Document => {
    const load = [begin, loadavg()[0] ?? 0] as const;
    return { schema: 1, date, quick, deploys, machine: { ...host, load }, rows, tables, failed };
  };
  // each time what there is so far: a run that somebody ends is not for nothing
  for (const contender of CONTENDERS.filter(({ name }) => wanted.names.includes(name))) {
    const row = await rowOf(contender, bench, wanted);
    rows.push(row);
    say(brief(row));
    keep(document(), save);
  }
  for (const one of SMALL.filter(({ name }) => wanted.names.includes(name))) {
    try {
      const table = await one.run(bench, wanted);
      tables.push(table);
      say(small(table).join('\n'));
    } catch (error) {
      failed.push({ name: one.name, why: String(error).split('\n')[0] ?? '' });
      say(`${one.name}: NOT RUN: ${String(error)}`);
    }
    keep(document(), save);
  }
  say(`report: ${join(folderOf(save), nameOf(document(), save))}.{json,md,html}`);
  for (const problem of problems(document())) {
    say(`FAILED: ${problem}`);
    process.exitCode = 1;
  }
}

async function rowOf(contender: Contender, bench: Bench, { quick, deploys }: Wanted): Promise<Row> {
  const { name, title, notes } = contender;
  const skipped = (why: string): Row => ({ name, title, notes, result: { kind: 'skipped', why } });
  const without = missing(contender);
  if (without.length > 0) return skipped(`${without.join(', ')} cannot be had here`);
  try {
    const timing = quick ? QUICK : FULL;
    const seen = await play(contender, bench, { deploys, timing });
    return { name, title, notes, result: { kind: 'played', figures: figuresOf(seen, timing.tail) } };
  } catch (error) {
    say(`${name}: ${error instanceof Error ? (error.stack ?? '') : String(error)}`);
    return skipped(`it failed: ${String(error).split('\n')[0] ?? ''}`);
  }
}

/** What makes the run fail: a target of ours that is missed, anything of ours that could not be run. */
function problems({ rows, tables, quick, failed }: Document): string[] {
  const ours = rows.filter(({ name }) => name.startsWith('swap-pool-'));
  const skipped = ours.flatMap(({ title, result }) =>
    result.kind === 'skipped' ? [`${title}: ${result.why}`] : [],
  );
  const missed = [
    ...ours.flatMap((row) => targetsOf(row).map((target) => ({ target, of: `${row.title}: ` }))),
    ...tables.flatMap(({ targets }) => targets.map((target) => ({ target, of: '' }))),
  ].filter(({ target }) => !isMet(target));
  // a noisy machine fails no change: in the quick form the times are for people
  const counted = missed.filter(({ target }) => target.noisy !== true || !quick);
  const told = counted.map(({ target, of }) => `${of}${verdict(target)}`);
  return [...skipped, ...told, ...failed.map(({ name, why }) => `${name}: ${why}`)];
}

const folderOf = (save: boolean): string => (save ? 'bench/results' : 'node_modules/.cache/swap-pool/bench');
const nameOf = ({ date }: Document, save: boolean): string => (save ? date.slice(0, 10) : 'latest');

function keep(now: Document, save: boolean): void {
  const folder = join(__ROOT__, folderOf(save));
  mkdirSync(folder, { recursive: true });
  const saved = join(folder, `${nameOf(now, save)}.json`);
  const before = save && existsSync(saved) ? (JSON.parse(readFileSync(saved, 'utf8')) as Document) : null;
  const document = before === null ? now : together(before, now);
  const forms = { json: `${JSON.stringify(document)}\n`, md: markdown(document), html: html(document) };
  for (const [form, text] of Object.entries(forms))
    writeFileSync(join(folder, `${nameOf(document, save)}.${form}`), text);
}

/** What was saved earlier that day, with what was measured again in its place. */
function together(before: Document, now: Document): Document {
  const again = (name: string): boolean =>
    [...now.rows, ...now.tables, ...now.failed].some((one) => one.name === name);
  const merged = <One extends { readonly name: string }>(old: readonly One[], own: readonly One[]): One[] => [
    ...old.flatMap((one) => (again(one.name) ? own.filter(({ name }) => name === one.name) : [one])),
    ...own.filter(({ name }) => old.every((one) => one.name !== name)),
  ];
  return {
    ...before,
    rows: merged(before.rows, now.rows),
    tables: merged(before.tables, now.tables),
    failed: merged(before.failed, now.failed),
  };
}

/** A row in a line, as it comes. */
function brief(row: Row): string {
  const words = cells(row);
  const named = words.slice(1).map((word, index) => `${COLUMNS[index + 1] ?? ''} ${word}`);
  const figures: RowFigures | null = row.result.kind === 'played' ? row.result.figures : null;
  return figures === null
    ? `${row.title}: ${words[1]?.toUpperCase() ?? ''}`
    : `${row.title}: ${named.join(', ')}${figures.cut > 0 ? `\n    cut: ${cutBy(figures)}` : ''}`;
}

function wantedOf(words: readonly string[]): Wanted {
  const all = [...CONTENDERS, ...SMALL].map(({ name }) => name);
  const quick = words.includes('--quick');
  const deploys = words.includes('--deploys') ? Number(words[words.indexOf('--deploys') + 1]) : quick ? 2 : 8;
  const names = words.filter((word, index) => !word.startsWith('--') && words[index - 1] !== '--deploys');
  const options = ['--quick', '--save', '--deploys'];
  const unknown = [
    ...names.filter((name) => !all.includes(name)),
    ...words.filter((word) => word.startsWith('--') && !options.includes(word)),
  ];
  if (unknown.length > 0 || !(deploys > 0))
    throw new Error(
      `no such bench: ${unknown.join(', ')}; there are ${all.join(', ')}, and ${options.join(', ')}`,
    );
  const ours = ['swap-pool-symlink', 'swap-pool-rewrite', 'speed'];
  return {
    quick,
    save: words.includes('--save'),
    deploys,
    names: names.length > 0 ? names : quick ? ours : all,
  };
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

// so that what the sandboxes do at an exit is done
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    process.exit(1);
  });
}
void main(wantedOf(process.argv.slice(2)));
