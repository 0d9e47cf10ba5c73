import { luaEnd } from './lua.js';
import { binary, decode } from './spelling.js';
import type { Quote } from './spelling.js';

/**
 * nginx's tokenizer, ngx_conf_read_token (1.22), byte for byte: what it takes
 * is taken, what it refuses is refused at the same byte. Whitespace and
 * comments are no tokens; whoever edits splices between offsets, so they stay.
 */

/** One word or one of `;` `{` `}`. Offsets count from 0; lines and columns from 1; all in bytes. */
export interface Token {
  readonly kind: 'word' | ';' | '{' | '}';
  readonly offset: number;
  /** With the quotes. */
  readonly length: number;
  readonly line: number;
  readonly column: number;
  /** What nginx reads, escapes resolved; one character for each byte. */
  readonly value: string;
  readonly quote: Quote;
}

/** What nginx would refuse, in its words, and where. */
export interface SyntaxProblem {
  readonly kind: 'problem';
  readonly line: number;
  readonly column: number;
  readonly what: string;
}

/** Reads a file from its begin to its end. It never throws; after a problem it has nothing sensible to say. */
export interface Lexer {
  /** The next token; null at the end of the file. */
  readonly next: () => Token | SyntaxProblem | null;
  /** Skips Lua code after the `{` just read, so that the next token is its `}`. Null when that went well. */
  readonly skipLua: () => SyntaxProblem | null;
  /** Calls what is wrong at the spot reached so far. */
  readonly problem: (what: string) => SyntaxProblem;
}

/** All tokens up to the end or the first problem. */
export function lex(bytes: Uint8Array): {
  readonly tokens: readonly Token[];
  readonly problem: SyntaxProblem | null;
} {
  const { next } = lexer(bytes);
  const tokens: Token[] = [];
  for (let token = next(); token !== null; token = next()) {
    if (token.kind === 'problem') return { tokens, problem: token };
    tokens.push(token);
  }
  return { tokens, problem: null };
}

export function lexer(bytes: Uint8Array): Lexer {
  const text = binary(bytes);
  const size = bytes.length;
  let pos = 0;
  let line = 1;
  let lineStart = 0;
  /** Words since the last `;` `{` `}`. */
  let words = 0;
  /** A quoted word just ended: only space, `;`, `{` or `)` may follow. */
  let afterQuote = false;
  // nginx sees the file through a buffer of 4096 bytes that begins at the word (or comment!) it is reading, and
  // refuses what does not fit. `start` and `filled` are that buffer's begin and end.
  let start = 0;
  let startLine = 1;
  let startColumn = 1;
  let filled = 0;

  const column = (): number => pos - lineStart + 1;
  const problem = (what: string): SyntaxProblem => ({ kind: 'problem', line, column: column(), what });
  const unexpected = (byte: number): SyntaxProblem => problem(`unexpected "${printable(byte)}"`);
  const step = (): void => {
    if (bytes[pos++] === LF) {
      line++;
      lineStart = pos;
    }
  };
  const begin = (): void => {
    start = pos;
    startLine = line;
    startColumn = column();
  };
  const fits = (): boolean => {
    if (pos < filled || filled >= size) return true;
    if (pos - start >= BUFFER) return false;
    filled = Math.min(size, start + BUFFER);
    return true;
  };
  const tooLong = (quote: Quote): SyntaxProblem => ({
    kind: 'problem',
    line: startLine,
    column: startColumn,
    what:
      quote === ''
        ? `too long parameter "${[...bytes.subarray(start, start + 10)].map(printable).join('')}..." started`
        : `too long parameter, probably missing terminating "${quote}" character`,
  });

  function next(): Token | SyntaxProblem | null {
    let comment = false;
    for (;;) {
      if (!fits()) return tooLong('');
      const byte = bytes[pos];
      if (byte === undefined) return words > 0 ? problem(END_OF_FILE) : null;
      if (comment && byte !== LF) {
        step();
        continue;
      }
      comment = false;
      if (afterQuote) {
        if (!isSpace(byte) && byte !== SEMICOLON && byte !== OPEN && byte !== PAREN) return unexpected(byte);
        afterQuote = false;
        if (isSpace(byte)) {
          step();
          continue;
        }
      }
      begin();
      if (isSpace(byte)) step();
      else if (byte === HASH) {
        comment = true;
        step();
      } else if (byte === SEMICOLON || byte === OPEN)
        return words === 0 ? unexpected(byte) : terminator(byte);
      else if (byte === CLOSE) return words > 0 ? unexpected(byte) : terminator(byte);
      else return word(byte);
    }
  }

  function terminator(byte: number): Token {
    const kind = byte === SEMICOLON ? ';' : byte === OPEN ? '{' : '}';
    const token: Token = { kind, offset: pos, length: 1, line, column: column(), value: kind, quote: '' };
    step();
    words = 0;
    begin();
    return token;
  }

  function word(first: number): Token | SyntaxProblem {
    const offset = pos;
    const at = { line, column: column() };
    const quote: Quote = first === DOUBLE ? '"' : first === SINGLE ? "'" : '';
    if (quote !== '') {
      step();
      start = pos;
    }
    const content = pos;
    let escaped = false;
    let variable = false; // after `$`, a `{` belongs to the word, and so do all that follow it at once
    for (;;) {
      if (!fits()) return tooLong(quote);
      const byte = bytes[pos];
      if (byte === undefined) return problem(END_OF_FILE);
      if (escaped) escaped = false;
      else if (!(byte === OPEN && variable)) {
        variable = byte === DOLLAR;
        escaped = byte === BACKSLASH;
        if (quote === '' ? isSpace(byte) || byte === SEMICOLON || byte === OPEN : byte === first) break;
      }
      step();
    }
    const value = decode(text.slice(content, pos));
    const length = pos - offset + quote.length;
    words++;
    afterQuote = quote !== '';
    if (afterQuote || isSpace(bytes[pos])) step();
    return { kind: 'word', offset, length, ...at, value, quote };
  }

  function skipLua(): SyntaxProblem | null {
    const end = luaEnd(text, pos);
    while (pos < end.offset) step();
    filled = Math.max(filled, pos);
    begin();
    return end.ok ? null : problem(end.what);
  }

  return { next, skipLua, problem };
}

const BUFFER = 4096; // NGX_CONF_BUFFER
const END_OF_FILE = 'unexpected end of file, expecting ";" or "}"';
const LF = 10;
const DOUBLE = 0x22;
const SINGLE = 0x27;
const HASH = 0x23;
const DOLLAR = 0x24;
const PAREN = 0x29;
const SEMICOLON = 0x3b;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === LF;
}

function printable(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}
