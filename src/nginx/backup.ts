import type { Place } from '../event.js';
import type { Reference, SlotAddresses } from './references.js';
import type { Directive } from './parser.js';
import { inStream, walk } from './tree.js';
import type { Tree } from './tree.js';

export interface BackupPairs {
  /**
   * Whether an nginx worker that finds either slot's socket gone goes on to the
   * other, whatever it has to send: then old workers need not be waited for.
   */
  readonly complete: boolean;
  /** Servers of such pairs without `max_fails=0`: one timeout makes a worker answer 502 to everything for fail_timeout. */
  readonly withoutMaxFails: readonly Place[];
}

/**
 * Whether every primary reference stands in an upstream that lists the other
 * slot's unix socket as `backup`, and nothing in the whole tree keeps a failed
 * connect from being tried there (`fastcgi_next_upstream` without `error`,
 * `fastcgi_next_upstream_tries 1`; in a stream `proxy_next_upstream off` and the like). A missing socket fails before anything is
 * sent, so a POST is tried again too; a closed TCP port can be somebody else's.
 */
export function backupPairs(
  tree: Tree,
  references: readonly Reference[],
  addresses: SlotAddresses,
): BackupPairs {
  const groups = new Map<Directive, Reference[]>();
  for (const reference of references) {
    if (reference.upstream === null) continue;
    groups.set(reference.upstream, [...(groups.get(reference.upstream) ?? []), reference]);
  }
  const backupsOf = ({ upstream, slot }: Reference): readonly Reference[] =>
    (upstream === null ? [] : (groups.get(upstream) ?? [])).filter(
      (each) => each.role === 'backup' && each.slot !== slot && addresses[each.slot].kind === 'unix',
    );
  const primary = references.filter((reference) => reference.role === 'primary');
  const paired = primary.filter((reference) => backupsOf(reference).length > 0);
  const lax = new Map<string, Place>();
  for (const reference of paired) {
    for (const each of [reference, ...backupsOf(reference)]) {
      if (!each.maxFailsZero) lax.set(`${each.file.path} ${String(each.token.offset)}`, each.place);
    }
  }
  return {
    complete: primary.length > 0 && paired.length === primary.length && triesNext(tree),
    withoutMaxFails: [...lax.values()],
  };
}

/** Whether nothing in the whole tree keeps nginx from asking the next server when it cannot connect to one. */
export function triesNext(tree: Tree): boolean {
  for (const visit of walk(tree)) {
    const { directive } = visit;
    if (!directive.name.includes('_next_upstream')) continue;
    const values = directive.args.map((arg) => arg.value.toLowerCase());
    // of http it is about another protocol; a stream's tries the next one unless it is told not to
    if (directive.name.startsWith('proxy_') && inStream(visit)) {
      if (directive.name === 'proxy_next_upstream' && values.includes('off')) return false;
      if (directive.name === 'proxy_next_upstream_tries' && Number(values[0]) === 1) return false;
    }
    if (directive.name === 'fastcgi_next_upstream' && !values.includes('error')) return false;
    if (directive.name === 'fastcgi_next_upstream_tries' && Number(values[0]) === 1) return false;
  }
  return true;
}
