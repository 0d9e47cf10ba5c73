/** What sockets are, against the real kernel: listeners, connections from both sides, and how addresses are written. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { waitUntil } from '../../src/system/clock.js';
import { connectTo } from '../../src/system/connect.js';
import { cameIn, endpointsOf, reachable, tcpAddress } from '../../src/system/endpoints.js';
import { polledBy, procfs, socketsOf } from '../../src/system/proc.js';
import { PATIENCE } from '../support/limits.js';

const fs = procfs();
const folder = mkdtempSync(join(tmpdir(), 'swap-pool-endpoints-'));
const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  rmSync(folder, { recursive: true, force: true });
});

function listen(where: { host: string; port: number } | { path: string }): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      open.push({ close: () => socket.destroy() });
    });
    open.push(server);
    server.listen(where, () => {
      resolve(server);
    });
  });
}
const mine = () => endpointsOf(fs, new Set(socketsOf(fs, process.pid)?.values()));

it('TCP, IPv6 and unix listeners are found with their addresses, and what came in there is told from what went out', async () => {
  const four = (await listen({ host: '127.0.0.1', port: 0 })).address() as AddressInfo;
  const any = (await listen({ host: '::', port: 0 })).address() as AddressInfo;
  const path = join(folder, 'one two.sock');
  await listen({ path });
  const addresses = [
    { kind: 'tcp', host: '127.0.0.1', port: four.port },
    { kind: 'tcp', host: '::', port: any.port },
    { kind: 'unix', path },
  ] as const;
  const { listeners } = mine();
  for (const address of addresses) expect(listeners.map((each) => each.address)).toContainEqual(address);
  for (const address of addresses) {
    const opened = await connectTo(reachable(address), 5000);
    if (typeof opened === 'string') throw new Error(opened);
    open.push(opened);
    const own = listeners.filter((each) => JSON.stringify(each.address) === JSON.stringify(address));
    const came = (): number => mine().connections.filter((end) => cameIn(end, own)).length;
    const seen = await waitUntil(() => (came() === 1 ? true : undefined), { deadline: PATIENCE });
    expect([address, seen.kind]).toEqual([address, 'seen']);
  }
});

it('a connection that is refused says why', async () => {
  const server = await listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.address() as AddressInfo;
  server.close();
  expect(await connectTo({ kind: 'tcp', host: '127.0.0.1', port }, 5000)).toBe('ECONNREFUSED');
  expect(await connectTo({ kind: 'unix', path: join(folder, 'none') }, 5000)).toBe('ENOENT');
});

it('what a process waits for with epoll is read of the kernel', async () => {
  const server = await listen({ host: '127.0.0.1', port: 0 });
  const { port } = server.address() as AddressInfo;
  const inode = mine().listeners.find(
    ({ address }) => address.kind === 'tcp' && address.port === port,
  )?.inode;
  // libuv tells the kernel when it goes to sleep next
  const seen = await waitUntil(
    () => (polledBy(fs, process.pid)?.has(inode ?? -1) === true ? true : undefined),
    {
      deadline: PATIENCE,
    },
  );
  expect(seen.kind).toBe('seen');
  expect(polledBy(fs, 2 ** 30)).toBeNull();
});

it.runIf(new Uint8Array(new Uint16Array([1]).buffer)[0] === 1).each([
  ['0100007F:1F90', '127.0.0.1', 8080],
  ['00000000:0050', '0.0.0.0', 80],
  ['00000000000000000000000000000000:0050', '::', 80],
  ['00000000000000000000000001000000:01BB', '::1', 443],
  ['0000000000000000FFFF00000100007F:0050', '::ffff:127.0.0.1', 80],
  ['B80D0120000000000000000001000000:0050', '2001:db8::1', 80],
  ['000080FE00000000FF57020A01234567:0050', 'fe80::a02:57ff:6745:2301', 80],
])('%s is %s port %i', (hex, host, port) => {
  expect(tcpAddress(hex)).toEqual({ kind: 'tcp', host, port });
});
