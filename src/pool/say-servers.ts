/**
 * The slots of a FastCGI server as the app's configuration has them: there is nobody to be asked.
 */
import { fail, ok } from '../event.js';
import type { Result, Slot } from '../event.js';
import { facts, readLink } from '../system/files.js';
import { canonicalPath } from '../system/sockets.js';
import { apart, toAddress } from './address.js';
import type { FastcgiConfig, FastcgiSlot } from './slots.js';
import type { Unit } from './unit.js';

/** Fails with `address-invalid`, `listen-is-link`, `slots-share`. `units`: where systemd starts them. */
export async function sayServers(
  pools: Readonly<Record<Slot, FastcgiConfig>>,
  units: Readonly<Record<Slot, Unit>> | null,
): Promise<Result<Readonly<Record<Slot, FastcgiSlot>>>> {
  const blue = await sayServer('blue', pools.blue, units?.blue);
  if (!blue.ok) return blue;
  const green = await sayServer('green', pools.green, units?.green);
  return green.ok ? apart({ blue: blue.value, green: green.value }) : green;
}

/** One slot; as sayServers(), which ends at the first failure. */
export async function sayServer(
  slot: Slot,
  { listen, pidfile, env }: FastcgiConfig,
  unit: Unit | undefined,
): Promise<Result<FastcgiSlot>> {
  const address = await toAddress(listen);
  if (address === null) return fail({ reason: 'address-invalid', slot, address: listen });
  if (address.kind === 'unix') {
    const { path } = address;
    const found = facts(path);
    const target = found.ok && found.value.kind === 'link' ? readLink(path) : null;
    if (target?.ok === true) return fail({ reason: 'listen-is-link', slot, path, target: target.value });
  }
  return ok({
    kind: 'fastcgi',
    slot,
    env: { ...env, SWAP_POOL_SLOT: slot },
    address,
    others: [],
    statusListens: [],
    pidfile: pidfile === undefined ? null : canonicalPath(pidfile),
    unit: unit?.id ?? null,
  });
}
