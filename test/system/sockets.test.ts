import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { ListenOptions, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { procfs, socketsOf } from '../../src/system/proc.js';
import { atOneMoment, listeningAmong, socketsAt } from '../../src/system/sockets.js';

const fs = procfs();
let folder = '';
let open: (Server | Socket)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'swap-pool-sockets-'));
});
afterEach(() => {
  for (const each of open) if ('destroy' in each) each.destroy();
  for (const each of open) if ('close' in each) each.close();
  open = [];
  rmSync(folder, { recursive: true, force: true });
});

async function listening(options: ListenOptions): Promise<Server> {
  const server = createServer((socket) => open.push(socket));
  open.push(server);
  server.listen(options);
  await once(server, 'listening');
  return server;
}

async function connected(path: string): Promise<void> {
  const socket = connect(path);
  open.push(socket);
  await once(socket, 'connect');
}

const listenersAt = (path: string, of = fs): number => socketsAt(of, { kind: 'unix', path }).listeners.length;

describe('one moment', () => {
  it('shows every address as it was when the first was asked for', async () => {
    const [first, second] = [join(folder, 'first.sock'), join(folder, 'second.sock')];
    await listening({ path: first });
    const before = atOneMoment(fs);
    expect(listenersAt(first, before)).toBe(1);
    await listening({ path: second });
    expect(listenersAt(second, before)).toBe(0);
    expect(listenersAt(second, atOneMoment(fs))).toBe(1);
    expect(listenersAt(second)).toBe(1);
  });

  it('has not come before anything is asked', async () => {
    const path = join(folder, 'late.sock');
    const moment = atOneMoment(fs);
    await listening({ path });
    expect(listenersAt(path, moment)).toBe(1);
  });

  it('is read whole, however many sockets there are', async () => {
    const path = join(folder, 'many.sock');
    await listening({ path });
    // some 80 bytes a line, both ends: more than is read at once
    for (let count = 0; count < 700; count += 1) await connected(path);
    await once(open[0] as Server, 'connection', { signal: AbortSignal.timeout(1) }).catch(() => undefined);
    const { connections } = socketsAt(fs, { kind: 'unix', path });
    expect(connections.accepted + connections.queued).toBe(700);
  });
});

describe('among the sockets of a process', () => {
  const own = (): number[] => [...(socketsOf(fs, process.pid)?.values() ?? [])];

  it('those that listen are found, by whatever family', async () => {
    const before = own();
    const path = join(folder, 'unix.sock');
    await listening({ path });
    await listening({ host: '127.0.0.1', port: 0 });
    const came = own().filter((inode) => !before.includes(inode));
    expect(came).toHaveLength(2);
    await connected(path);
    expect(listeningAmong(fs, own()).filter((inode) => !before.includes(inode))).toEqual(came);
    expect(listeningAmong(atOneMoment(fs), came)).toEqual(came);
  });

  it('an inode that is part of another is not taken for it', async () => {
    await listening({ path: join(folder, 'one.sock') });
    const [inode = 0] = socketsAt(fs, { kind: 'unix', path: join(folder, 'one.sock') }).listeners;
    expect(listeningAmong(fs, [Math.floor(inode / 10), inode * 10])).toEqual([]);
    expect(listeningAmong(fs, [])).toEqual([]);
  });
});
