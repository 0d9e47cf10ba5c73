/** Whether anything that takes requests leads to what names the slots. PURE. */
import type { Place } from '../event.js';
import type { Directive } from './parser.js';
import { toUtf8 } from './spelling.js';
import { walk } from './tree.js';
import type { Tree } from './tree.js';

/** A place that names a slot, or the link to it: in an upstream, or (null) in a `fastcgi_pass`. */
interface Naming {
  readonly place: Place;
  readonly upstream: Directive | null;
}

export interface Uses {
  /** All of the places, when no `fastcgi_pass` leads to any of them. */
  readonly unused: readonly Place[];
  /** The files whose bytes make the way: those of the places, and each one that sends requests there. */
  readonly named: ReadonlySet<string>;
  readonly users: ReadonlySet<string>;
}

/**
 * Follows each place to the `fastcgi_pass` that uses it. One with a variable may name any upstream, so it counts;
 * whether requests come to its location, nobody can tell.
 */
export function usesOf(tree: Tree, places: readonly Naming[]): Uses {
  const upstreams = new Set(places.flatMap(({ upstream }) => (upstream === null ? [] : [nameOf(upstream)])));
  const users = new Set<string>();
  for (const { upstream, place } of places) if (upstream === null) users.add(place.file);
  for (const { directive, file } of walk(tree)) {
    if (directive.name !== 'fastcgi_pass' || directive.block !== null) continue;
    const word = toUtf8(directive.args[0]?.value ?? '')?.toLowerCase() ?? '';
    // nginx compares upstreams' names without regard to case
    if (upstreams.has(word) || (upstreams.size > 0 && word.includes('$'))) users.add(file.path);
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

const nameOf = (upstream: Directive): string => toUtf8(upstream.args[0]?.value ?? '')?.toLowerCase() ?? '';
