/** The nginx that an app means, as far as it can be known without its pools, and without a test of its files. */
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import type { Config } from '../config/resolve.js';
import { errorLogOf, hashOf, loadTree, pidfileOf, resolverFor } from '../nginx/config-tree.js';
import { holdersOf } from '../nginx/holders.js';
import { createFinder } from '../nginx/master.js';
import { orphansOf } from '../nginx/orphans.js';
import { logSince, logSize } from '../nginx/reload.js';
import { createSharedProof } from '../nginx/shared-proof.js';
import { readWorkers } from '../nginx/workers.js';
import type { Pools } from '../pool/driver.js';
import { realPath } from '../system/files.js';
import { proxyProof } from '../system/places.js';
import { startedAt } from '../system/proc.js';
import type { NginxFacts, Patient } from './subject.js';

/** Fails as a survey does: with what kept it from being found or read. */
export async function nginxFacts(
  { fs, root, past, folders }: Pick<Patient, 'fs' | 'root' | 'past' | 'folders'>,
  { nginx: keys }: Config,
  pools: Pools | null,
): Promise<Result<NginxFacts>> {
  const found = await createFinder({ fs, keys, root, timeout: PATIENCE }).locate();
  if (!found.ok) return fail(found.failure);
  const nginx = found.value;
  const { master } = nginx;
  const tree = loadTree(nginx);
  if (!tree.ok) return tree;
  const real = realPath(nginx.config);
  const shared = createSharedProof(proxyProof(folders.locks, real.ok ? real.value : nginx.config)).read();
  const compiled = await nginx.compiled();
  const pidfile = await pidfileOf(nginx, tree.value);
  const errorLog = await errorLogOf(nginx, tree.value);
  const workers = master === null ? null : readWorkers(fs, master);
  return ok({
    nginx,
    tree: tree.value,
    hash: hashOf(tree.value),
    proofs: [past.proof, shared].filter((proof) => proof !== null),
    resolver: pools === null ? null : await resolverFor(tree.value, pools.addresses, pools.others),
    workers,
    orphans: (await orphansOf(fs, nginx)).all,
    born: (id) => startedAt(fs, id),
    held: (id) => {
      const [holder] = master === null ? [] : holdersOf(fs, [id], master);
      return { clients: holder?.clients ?? 0, upstreams: holder?.upstreams ?? 0 };
    },
    version: compiled.ok ? compiled.value.version : null,
    pidfile: pidfile.ok ? pidfile.value : null,
    log: () => {
      if (errorLog === null || master === null) return '';
      const lines = logSince(errorLog, Math.max(0, logSize(errorLog) - LATEST), master.pid).split('\n');
      // what was wrong before those that run were born has been mended since
      const born = Math.min(...(workers?.serving ?? []).map((id) => startedAt(fs, id)));
      return lines.filter((line) => !(loggedAt(line) < born - SECOND)).join('\n');
    },
  });
}

/** How long a program may take to say what it is, ms. */
const PATIENCE = 3000;
/** `2026/11/21 20:43:01 [emerg] …`, in local time; NaN where there is none. */
const loggedAt = (line: string): number => Date.parse(line.slice(0, 19).replaceAll('/', '-'));
/** The log has no more, and start times are a second too early at most. */
const SECOND = 1000;
/** How far back its error log is looked at, bytes. */
const LATEST = 64 * 1024;
