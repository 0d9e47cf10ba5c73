/**
 * Masters that run a slot's configuration where it no longer says: somebody has edited `listen` or
 * `pm.status_listen` under a pool. It serves on, and nothing finds it by the addresses that the file has now.
 */
import { SLOTS } from '../event.js';
import type { Slot, Suspect } from '../event.js';
import { fpmTree } from '../pool/fpm-tree.js';
import { mastersOfSlot, suspect } from '../pool/processes.js';
import { boundAddresses, collide, spell } from '../pool/slots.js';
import type { FpmSlot, PoolSlot } from '../pool/slots.js';
import { endpointsOf } from '../system/endpoints.js';
import { readText } from '../system/files.js';
import { socketsOf } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Check, Subject } from './subject.js';
import { viewsOf } from './subject.js';

const isLed = (subject: Subject): boolean => viewsOf(subject).some(({ life }) => life !== null);

export interface Elsewhere {
  readonly master: Suspect;
  /** The slot that it is the live master of; null: of none. */
  readonly slot: Slot | null;
  readonly config: string;
  /** Where it listens and its file does not say; none where it listens nowhere. */
  readonly addresses: readonly string[];
  /** The same file may be another app's, told apart by its environment. */
  readonly perhapsOthers: boolean;
}

/** Of a file that several apps share another app's master is no finding, unless this one's are nowhere to be seen. */
export const elsewhere: Check = (subject) =>
  subject.elsewhere
    .filter(({ addresses }) => addresses.length > 0 || !subject.inBetween)
    .filter(({ slot, perhapsOthers }) => slot !== null || !perhapsOthers || !isLed(subject))
    .map(({ perhapsOthers, ...seen }) => ({
      // what a slot's master has besides its address is for the next deploy to change
      severity: perhapsOthers || seen.slot !== null ? 'advice' : 'warning',
      observation: { reason: 'listens-elsewhere', ...seen },
    }));

/** Every master that runs a configuration of the slots and listens where none of them does, blue's file first. */
export function mastersElsewhere(
  fs: Procfs,
  slots: Readonly<Record<Slot, PoolSlot>>,
  views: Subject['views'],
): readonly Elsewhere[] {
  const named = SLOTS.flatMap((slot) => boundAddresses(slots[slot]));
  const found = new Map<number, Elsewhere>();
  for (const own of [slots.blue, slots.green]) {
    if (own.kind !== 'php-fpm') continue;
    for (const { id } of mastersOfSlot(fs, own)) {
      const sockets = found.has(id.pid) ? null : socketsOf(fs, id.pid);
      // what may not be read says nothing of where it listens
      if (sockets === null) continue;
      const { listeners } = endpointsOf(fs, new Set(sockets.values()));
      const strays = listeners.filter(({ address }) => !named.some((one) => collide(one, address)));
      if (strays.length === 0 && listeners.length > 0) continue;
      found.set(id.pid, {
        master: suspect(fs, id.pid),
        slot: SLOTS.find((slot) => views[slot]?.life?.master?.pid === id.pid) ?? null,
        config: own.config,
        addresses: strays.map(({ address }) => spell(address)),
        perhapsOthers: isShared(own),
      });
    }
  }
  return [...found.values()];
}

/** Whether its files hold other variables than the slot's. */
const isShared = ({ config, env, binary }: FpmSlot): boolean =>
  fpmTree(config, env, binary).files.some((file) => {
    const text = readText(file);
    return text.ok && /\$\{(?!SWAP_POOL_SLOT\})/.test(text.value);
  });
