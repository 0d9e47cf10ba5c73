/** The end of a move: waits until the old pool serves nobody, and says how it is taken away. */
import { fail, ok } from '../event.js';
import type { InitReport, NextStep, Result } from '../event.js';
import { loadTree } from '../nginx/config-tree.js';
import { spell } from '../pool/slots.js';
import { procfs } from '../system/proc.js';
import { findNginx, readPool } from './host.js';
import type { Sources } from './host.js';
import { placesNaming } from './namings.js';
import { awaitOldPool, findOldPool } from './old-pool.js';
import type { OldPool } from './old-pool.js';
import { shellWord } from './words.js';

export interface AwaitOld {
  readonly sources: Sources & { readonly from: string };
  readonly root: boolean;
  /** Files that the running proxy has not read as they are: what it runs may name the old pool still. */
  readonly unread: readonly string[];
  /** How many of the proxy's workers may still send requests to it: of those that do not run its files. */
  readonly retiring: () => Promise<number | null>;
  /** ms */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

/** Fails with `old-pool-named` while nginx's files name it or may do so, and with `old-pool-busy`. Stops nothing. */
export async function awaitOld(options: AwaitOld): Promise<Result<InitReport>> {
  const { sources, root, unread, retiring, timeout, signal } = options;
  const fs = procfs();
  const pool = readPool(fs, sources);
  if (!pool.ok) return pool;
  const { address } = pool.value;
  if (address === null) return fail({ reason: 'bug', detail: 'a pool without an address' });
  const nginx = await findNginx(fs, sources, root);
  if (!nginx.ok) return nginx;
  const tree = loadTree(nginx.value);
  if (!tree.ok) return tree;
  const places = await placesNaming(tree.value, address);
  if (places.length + unread.length > 0) {
    return fail({ reason: 'old-pool-named', address: spell(address), places, unread });
  }
  const idle = await awaitOldPool({ fs, address, retiring, timeout, signal });
  if (!idle.ok) return idle;
  const old = findOldPool(fs, address);
  return ok({ files: [], backup: null, next: old === null ? [] : takeAway(old, sources.from) });
}

/** Without its file it does not come back; a php-fpm without any pool would not start. */
function takeAway({ alone, unit, master }: OldPool, from: string): readonly NextStep[] {
  const file = shellWord(from);
  const words = unit === null ? `kill -${alone ? 'QUIT' : 'USR2'} ${String(master.pid)}` : null;
  const service = shellWord(unit ?? '');
  return alone
    ? [{ why: 'stop-old', command: words ?? `systemctl disable --now ${service}` }]
    : [{ why: 'drop-old', command: `mv ${file} ${file}.off && ${words ?? `systemctl reload ${service}`}` }];
}
