/**
 * What was last proven to run, for every app behind one nginx. An app's own journal does not know
 * of the deploys of others, and each of them changes the tree that all share: without this every
 * deploy after somebody else's would take nginx for one that runs older files.
 */
import type { ProxyProof } from '../drivers.js';
import type { ProcessId } from '../event.js';
import { createFile, readOwn, removeFile, rename } from '../system/files.js';

export interface SharedProof {
  /** null: nothing proven, or not to be read. It is a claim about a hash and living workers, to be compared. */
  read(): ProxyProof | null;
  /** Workers that were found to forgive a missing pool of this pair of addresses: they outlive many a deploy. */
  forgiving(pair: string): readonly ProcessId[];
  /** Both under the proxy's lock. What cannot be written is not told: it saves a reload or a wait, no more. */
  write(proof: ProxyProof): void;
  forgive(pair: string, workers: readonly ProcessId[]): void;
}

interface Kept {
  readonly proof: ProxyProof | null;
  readonly forgiving: Readonly<Record<string, readonly ProcessId[]>>;
}

const NOTHING: Kept = { proof: null, forgiving: {} };

/** `path`: in a folder that nobody else may write, gone with the boot like the workers it names. */
export function createSharedProof(path: string): SharedProof {
  const read = (): Kept => {
    const text = readOwn(path);
    return text.ok ? parse(text.value) : NOTHING;
  };
  const write = (kept: Kept): void => {
    const next = `${path}.new`;
    removeFile(next);
    if (createFile(next, `${JSON.stringify(kept)}\n`, 0o600).ok) rename(next, path);
  };
  return {
    read: () => read().proof,
    forgiving: (pair) => read().forgiving[pair] ?? [],
    write: (proof) => {
      write({ ...read(), proof });
    },
    forgive: (pair, workers) => {
      const kept = read();
      const same = workers.length === 0 && kept.forgiving[pair] === undefined;
      if (!same) write({ ...kept, forgiving: { ...kept.forgiving, [pair]: workers } });
    },
  };
}

function parse(text: string): Kept {
  try {
    const { proof, forgiving = {} } = JSON.parse(text) as { proof?: ProxyProof | null; forgiving?: object };
    return {
      proof: proof && typeof proof.hash === 'string' && areProcesses(proof.workers) ? proof : null,
      forgiving: Object.fromEntries(
        Object.entries(forgiving).filter((entry): entry is [string, ProcessId[]] => areProcesses(entry[1])),
      ),
    };
  } catch {
    return NOTHING;
  }
}

const areProcesses = (value: unknown): value is ProcessId[] =>
  Array.isArray(value) &&
  value.every(
    (one: Partial<ProcessId> | null) => typeof one?.boot === 'string' && typeof one.pid === 'number',
  );
