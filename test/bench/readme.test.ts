/** The figures in the README are those of the newest full run that was saved. */
import { readFileSync, readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Document } from '../../bench/report/document.js';
import { COLUMNS, cells } from '../../bench/report/main-table.js';

const SHOWN = [
  'contender',
  'requests',
  'cut',
  'closed by a reload',
  'work lost',
  'p50',
  'p99',
  'p99.9',
  'max',
  'deploy',
];

/** A table row's cells, however it is aligned. */
const rowsOf = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );

it('every-row-of-the-saved-run-stands-in-the-README-as-it-was-measured', () => {
  const saved = readdirSync('bench/results').filter((name) => /^\d{4}-\d\d-\d\d\.json$/.test(name));
  const newest = saved.sort().at(-1) ?? '';
  const { rows, deploys } = JSON.parse(readFileSync(`bench/results/${newest}`, 'utf8')) as Document;
  expect(deploys).toBe(8);
  const section = /^## Bench$.*?(?=^## )/ms.exec(readFileSync('README.md', 'utf8'))?.[0] ?? '';
  expect(section).toContain(`bench/results/${newest.replace('.json', '.md')}`);
  const measured = rows.map((row) => {
    const all = cells(row);
    return SHOWN.map((name) => all[COLUMNS.indexOf(name)]);
  });
  expect(measured).toHaveLength(10);
  expect(rowsOf(section)).toEqual(expect.arrayContaining(measured));
});
