/** The files that README shows: a line that begins with a path in backticks, then a block. */
import { readFileSync } from 'node:fs';

/** Of one section, by its heading; or of all of it, the first of each path. */
export function readmeFiles(section?: string): ReadonlyMap<string, string> {
  const all = readFileSync('README.md', 'utf8').split('\n');
  let isBlock = false;
  const headings = all.flatMap((line, at) => {
    if (/^\s*```/.test(line)) isBlock = !isBlock;
    return !isBlock && /^##+ /.test(line) ? [at] : [];
  });
  const begin = section === undefined ? 0 : headings.find((at) => all[at]?.replace(/^#+ /, '') === section);
  if (begin === undefined) throw new Error(`README has no section ${section ?? ''}`);
  const end = section === undefined ? undefined : headings.find((at) => at > begin);
  const lines = all.slice(begin, end);
  const found = new Map<string, string>();
  lines.forEach((line, at) => {
    const path = /^(?:\d+\. |- )?`(\/[^`]+)`/.exec(line)?.[1];
    if (path === undefined || found.has(path)) return;
    const open = lines.findIndex((each, index) => index > at && /^\s*```/.test(each));
    const indent = /^\s*/.exec(lines[open] ?? '')?.[0].length ?? 0;
    const close = lines.findIndex((each, index) => index > open && each.trim() === '```');
    if (open < 0 || close < 0) throw new Error(`README shows no ${path}`);
    const block = lines.slice(open + 1, close);
    found.set(path, block.map((each) => `${each.slice(indent)}\n`).join(''));
  });
  return found;
}

/** One of them. */
export function readme(path: string, section?: string): string {
  const text = readmeFiles(section).get(path);
  if (text === undefined) throw new Error(`README shows no ${path}`);
  return text;
}
