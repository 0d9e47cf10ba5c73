/**
 * Bytes of YAML -> a plain value, and where in the file each part of it stands.
 * Knows YAML, not what the keys mean.
 */
import { isUtf8 } from 'node:buffer';
import { Composer, Lexer, LineCounter, Parser, isAlias, isMap, isPair, isScalar, isSeq, visit } from 'yaml';
import type { CST, Document, ErrorCode, YAMLError } from 'yaml';
import type { Place, Problem } from '../event.js';

/** Keys and list indexes from the top. */
export type Path = readonly (string | number)[];

export interface Yaml {
  /** undefined when the text is not YAML; the problems say why. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Where a key or a value stands; what is not there is placed at the key of the nearest part around it. */
  readonly place: (path: Path, part: 'key' | 'value') => Place;
  /** A scalar as it is written: `1.10` for the number 1.1. */
  readonly written: (path: Path) => string | null;
}

/**
 * A config is a page of text. The parser compares every key of a map with every other
 * one, so that the worst file of this size takes 3 s, and one of 1 MiB would take minutes.
 */
export const LARGEST = 64 * 1024;

/**
 * The parser calls itself for every level, and at the end of its stack node does not
 * always throw: a regular expression that V8 compiles just there aborts the process.
 */
const DEEPEST = 100;

/** Reads one document. `file` is for the places. Never throws, whatever the bytes, up to LARGEST of them. */
export function readYaml(bytes: Uint8Array, file: string): Yaml {
  if (!isUtf8(bytes)) return noYaml(badByte(bytes, file), 'is not UTF-8', 'save the file as UTF-8');
  const text = Buffer.from(bytes)
    .toString('utf8')
    .replace(/^\ufeff/, '');
  const lines = new LineCounter();
  const toPlace = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    const start = offset - col + 1;
    return { file, line, column: Buffer.byteLength(text.slice(start, offset)) + 1 };
  };
  const tokens = parse(text, lines);
  if (!tokens.ok) return noYaml(toPlace(tokens.offset), 'is nested too deeply', 'an app needs three levels');
  const documents = new Composer({ stringKeys: true }).compose(tokens.value, true, text.length);
  const [document, another] = documents;
  // forceDoc (`true`) makes one of an empty text too; the types cannot say so.
  if (document === undefined) return noYaml(toPlace(0), 'is empty', 'write an app');
  const errors = [...document.errors, ...document.warnings];
  const problems = firstOfEachLine(errors.map((error) => syntaxProblem(error, text, toPlace(error.pos[0]))));
  if (another !== undefined) {
    const fix = 'one file is one app: make a file of its own for what follows';
    problems.push({ place: toPlace(another.range[0]), what: 'a second document begins', fix });
  }
  const nodes: Nodes = { document, toPlace };
  const rest = {
    place: (path: Path, part: 'key' | 'value') => place(nodes, path, part),
    written: (path: Path) => written(nodes, path),
  };
  // A key that stands twice says enough to go on and find the other problems; a broken tree does not.
  if (errors.some((error) => error.code !== 'DUPLICATE_KEY')) return { value: undefined, problems, ...rest };
  try {
    return { value: document.toJS({ maxAliasCount: 100 }) as unknown, problems, ...rest };
  } catch (error) {
    // An alias that names nothing, or too many of them.
    const problem = { what: `cannot be resolved: ${message(error)}`, fix: 'write the value itself' };
    const at = toPlace(firstAlias(document));
    return { value: undefined, problems: [...problems, { place: at, ...problem }], ...rest };
  }
}

/** What could not be read, as its one problem. */
export function noYaml(at: Place, what: string, fix: string): Yaml {
  return { value: undefined, problems: [{ place: at, what, fix }], place: () => at, written: () => null };
}

// ---------------------------------------------------------------- text -> tokens -> documents

type Tokens =
  | { readonly ok: true; readonly value: readonly CST.Token[] }
  | { readonly ok: false; readonly offset: number };

/** yaml's own parse(), stopped at DEEPEST. */
function parse(text: string, lines: LineCounter): Tokens {
  const parser = new Parser(lines.addNewLine);
  lines.addNewLine(0);
  const value: CST.Token[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    value.push(...parser.next(lexeme));
    if (parser.stack.length > DEEPEST) return { ok: false, offset: parser.offset };
  }
  value.push(...parser.end());
  return { ok: true, value };
}

// ---------------------------------------------------------------- problems of the text itself

const FIXES: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  DUPLICATE_KEY: 'keep one of the two',
  TAG_RESOLVE_FAILED: 'remove the tag, or put the value in quotes',
};

function syntaxProblem(error: YAMLError, text: string, at: Place): Problem {
  const rest = text.slice(error.pos[0]);
  const fix = FIXES[error.code] ?? 'correct the YAML; a value with special characters goes in quotes';
  if (error.code === 'DUPLICATE_KEY') {
    return { place: at, what: `the key ${/^[^\s:]*/.exec(rest)?.[0] ?? ''} stands twice in its map`, fix };
  }
  return { place: at, what: `is not YAML: ${error.message}`, fix };
}

/** One slip often makes the parser complain again and again until the line ends. */
const firstOfEachLine = (problems: readonly Problem[]): Problem[] => [
  ...new Map([...problems].reverse().map((problem) => [problem.place.line, problem])).values(),
];

function badByte(bytes: Uint8Array, file: string): Place {
  const before = new TextDecoder().decode(bytes).split('\ufffd')[0] ?? '';
  const lines = before.split('\n');
  return { file, line: lines.length, column: Buffer.byteLength(lines.at(-1) ?? '') + 1 };
}

/** The first alias that names no anchor before it; else the first one; 0 where there is none. */
function firstAlias(document: Document.Parsed): number {
  const anchors = new Set<string>();
  let first: number | undefined;
  let lost: number | undefined;
  visit(document, {
    Node(_key, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor);
        return undefined;
      }
      first ??= start(node);
      if (anchors.has(node.source)) return undefined;
      lost = start(node);
      return visit.BREAK;
    },
  });
  return lost ?? first ?? 0;
}

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// ---------------------------------------------------------------- places

interface Nodes {
  readonly document: Document.Parsed;
  readonly toPlace: (offset: number) => Place;
}

function place(nodes: Nodes, path: Path, part: 'key' | 'value'): Place {
  let at = start(nodes.document.contents) ?? 0;
  let node: unknown = nodes.document.contents;
  for (const [index, name] of path.entries()) {
    const item = child(nodes, node, name);
    if (item === undefined) break;
    node = isPair(item) ? item.value : item;
    const key = isPair(item) ? start(item.key) : undefined;
    const value = isPair(item) && isEmpty(node) ? undefined : start(node);
    const last = index === path.length - 1;
    at = (last && part === 'value' ? (value ?? key) : (key ?? value)) ?? at;
  }
  return nodes.toPlace(at);
}

function written(nodes: Nodes, path: Path): string | null {
  let node: unknown = nodes.document.contents;
  for (const name of path) {
    const item = child(nodes, node, name);
    node = isPair(item) ? item.value : item;
  }
  const scalar = resolved(nodes, node);
  return isScalar(scalar) ? (scalar.source ?? null) : null;
}

function child(nodes: Nodes, node: unknown, name: string | number): unknown {
  const collection = resolved(nodes, node);
  if (isSeq(collection)) return collection.items[Number(name)];
  if (!isMap(collection)) return undefined;
  // Of a key that stands twice the last one counts, as in the value.
  return collection.items.findLast((pair) => isScalar(pair.key) && pair.key.value === name);
}

const resolved = (nodes: Nodes, node: unknown): unknown =>
  isAlias(node) ? node.resolve(nodes.document) : node;

/** `key:` and nothing after it: the empty value stands nowhere that an editor could show. */
const isEmpty = (node: unknown): boolean => {
  const range = (node as Ranged)?.range;
  return !range || range[0] === range[1];
};

type Ranged = { readonly range?: readonly number[] | null } | null | undefined;
const start = (node: unknown): number | undefined => (node as Ranged)?.range?.[0];
