/**
 * An nginx site that names a pool becomes one that names an upstream: exact spans of its bytes are replaced,
 * every other byte stays. PURE.
 */
import type { Place } from '../event.js';
import type { Edit } from '../nginx/edit.js';
import type { Directive } from '../nginx/parser.js';
import { bytesOf, binary, fromUtf8 } from '../nginx/spelling.js';

/** A `fastcgi_pass` of the site. */
export interface Pass {
  readonly place: Place;
  /** Whom it names, as nginx reads it. */
  readonly value: string;
  readonly directive: Directive;
  /** The blocks around it, innermost first. */
  readonly around: readonly Directive[];
}

/** Every `fastcgi_pass` of one file, in order; what it includes is not looked at. */
export function passesOf(directives: readonly Directive[], file: string): readonly Pass[] {
  const found: Pass[] = [];
  const stack: { readonly directive: Directive; readonly around: readonly Directive[] }[] = [...directives]
    .reverse()
    .map((directive) => ({ directive, around: [] }));
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { directive, around } = top;
    const [target] = directive.args;
    if (directive.name === 'fastcgi_pass' && target !== undefined && directive.block === null) {
      const { line, column } = directive.word;
      found.push({ place: { file, line, column }, value: target.value, directive, around });
    }
    if (directive.body !== 'directives') continue;
    for (const inner of [...(directive.block ?? [])].reverse()) {
      stack.push({ directive: inner, around: [directive, ...around] });
    }
  }
  return found;
}

/**
 * The edits after which these passes name `upstream`. With `nextUpstream` each location also says
 * `fastcgi_next_upstream error`: with nginx's default, `error timeout`, a GET that takes too long would run a
 * second time in the other slot. It may stand in http, server and location, not in an `if`.
 */
export function siteEdits(
  bytes: Uint8Array,
  passes: readonly Pass[],
  { upstream, nextUpstream }: { readonly upstream: string; readonly nextUpstream: boolean },
): readonly Edit[] {
  const edits: Edit[] = [];
  const done = new Set<Directive | null>();
  for (const { directive, around, value } of passes) {
    const [target] = directive.args;
    if (target === undefined) continue;
    if (value !== upstream) edits.push(replace(target.offset, target.length, fromUtf8(upstream)));
    const home = around.find((block) => block.name !== 'if') ?? null;
    if (!nextUpstream || done.has(home)) continue;
    done.add(home);
    const chain = around.filter((block) => block.name !== 'if');
    const said = chain
      .map((block) => block.block?.findLast((each) => each.name === 'fastcgi_next_upstream'))
      .find((each) => each !== undefined);
    if (said?.args.some((arg) => arg.value === 'error') === true) continue;
    const own = home?.block?.find((each) => each === said);
    const [first, last] = [own?.args[0], own?.args.at(-1)];
    if (first !== undefined && last !== undefined) {
      edits.push(replace(first.offset, last.offset + last.length - first.offset, 'error'));
      continue;
    }
    edits.push(besides(bytes, around[0] === home ? directive : ifAround(around, home, directive)));
  }
  return edits;
}

const replace = (offset: number, length: number, text: string): Edit => ({
  offset,
  length,
  replacement: bytesOf(text),
});

/** The `if` that stands directly in the location. */
const ifAround = (around: readonly Directive[], home: Directive | null, directive: Directive): Directive =>
  around[around.findIndex((block) => block === home) - 1] ?? directive;

/** A line of its own after a directive, indented like it. */
function besides(bytes: Uint8Array, { offset, length }: Directive): Edit {
  const before = binary(bytes.subarray(0, offset));
  const [, indent] = /(?:^|\n)([ \t]*)$/.exec(before) ?? [];
  const ending = /\r\n[^\n]*$/.test(before) ? '\r\n' : '\n';
  const gap = indent === undefined ? ' ' : `${ending}${indent}`;
  return { offset: offset + length, length: 0, replacement: bytesOf(`${gap}fastcgi_next_upstream error;`) };
}
