/**
 * Where nginx's configuration still names a pool: what must be gone before that pool can be said to serve nobody.
 *
 * A `fastcgi_pass` may name it by a variable, whose value is any string that the configuration holds (a `map`'s
 * value, a `set`) or that a request brings along. What cannot be ruled out counts as named.
 */
import type { Place } from '../event.js';
import { resolverFor } from '../nginx/config-tree.js';
import type { Token } from '../nginx/lexer.js';
import type { Directive } from '../nginx/parser.js';
import { findReferences } from '../nginx/references.js';
import { toUtf8 } from '../nginx/spelling.js';
import type { ConfigFile, Tree } from '../nginx/tree.js';
import { realPath } from '../system/files.js';
import { canonicalPath } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';
import { passesOf } from './site.js';
import type { Pass } from './site.js';

/** Who asks the pool at an address: `names` tells of a pass whether it does, itself or by the name of an upstream that does. */
export interface Namers {
  readonly names: (file: ConfigFile, pass: Pass) => boolean;
  /** Those upstreams, in lower case. */
  readonly upstreams: ReadonlySet<string>;
}

export async function namersOf(tree: Tree, address: Address): Promise<Namers> {
  const nobody: Address = { kind: 'unix', path: '/nonexistent/swap-pool' };
  const addresses = { blue: address, green: nobody };
  const resolver = await resolverFor(tree, addresses);
  const found = findReferences(tree, { addresses, only: [], resolve: resolver });
  const references = found.ok ? found.value.references : [];
  const upstreams = new Set(
    references.flatMap(({ upstream }) => upstream?.args[0]?.value.toLowerCase() ?? []),
  );
  return {
    names: (file, { directive, value }) =>
      upstreams.has(value.toLowerCase()) ||
      references.some((each) => each.file === file && each.token.offset === directive.args[0]?.offset),
    upstreams,
  };
}

/** Every place that sends requests to an address, or could: each once, in nginx's order. An upstream that nobody uses is none. */
export async function placesNaming(tree: Tree, address: Address): Promise<readonly Place[]> {
  const { names, upstreams } = await namersOf(tree, address);
  const values = valuesOf(tree);
  const spellings = [...spellingsOf(address), ...upstreams];
  const places: Place[] = [];
  for (const file of tree.files) {
    const at = ({ line, column }: Token): number => places.push({ file: file.path, line, column });
    const passes = new Map(passesOf(file.directives, file.path).map((pass) => [pass.directive, pass]));
    for (const entry of entriesOf(file)) {
      const { directive, around } = entry;
      const pass = passes.get(directive);
      if (pass !== undefined) {
        const variable = pass.value.includes('$');
        if (variable ? mayBe(pass.value, spellings, values) : names(file, pass)) at(directive.word);
        continue;
      }
      // a server of an upstream is asked by the upstream's name alone
      if (directive.name === 'server' && around?.name === 'upstream') continue;
      const found = [directive.word, ...directive.args].find(({ value }) => holds(value, address));
      const named = found ?? assigned(file, entry).find(({ value }) => upstreams.has(value.toLowerCase()));
      if (named !== undefined) at(named);
    }
  }
  return [...new Map(places.map((place) => [`${place.file}:${String(place.line)}`, place])).values()];
}

interface Entry {
  readonly directive: Directive;
  readonly around: Directive | null;
}

/** The directives of one file and the entries of its data blocks. */
function entriesOf(file: ConfigFile): readonly Entry[] {
  const found: Entry[] = [];
  const stack = [...file.directives].reverse().map((directive): Entry => ({ directive, around: null }));
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    found.push(top);
    const { directive } = top;
    for (const inner of [...(directive.block ?? [])].reverse())
      stack.push({ directive: inner, around: directive });
  }
  return found;
}

/** The words that become a variable's value. A file that a `map` includes has no block around its entries. */
function assigned({ body }: ConfigFile, { directive, around }: Entry): readonly Token[] {
  const data = around === null ? body !== 'directives' : VARIED.has(around.name);
  if (data) return directive.args.slice(0, 1);
  return directive.name === 'set' ? directive.args.slice(1) : [];
}

const VARIED = new Set(['map', 'geo', 'split_clients']);

/** What each variable may hold as far as the configuration alone decides it; null: a program decides, too. */
function valuesOf(tree: Tree): ReadonlyMap<string, readonly string[]> | null {
  const all = tree.files.flatMap((file) => entriesOf(file).map(({ directive }) => directive));
  if (all.some(({ name }) => /_by_lua|^(?:js|perl)_set$/.test(name))) return null;
  const values = new Map<string, string[]>();
  const add = (name: Token | undefined, words: readonly Token[]): void => {
    if (name === undefined) return;
    const own = values.get(bare(name.value)) ?? [];
    values.set(bare(name.value), [...own, ...words.map(({ value }) => value)]);
  };
  for (const { name, args, block } of all) {
    if (name === 'set') add(args[0], args.slice(1));
    if (!VARIED.has(name) || block === null) continue;
    const more = block.flatMap(
      (entry) => tree.included.get(entry)?.flatMap(({ directives }) => directives) ?? [],
    );
    add(
      args.at(-1),
      [...block, ...more].flatMap((entry) => entry.args.slice(0, 1)),
    );
  }
  return values;
}

const VARIABLE = /\$(?:\{\w+\}|\w+)/g;
const bare = (variable: string): string => variable.replace(/[${}]/g, '');

/**
 * Whether a value with variables can become one of these. A variable alone that only the configuration sets holds one
 * of its words: those without variables are found where they stand, the others are asked the same.
 */
function mayBe(
  value: string,
  spellings: readonly string[],
  values: ReadonlyMap<string, readonly string[]> | null,
  asked: readonly string[] = [],
): boolean {
  const [whole] = value.match(/^\$(?:\{\w+\}|\w+)$/) ?? [];
  if (whole !== undefined) {
    const known = values?.get(bare(whole));
    if (known === undefined) return true;
    if (asked.includes(whole)) return false;
    return known.some((each) => each.includes('$') && mayBe(each, spellings, values, [...asked, whole]));
  }
  const pattern = value
    .split(VARIABLE)
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
    .join('.*');
  return spellings.some((spelling) => new RegExp(`^${pattern}$`, 'i').test(spelling));
}

/** The ways in which a `fastcgi_pass` may spell an address. */
function spellingsOf(address: Address): readonly string[] {
  if (address.kind === 'tcp') return hostsOf(address).map((host) => `${host}:${String(address.port)}`);
  const paths = [address.path, address.path.replace(/^\/run\//, '/var/run/')];
  return paths.flatMap((path) => [`unix:${path}`, `unix:${path}:`]);
}

const hostsOf = ({ host }: Extract<Address, { kind: 'tcp' }>): readonly string[] => [
  host.includes(':') ? `[${host}]` : host,
  ...['127.0.0.1', 'localhost', '[::1]'],
];

/** Whether a word of the configuration holds an address as a word of its own. */
function holds(text: string, address: Address): boolean {
  if (address.kind === 'tcp') {
    return hostsOf(address).some((host) => {
      const [before = null, ...after] = text
        .toLowerCase()
        .split(`${host.toLowerCase()}:${String(address.port)}`);
      return before !== null && !/[\w.-]$/.test(before) && after.some((rest) => !/^\d/.test(rest));
    });
  }
  const name = address.path.slice(address.path.lastIndexOf('/'));
  const paths = text
    .split(/[\s:=,;'"()]+/)
    .flatMap((part) => (part.startsWith('/') ? (toUtf8(part) ?? []) : []));
  return paths.some((path) => {
    if (path.endsWith(name) && canonicalPath(path) === address.path) return true;
    const real = text.includes('unix:') ? realPath(path) : null;
    return real?.ok === true && real.value === address.path;
  });
}
