import type { Failure, Place } from '../event.js';
import { parse } from './parser.js';
import type { Body, Directive } from './parser.js';
import { toUtf8 } from './spelling.js';

/** The outside world as the tree's reader needs it. Paths are absolute. */
export interface ConfigSource {
  /** A file's bytes and its real path (all links resolved), or an errno name. */
  readonly read: (
    path: string,
  ) =>
    | { readonly ok: true; readonly bytes: Uint8Array; readonly real: string }
    | { readonly ok: false; readonly code: string };
  /** The paths that match, in glob(3)'s order in the C locale: sorted by bytes (see glob.ts). */
  readonly glob: (pattern: string) => readonly string[];
  /** The folder that a relative `include` counts from: that of the main configuration file. */
  readonly confPrefix: string;
}

/** One file, as it is read in one kind of place. */
export interface ConfigFile {
  /** As nginx names it in `nginx -T`. */
  readonly path: string;
  /** With all links resolved: two paths of one real file are edited once. */
  readonly real: string;
  readonly bytes: Uint8Array;
  readonly body: Body;
  readonly directives: readonly Directive[];
}

export interface Tree {
  readonly root: string;
  /** In the order in which nginx opens them first. A path is listed twice only when it is both directives and data. */
  readonly files: readonly ConfigFile[];
  /** What each `include` stands for, in order. */
  readonly included: ReadonlyMap<Directive, readonly ConfigFile[]>;
  /** `nginx-syntax` and `nginx-include`; a tree with problems must not be trusted. */
  readonly problems: readonly Failure[];
}

/** A directive where nginx meets it: once for each time that its file is included. */
export interface Visit {
  readonly file: ConfigFile;
  readonly directive: Directive;
  /** The block around it, across files; null at the main level. */
  readonly parent: Enclosing | null;
}

/** A block and the block around it. A list of all of them would cost the square of the depth. */
export interface Enclosing {
  readonly block: Directive;
  readonly parent: Enclosing | null;
}

/** nginx would wait for a FIFO's writer. */
const UNREADABLE: Readonly<Record<string, string>> = { EINVAL: 'it is no file', ENXIO: 'it is no file' };

/**
 * Reads a configuration and all it includes, as nginx does: relative names
 * count from the main file's folder whoever includes, variables are not
 * expanded, a glob may match nothing, anything else must open. An included file
 * that includes itself, directly or not, never ends and is a problem.
 */
export function readTree(root: string, source: ConfigSource): Tree {
  const files: ConfigFile[] = [];
  const included = new Map<Directive, readonly ConfigFile[]>();
  const problems: Failure[] = [];
  const known = new Map<string, Known>();

  function load(path: string, body: Body, from: Place, depth: number): Known | null {
    const key = `${body} ${path}`;
    const before = known.get(key);
    if (before !== undefined) {
      if (before.open)
        problems.push({ reason: 'nginx-include', place: from, what: `"${path}" includes itself` });
      return before.open ? null : before;
    }
    const answer = source.read(path);
    if (!answer.ok) {
      problems.push({
        reason: 'nginx-include',
        place: from,
        what: `"${path}" cannot be read: ${UNREADABLE[answer.code] ?? answer.code}`,
      });
      return null;
    }
    const parsed = parse(answer.bytes, body);
    const file: ConfigFile = {
      path,
      real: answer.real,
      bytes: answer.bytes,
      body,
      directives: parsed.directives,
    };
    const self: Known = { file, open: true, visits: 0 };
    known.set(key, self);
    files.push(file);
    for (const visit of inFile(file)) {
      self.visits++;
      if (!isInclude(visit)) continue;
      for (const child of follow(visit, depth + 1)) self.visits += child.visits;
      if (self.visits > MOST_VISITS) {
        self.visits = 0;
        problems.push({ reason: 'nginx-include', place: placeOf(visit), what: 'includes without end' });
        included.delete(visit.directive);
      }
    }
    if (parsed.problem !== null) {
      const { line, column, what } = parsed.problem;
      problems.push({ reason: 'nginx-syntax', place: { file: path, line, column }, what });
    }
    self.open = false;
    return self;
  }

  function follow({ file, directive, body }: Entry, depth: number): readonly Known[] {
    const place = placeOf({ file, directive });
    const refuse = (what: string): readonly Known[] => {
      problems.push({ reason: 'nginx-include', place, what });
      return [];
    };
    const [arg] = directive.args;
    if (arg === undefined || directive.args.length !== 1) return refuse('invalid number of arguments');
    if (directive.block !== null) return refuse('not terminated by ";"');
    if (depth > DEEPEST) return refuse('included too deep');
    const name = toUtf8(arg.value.replace(/\0[^]*$/, '')); // nginx hands C strings to the system
    if (name === null) return refuse('the name is no UTF-8');
    const path = name.startsWith('/') ? name : `${source.confPrefix.replace(/\/+$/, '')}/${name}`;
    const paths = body !== 'geo' && /[*?[]/.test(path) ? source.glob(path) : [path];
    const children = paths.flatMap((each) => load(each, body, place, depth) ?? []);
    included.set(
      directive,
      children.map((child) => child.file),
    );
    return children;
  }

  load(root, 'directives', { file: root, line: 1 }, 0);
  return { root, files, included, problems };
}

/**
 * Every directive, in nginx's order, included ones inside the block that
 * includes them. The entries of data blocks are not visited: they are no directives.
 */
export function* walk(tree: Tree): Generator<Visit> {
  const root = tree.files[0];
  if (root === undefined) return;
  const stack: Cursor[] = [{ file: root, directives: root.directives, parent: null, at: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { file, parent } = top;
    const directive = top.directives[top.at++];
    if (directive === undefined) {
      stack.pop();
      continue;
    }
    yield { file, directive, parent };
    if (directive.block !== null && directive.body === 'directives') {
      stack.push({ file, directives: directive.block, parent: { block: directive, parent }, at: 0 });
    }
    const inner = tree.included.get(directive) ?? [];
    for (const each of [...inner].reverse()) {
      stack.push({ file: each, directives: each.directives, parent, at: 0 });
    }
  }
}

/** The blocks around a directive, outermost first. */
export function enclosing({ parent }: Pick<Visit, 'parent'>): readonly Directive[] {
  const blocks: Directive[] = [];
  for (let each = parent; each !== null; each = each.parent) blocks.unshift(each.block);
  return blocks;
}

/** Whether a directive stands in `stream`, whose words mean something else than those of `http`. */
export const inStream = (visit: Pick<Visit, 'parent'>): boolean =>
  enclosing(visit).some(({ name }) => name === 'stream');

/** The paths that nginx opens, each once, in order: what `nginx -T` lists. */
export function paths(tree: Tree): readonly string[] {
  return [...new Set(tree.files.map((file) => file.path))];
}

/** Where a directive (or one of its words) stands. */
export function placeOf(
  { file, directive }: Pick<Visit, 'file' | 'directive'>,
  token = directive.word,
): Place {
  return { file: file.path, line: token.line, column: token.column };
}

/** nginx ends at the limit of open files; nobody nests that deep. */
const DEEPEST = 500;
/** A file that includes another twice, which includes another twice …: 2^n. Real trees stay below a million. */
const MOST_VISITS = 5_000_000;

interface Known {
  readonly file: ConfigFile;
  /** Still being read: whoever includes it now closes a circle. */
  open: boolean;
  /** How many directives one walk through it meets. */
  visits: number;
}

interface Entry {
  readonly file: ConfigFile;
  readonly directive: Directive;
  /** What it is an entry of. */
  readonly body: Body;
}

interface Cursor {
  readonly file: ConfigFile;
  readonly directives: readonly Directive[];
  readonly parent: Enclosing | null;
  at: number;
}

/** The entries of one file, data included, without what it includes. */
function* inFile(file: ConfigFile): Generator<Entry> {
  const stack = [{ directives: file.directives, body: file.body, at: 0 }];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const directive = top.directives[top.at++];
    if (directive === undefined) {
      stack.pop();
      continue;
    }
    yield { file, directive, body: top.body };
    if (directive.block !== null) {
      stack.push({ directives: directive.block, body: directive.body ?? 'data', at: 0 });
    }
  }
}

function isInclude({ directive, body }: Entry): boolean {
  return directive.name === 'include' && body !== 'data' && body !== 'lua';
}
