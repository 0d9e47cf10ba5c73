/** Whether anything that takes requests leads to what names the slots. PURE. */
import type { Place } from '../event.js';
import type { Directive } from './parser.js';
import { toUtf8 } from './spelling.js';
import { inStream, walk } from './tree.js';
import type { Tree } from './tree.js';

/** A place that names a slot, or the link to it: in an upstream, or (null) in what passes requests itself. */
interface Naming {
  readonly place: Place;
  readonly upstream: Directive | null;
}

export interface Uses {
  /** All of the places, when nothing that takes requests leads to any of them. */
  readonly unused: readonly Place[];
  /** The files whose bytes make the way: those of the places, and each one that sends requests there. */
  readonly named: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
}

/**
 * Follows each place to the `fastcgi_pass` that uses it, or the `proxy_pass` of a `stream`, which hands bytes on as they
 * come, FastCGI's too. One with a variable may name any upstream of its kind, so it counts; whether requests come to it,
 * nobody can tell.
 */
export function usesOf(tree: Tree, places: readonly Naming[]): Uses {
  const named = new Set(places.map(({ upstream }) => upstream));
  const upstreams = { http: new Set<string>(), stream: new Set<string>() };
  const passes: { readonly word: string; readonly file: string; readonly kind: Kind }[] = [];
  for (const visit of walk(tree)) {
    const { directive, file } = visit;
    const { name, block, args } = directive;
    if (!['upstream', 'fastcgi_pass', 'proxy_pass'].includes(name)) continue;
    // nginx compares upstreams' names without regard to case
    const word = toUtf8(args[0]?.value ?? '')?.toLowerCase() ?? '';
    const kind = inStream(visit) ? 'stream' : 'http';
    if (name === 'upstream' && named.has(directive)) upstreams[kind].add(word);
    if (block === null && name === PASSES[kind]) passes.push({ word, file: file.path, kind });
  }
  const users = new Set(places.flatMap(({ upstream, place }) => (upstream === null ? [place.file] : [])));
  for (const { word, file, kind } of passes) {
    const known = upstreams[kind];
    if (known.has(word) || (known.size > 0 && word.includes('$'))) users.add(file);
  }
  return {
    unused: users.size > 0 ? [] : places.map(({ place }) => place),
    named: new Set(places.map(({ place }) => place.file)),
    users,
  };
}

/** Which of the files that changed make the way; a user that did not change still leads there. */
export function onTheWay({ named, users }: Uses, changed: readonly string[]): readonly string[] {
  const all = [...users].every((path) => changed.includes(path));
  return changed.filter((path) => named.has(path) || (all && users.has(path)));
}

/** http and stream have upstreams of their own, by the same names or others. */
type Kind = 'http' | 'stream';
const PASSES: Readonly<Record<Kind, string>> = { http: 'fastcgi_pass', stream: 'proxy_pass' };
