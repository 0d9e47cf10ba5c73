/**
 * What was last proven to run, for every app behind one nginx. An app's own journal does not know
 * of the deploys of others, and each of them changes the tree that all share: without this every
 * deploy after somebody else's would take nginx for one that runs older files.
 */
import type { ProxyProof } from '../drivers.js';
import type { ProcessId } from '../event.js';
import { createFile, readText, removeFile, rename } from '../system/files.js';

export interface SharedProof {
  /** null: nothing proven, or not to be read. It is a claim about a hash and living workers, to be compared. */
  read(): ProxyProof | null;
  /** Under the proxy's lock. What cannot be written is not told: it saves a reload, no more. */
  write(proof: ProxyProof): void;
}

/** `path`: in a folder that nobody else may write, gone with the boot like the workers it names. */
export function createSharedProof(path: string): SharedProof {
  return {
    read: () => {
      const text = readText(path);
      return text.ok ? parse(text.value) : null;
    },
    write: (proof) => {
      const next = `${path}.new`;
      removeFile(next);
      if (createFile(next, `${JSON.stringify(proof)}\n`, 0o600).ok) rename(next, path);
    },
  };
}

function parse(text: string): ProxyProof | null {
  try {
    const { hash, workers } = JSON.parse(text) as Partial<ProxyProof>;
    return typeof hash === 'string' && Array.isArray(workers) && workers.every(isProcess)
      ? { hash, workers }
      : null;
  } catch {
    return null;
  }
}

const isProcess = (one: Partial<ProcessId> | null): boolean =>
  typeof one?.boot === 'string' && typeof one.pid === 'number' && typeof one.start === 'number';
