/**
 * The report as one page that needs nothing but itself: light and dark, and readable on a phone. PURE.
 */
import { isMet, type Table, type Target } from '../table.js';
import { chart } from './chart.js';
import type { Document, Row } from './document.js';
import {
  COLUMNS,
  LEGEND,
  CLASS_COLUMNS,
  cells,
  classRows,
  cutBy,
  machineOf,
  partsOf,
  senderOf,
  targetsOf,
  verdict,
} from './main-table.js';

export const html = (document: Document): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>swap-pool bench, ${escape(document.date.slice(0, 10))}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>swap-pool bench</h1>
<p class="machine">${escape(machineOf(document))}</p>
${rowsOf(document)}
${document.tables.map(small).join('\n')}
${document.failed.length === 0 ? '' : `<h2>Not run</h2>${list(document.failed.map(({ name, why }) => `${name}: ${why}`))}`}
</main>
</body>
</html>
`;

const rowsOf = ({ rows, deploys }: Document): string =>
  rows.length === 0
    ? ''
    : `<h2>${deploys} deploys each under the hard mix</h2>
${table(
  COLUMNS,
  rows.map((row) => cells(row)),
)}
<details><summary>What the columns mean</summary>${list(LEGEND)}</details>
<h2>Over time</h2>
<p class="key">${KEY.map(([name, text]) => `<span><i class="k-${name}"></i>${text}</span>`).join(' ')}</p>
${rows.map(picture).join('\n')}`;

const KEY: readonly (readonly [string, string])[] = [
  ['median', 'median of the fast GETs of a quarter second, ms'],
  ['spread', 'up to the slowest of them'],
  ['deploy', 'a deploy'],
  ['step', 'its steps'],
  ['burst', 'a burst of load'],
  ['cut', 'cut'],
  ['kept', 'closed by a reload'],
  ['blue', 'in flight on blue'],
  ['green', 'on green'],
];

function picture(row: Row): string {
  const { title, notes, result } = row;
  const head = `<section><h3>${escape(title)}</h3>`;
  if (result.kind === 'skipped')
    return `${head}<p class="missed">skipped: ${escape(result.why)}</p>${list(notes)}</section>`;
  const { figures } = result;
  return `${head}
<div class="wide">${chart(figures.chart, escape(title))}</div>
<p class="parts">${escape(partsOf(figures))} ms</p>
<details><summary>${figures.cut === 0 ? 'Nothing cut' : `Cut: ${escape(cutBy(figures))}`}</summary>
${table(CLASS_COLUMNS, classRows(figures))}
${list([...notes, `The sender was ${senderOf(figures)}.`])}</details>
${targetsIn(targetsOf(row))}</section>`;
}

const small = ({ title, columns, rows, notes, targets }: Table): string => `<h2>${escape(title)}</h2>
${table(
  columns,
  rows.map((row) => row.map(String)),
)}
${list(notes)}
${targetsIn(targets)}`;

const targetsIn = (targets: readonly Target[]): string =>
  targets.length === 0
    ? ''
    : `<ul class="targets">${targets.map((target) => `<li class="${isMet(target) ? 'met' : 'missed'}">${escape(`${isMet(target) ? 'met' : 'missed'}: ${verdict(target)}`)}</li>`).join('')}</ul>`;

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = columns.map((name) => `<th>${escape(name)}</th>`).join('');
  const body = rows.map((row) => {
    const cellsOf = row.map((text, index) => {
      const rest = index === row.length - 1 ? columns.length - index : 1;
      const span = rest > 1 ? ` colspan="${rest}" class="left"` : '';
      return `<td${span}>${escape(text)}</td>`;
    });
    return `<tr>${cellsOf.join('')}</tr>`;
  });
  return `<div class="wide"><table><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table></div>`;
}

const list = (lines: readonly string[]): string =>
  lines.length === 0 ? '' : `<ul>${lines.map((text) => `<li>${escape(text)}</li>`).join('')}</ul>`;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const STYLE = `
:root { color-scheme: light dark;
  --page: #fff; --ink: #1d2129; --soft: #667; --rule: #dde; --median: #1d2129; --spread: #b9c2d0;
  --deploy: #f1efe4; --step: #b08a00; --cut: #d0021b; --kept: #e8a200; --blue: #2f6fde; --green: #1f9d57; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171c; --ink: #e6e8ec; --soft: #9aa3b2; --rule: #2c323c; --median: #f2f4f8; --spread: #4b5565;
  --deploy: #26261c; --step: #d8b02c; --cut: #ff5a67; --kept: #f0b429; --blue: #6ea2ff; --green: #4ccb86; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 70rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.6rem; margin: .5rem 0 } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem }
.machine, details, ul { color: var(--soft); font-size: .875rem } ul { padding-left: 1.2rem } summary { cursor: pointer }
.wide { overflow-x: auto; -webkit-overflow-scrolling: touch }
table { border-collapse: separate; border-spacing: 0; font-size: .875rem; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--rule) }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom }
th:first-child, td:first-child, .left { text-align: left }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--page) }
.met::marker { content: '✓  '; color: var(--green) } .missed { color: var(--cut) } .missed::marker { content: '✗  ' }
svg { display: block; width: 100%; min-width: 46rem; height: auto } svg text { font: 12px system-ui, sans-serif; fill: var(--soft) }
.end { text-anchor: end } .middle { text-anchor: middle }
.grid { stroke: var(--rule); stroke-width: 1; fill: none } .median { stroke: var(--median); stroke-width: 1.2; fill: none }
.spread { fill: var(--spread); stroke: var(--spread); stroke-width: .8 } .deploy { fill: var(--deploy) } .step { stroke: var(--step); stroke-width: 1 }
.burst { fill: var(--soft) } .cut { fill: var(--cut) } .kept { fill: var(--kept) }
.blue { fill: var(--blue); fill-opacity: .75 } .green { fill: var(--green); fill-opacity: .75 }
.key { font-size: .875rem; color: var(--soft) } .key span { white-space: nowrap; margin-right: .8em } .key i { display: inline-block; width: .9em; height: .9em; margin-right: .35em; vertical-align: -.1em; border-radius: 2px }
.parts { color: var(--soft); font-size: .8rem; margin: .2rem 0 }
.k-median { background: var(--median) } .k-spread { background: var(--spread) } .k-deploy { background: var(--deploy); border: 1px solid var(--rule) }
.k-step { background: var(--step); width: 2px !important } .k-burst { background: var(--soft); clip-path: polygon(50% 0, 0 100%, 100% 100%) }
.k-cut { background: var(--cut) } .k-kept { background: var(--kept) } .k-blue { background: var(--blue) } .k-green { background: var(--green) }
`;
