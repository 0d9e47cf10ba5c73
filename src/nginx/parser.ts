import { lexer } from './lexer.js';
import type { SyntaxProblem, Token } from './lexer.js';

/**
 * What the entries between two braces are. `directives`: directives. The others
 * are data, whose entries have no blocks and are never directives: of `map` and
 * `types` (`include` is honoured, with globs), of `geo` (`include` is honoured,
 * a glob is not), of the rest (`include` is an entry like any other), of Lua.
 */
export type Body = 'directives' | 'map' | 'geo' | 'data' | 'lua';

/** A directive, or an entry of a data block. */
export interface Directive {
  /** As nginx reads it, quotes and escapes resolved. */
  readonly name: string;
  /** The name's word. */
  readonly word: Token;
  readonly args: readonly Token[];
  /** What stands between its braces; null when it ends with `;`. */
  readonly block: readonly Directive[] | null;
  readonly body: Body | null;
  /** From the name's first byte to the `;` or `}`, in bytes. */
  readonly offset: number;
  readonly length: number;
}

export interface Parsed {
  /** Those that were complete before the problem, if there is one. */
  readonly directives: readonly Directive[];
  readonly problem: SyntaxProblem | null;
}

/**
 * Parses one file. `body` is what it stands in: nginx reads a file that is
 * included inside a `map` as that map's entries. Blocks must be balanced within
 * the file, as nginx demands. Never throws, and does not recurse.
 */
export function parse(bytes: Uint8Array, body: Body = 'directives'): Parsed {
  const source = lexer(bytes);
  const top: Frame = { words: [], body, entries: [] };
  const open: Frame[] = [];
  let frame = top;
  let words: Token[] = [];
  for (;;) {
    const token = source.next();
    if (token === null) {
      const problem = open.length > 0 ? source.problem('unexpected end of file, expecting "}"') : null;
      return { directives: top.entries, problem };
    }
    if (token.kind === 'problem') return { directives: top.entries, problem: token };
    if (token.kind === 'word') {
      words.push(token);
    } else if (token.kind === ';') {
      add(frame, words, token, null, null);
      words = [];
    } else if (token.kind === '{') {
      if (frame.body !== 'directives') return { directives: top.entries, problem: unexpected(token) };
      open.push(frame);
      frame = { words, body: bodyOf(words[0]?.value ?? ''), entries: [] };
      words = [];
      const problem = frame.body === 'lua' ? source.skipLua() : null;
      if (problem !== null) return { directives: top.entries, problem };
    } else {
      const outer = open.pop();
      if (outer === undefined) return { directives: top.entries, problem: unexpected(token) };
      add(outer, frame.words, token, frame.entries, frame.body);
      frame = outer;
    }
  }
}

interface Frame {
  /** The words before its `{`. */
  readonly words: readonly Token[];
  readonly body: Body;
  readonly entries: Directive[];
}

/** By name alone: nginx has each of these names once, whatever the context. */
function bodyOf(name: string): Body {
  if (name.endsWith('_by_lua_block')) return 'lua';
  return DATA.get(name) ?? 'directives';
}

const DATA: ReadonlyMap<string, Body> = new Map([
  ['map', 'map'],
  ['types', 'map'],
  ['geo', 'geo'],
  ['split_clients', 'data'],
  ['charset_map', 'data'],
  ['match', 'data'],
  ['geoip2', 'data'],
]);

function add(
  to: Frame,
  words: readonly Token[],
  end: Token,
  block: readonly Directive[] | null,
  body: Body | null,
): void {
  const [word, ...args] = words;
  if (word === undefined) return; // the lexer has refused `;` and `{` without a word before them
  const length = end.offset + end.length - word.offset;
  to.entries.push({ name: word.value, word, args, block, body, offset: word.offset, length });
}

function unexpected(token: Token): SyntaxProblem {
  return { kind: 'problem', line: token.line, column: token.column, what: `unexpected "${token.kind}"` };
}
