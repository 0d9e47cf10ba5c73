/**
 * The report as Markdown. PURE.
 */
import { isMet, type Table, type Target } from '../table.js';
import type { Document, Row } from './document.js';
import {
  COLUMNS,
  LEGEND,
  cells,
  cutBy,
  machineOf,
  partsOf,
  senderOf,
  targetsOf,
  verdict,
} from './main-table.js';

export function markdown(document: Document): string {
  const { rows, tables, failed, deploys } = document;
  return [
    '# swap-pool bench',
    '',
    machineOf(document),
    ...(rows.length === 0
      ? []
      : [
          '',
          `## ${deploys} deploys each under the hard mix`,
          '',
          ...table(
            COLUMNS,
            rows.map((row) => cells(row)),
          ),
          '',
          ...list(LEGEND),
          '',
          ...rows.flatMap(about),
        ]),
    ...tables.flatMap(small),
    ...(failed.length === 0
      ? []
      : ['## Not run', '', ...list(failed.map(({ name, why }) => `${name}: ${why}`)), '']),
  ].join('\n');
}

function about(row: Row): string[] {
  const { title, notes, result } = row;
  return [
    `### ${title}`,
    '',
    ...list(notes),
    ...(result.kind === 'skipped'
      ? [`- **skipped: ${result.why}**`]
      : list([
          `cut: ${cutBy(result.figures) || 'nothing'}`,
          `where a deploy’s time goes, ms: ${partsOf(result.figures)}`,
          `the sender was ${senderOf(result.figures)}`,
        ])),
    ...targetsIn(targetsOf(row)),
    '',
  ];
}

export const small = ({ title, columns, rows, notes, targets }: Table): string[] => [
  `## ${title}`,
  '',
  ...table(
    columns,
    rows.map((row) => row.map(String)),
  ),
  '',
  ...list(notes),
  ...targetsIn(targets),
  '',
];

const targetsIn = (targets: readonly Target[]): string[] =>
  list(targets.map((target) => `${isMet(target) ? 'met' : '**missed**'}: ${verdict(target)}`));

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (words: readonly string[]): string =>
    `| ${columns.map((_, index) => (words[index] ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), line(columns.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)];
}

const list = (lines: readonly string[]): string[] => lines.map((text) => `- ${text}`);
