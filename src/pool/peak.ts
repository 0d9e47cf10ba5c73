/** How many workers a php-fpm has needed that is no slot's: before its successor is written. */
import { pageParams, request } from '../fastcgi/client.js';
import { spell } from './slots.js';
import type { Address } from '../system/sockets.js';

/** ms */
const TIMEOUT = 2000;

/**
 * The most workers that were at work at once since the master began, by its status page; null without an
 * answer. Whoever asks on the pool's own socket sees to it that a worker is free: the question waits behind
 * all others.
 */
export async function mostAtWork(address: Address, path: string): Promise<number | null> {
  const reply = await request({
    address: spell(address),
    params: pageParams(path, 'json'),
    timeoutMs: TIMEOUT,
  });
  if (!reply.ok || reply.value.status !== 200) return null;
  const count = /"max active processes":\s*(\d+)/.exec(Buffer.from(reply.value.body).toString('latin1'))?.[1];
  return count === undefined ? null : Number(count);
}
