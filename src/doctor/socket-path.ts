/** sun_path holds 108 bytes: a longer path is cut short by FPM, and refused by nginx. */
import { SLOTS } from '../event.js';
import type { Failure, Slot } from '../event.js';
import { MAX_PATH } from '../pool/address.js';
import { boundAddresses } from '../pool/slots.js';
import type { Check, Verdict } from './subject.js';

/** From here on the next longer name of a release or a slot may be too long. */
const NEAR = 100;

export const socketPath: Check = ({ slots, config }) => [
  ...SLOTS.flatMap((slot) => {
    const own = slots?.[slot];
    // the status page's socket is as much FPM's to bind
    return own === undefined
      ? []
      : boundAddresses(own).flatMap((each) => (each.kind === 'unix' ? judge(slot, each.path) : []));
  }),
  ...(config.switch.by === 'symlink' ? judge(null, config.switch.link) : []),
];

/** For a pool that is refused because of it: says how long is too long. */
export function tooLong(failure: Failure): Verdict | null {
  if (failure.reason !== 'address-invalid' || !failure.address.startsWith('/')) return null;
  return judge(failure.slot, failure.address).find(({ severity }) => severity === 'error') ?? null;
}

function judge(slot: Slot | null, path: string): readonly Verdict[] {
  const bytes = Buffer.byteLength(path);
  if (bytes < NEAR) return [];
  const severity = bytes > MAX_PATH ? 'error' : 'advice';
  return [{ severity, observation: { reason: 'socket-path-long', slot, path, bytes, most: MAX_PATH } }];
}
