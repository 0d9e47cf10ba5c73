/**
 * Where pools listen, as FPM writes it, and whether the two slots keep apart.
 */
import { lookup } from 'node:dns/promises';
import { fail, ok } from '../event.js';
import type { Result, SharedValue, Slot } from '../event.js';
import { canonicalPath } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';
import { collide, spell } from './slots.js';
import type { PoolSlot } from './slots.js';

/** sun_path of sockaddr_un holds 108 bytes, one of them the final NUL; FPM cuts a longer one short. */
export const MAX_PATH = 107;

/**
 * As FPM reads `listen` (fpm_sockets_domain_from_address): digits alone are a port, a colon
 * makes it HOST:PORT, anything else is a path. Of a name's addresses FPM takes the first it can bind.
 */
export async function toAddress(listen: string): Promise<Address | null> {
  if (listen.startsWith('/')) {
    const path = canonicalPath(listen);
    return Buffer.byteLength(path) > MAX_PATH || path.endsWith('/') ? null : { kind: 'unix', path };
  }
  const [, six, name, digits] = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d+)$/.exec(listen) ?? [];
  const port = Number(digits);
  if (digits === undefined || port < 1 || port > 65_535) return null;
  const host = six ?? name ?? '*';
  if (six !== undefined || host === '*' || /^[\d.]+$/.test(host)) return { kind: 'tcp', host, port };
  try {
    return { kind: 'tcp', host: (await lookup(host, { verbatim: true })).address, port };
  } catch {
    return null;
  }
}

/** The sockets and pidfiles of the two must all differ: the one's end would take the other's away. All that do not are told. */
export function apart<Kind extends PoolSlot>(
  slots: Readonly<Record<Slot, Kind>>,
): Result<Readonly<Record<Slot, Kind>>> {
  const { blue, green } = slots;
  const shared: SharedValue[] = [];
  if (blue.pidfile !== null && blue.pidfile === green.pidfile) {
    shared.push({ what: 'pid', value: blue.pidfile, places: [] });
  }
  const listens = (slot: PoolSlot): readonly Address[] => [slot.address, ...slot.others];
  for (const address of [...listens(blue), ...blue.statusListens]) {
    const value = spell(address);
    const clashes = (others: readonly Address[]): boolean => others.some((each) => collide(address, each));
    if (clashes(listens(green))) shared.push({ what: 'listen', value, places: [] });
    else if (clashes(green.statusListens)) shared.push({ what: 'pm.status_listen', value, places: [] });
  }
  return shared.length === 0 ? ok(slots) : fail({ reason: 'slots-share', shared });
}
