import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/demo/machine.js';
import type { ProxySwitch } from '../../src/drivers.js';
import type { ProcessId, Result } from '../../src/event.js';
import { createSymlink } from '../../src/nginx/symlink.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { identify, procfs } from '../../src/system/proc.js';
import { PATIENCE } from '../support/limits.js';
import { Rig, until } from './rig.js';

let rig: Rig;
const held: Server[] = [];
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(async () => {
  for (const server of held.splice(0)) server.close();
  await rig.end();
});

const fs = procfs();
const root = process.geteuid?.() === 0;
const proxy = (): ProxySwitch =>
  createSymlink({
    procfs: fs,
    nginx: { config: rig.path('nginx.conf'), only: [], reloadTimeout: PATIENCE },
    addresses: {
      blue: { kind: 'unix', path: rig.sockets.blue },
      green: { kind: 'unix', path: rig.sockets.green },
    },
    link: rig.path('shop.sock'),
    root,
  });
const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
};
const reason = (result: Result<unknown>): string => (result.ok ? 'ok' : result.failure.reason);
const link = (target: string): void => {
  symlinkSync(target, rig.path('shop.sock'));
};
const plain = (): string => rig.conf(rig.server(`fastcgi_pass unix:${rig.path('shop.sock')};`));
const keeping = (): string =>
  rig.conf(
    `upstream pool { server unix:${rig.path('shop.sock')}; keepalive 8; }\n${rig.server('fastcgi_pass pool; fastcgi_keep_conn on;')}`,
  );
const idOf = (pid: number): ProcessId => {
  const id = identify(fs, pid);
  if (id === null) throw new Error(`${String(pid)} is gone`);
  return id;
};

describe('a link', () => {
  beforeEach(async () => {
    await rig.pool('blue');
    await rig.pool('green');
  });

  it('moves the next request, and nobody is signalled', async () => {
    link(rig.sockets.blue);
    const pid = rig.start(plain());
    const sw = proxy();
    const proof = value(await sw.reload());
    const workers = readWorkers(fs, idOf(pid)).serving;
    expect(value(await sw.survey(proof))).toMatchObject({
      active: 'blue',
      running: true,
      signals: [],
      changes: [{ lines: [] }],
    });
    expect(await rig.get()).toBe('blue');
    const there = value(await sw.point('green'));
    expect(await rig.get()).toBe('green');
    expect(there).toMatchObject({ files: [rig.path('shop.sock')], older: [] });
    expect(readWorkers(fs, idOf(pid)).serving).toEqual(workers);
    expect(value(await sw.wayIn('blue', there.older))).toEqual({ open: false, retiring: [] });
    expect(value(await sw.serving(null))).toBe('green');
    value(await sw.point('blue'));
    expect(await rig.get()).toBe('blue');
    expect(readdirSync(rig.dir).filter((name) => name.includes('swap-pool-'))).toEqual([]);
  });

  it('requests on their way while it moves all arrive', async () => {
    link(rig.sockets.blue);
    rig.start(plain());
    const sw = proxy();
    const wrong: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      const racing = Array.from({ length: 8 }, () => rig.get());
      const to = round % 2 === 0 ? 'green' : 'blue';
      value(await sw.point(to));
      if ((await rig.get()) !== to) wrong.push(`after ${String(round)}`);
      for (const body of await Promise.all(racing)) if (body !== 'blue' && body !== 'green') wrong.push(body);
    }
    expect(wrong).toEqual([]);
  });

  it('a relative one stays relative', async () => {
    link(relative(rig.dir, rig.sockets.blue));
    rig.start(plain());
    value(await proxy().point('green'));
    expect(readlinkSync(rig.path('shop.sock'))).toBe('green.sock');
    expect(await rig.get()).toBe('green');
  });

  it('through a folder’s link leads to the same slot', async () => {
    symlinkSync(rig.dir, rig.path('alias'));
    link(rig.path('alias/green.sock'));
    rig.start(plain());
    expect(value(await proxy().survey(null)).active).toBe('green');
  });

  it('what was proven before stays proven, for the tree did not change', async () => {
    link(rig.sockets.blue);
    rig.start(plain());
    const sw = proxy();
    const proof = value(await sw.reload());
    const { hash, workers } = proof;
    expect(value(await sw.survey(proof)).differing).toEqual([]);
    const there = value(await sw.point('green'));
    expect(there.proof).toMatchObject({ hash, workers });
    expect(value(await proxy().survey(there.proof)).differing).toEqual([]);
    // who has not seen the proof claims none
    expect(value(await proxy().point('blue')).proof).toEqual({ hash: '', workers: [] });
  });

  it('with nginx stopped the link is restored all the same', async () => {
    rig.write('nginx.conf', plain());
    const sw = proxy();
    expect(value(await sw.survey(null))).toMatchObject({ active: null, running: false });
    value(await sw.point('green'));
    expect(readlinkSync(rig.path('shop.sock'))).toBe(rig.sockets.green);
    expect(value(await sw.survey(null)).active).toBe('green');
  });
});

describe('kept connections', () => {
  /** One worker, so that a second request meets the first one's connection. */
  const single = (): string => keeping().replace('worker_processes 2', 'worker_processes 1');

  it('let go by a reload after the rename, and the way is open until their workers are gone', async () => {
    const blue = await rig.pool('blue');
    await rig.pool('green');
    link(rig.sockets.blue);
    rig.start(single());
    const sw = proxy();
    expect(value(await sw.survey(null)).signals).toMatchObject([{ signal: 'SIGHUP' }]);
    expect([await rig.get(), await rig.get()]).toEqual(['blue', 'blue']);
    expect(blue.connections).toBe(1);
    // a slow client keeps the old worker alive
    const agent = new Agent();
    const slow = request({
      host: '127.0.0.1',
      port: rig.port,
      method: 'POST',
      agent,
      headers: { 'content-length': 10, expect: '100-continue' },
    });
    slow.on('error', () => undefined);
    slow.flushHeaders();
    // it has been read when nginx asks for the rest
    await once(slow, 'continue');
    const there = value(await sw.point('green'));
    for (let round = 0; round < 10; round += 1) expect(await rig.get()).toBe('green');
    expect(there.older).toHaveLength(1);
    expect(value(await sw.wayIn('blue', there.older)).open).toBe(true);
    expect(value(await proxy().wayIn('blue', there.older)).open).toBe(true);
    expect(value(await sw.serving({ ...there.proof, named: 'blue' }))).toBe('unclear');
    slow.destroy();
    await until(async () => !value(await sw.wayIn('blue', there.older)).open);
    await until(() => blue.connections === 0);
  });

  it('a swallowed reload puts the link back', async () => {
    await rig.pool('blue');
    await rig.pool('green');
    link(rig.sockets.blue);
    rig.start(single());
    const port = await freePort();
    await new Promise<void>((resolve) => {
      const server = createServer();
      held.push(server);
      server.listen(port, '127.0.0.1', () => {
        resolve();
      });
    });
    const conf = single();
    writeFileSync(
      rig.path('nginx.conf'),
      `${conf.slice(0, conf.lastIndexOf('}'))}${rig.server('return 200 x;', port)}}\n`,
    );
    expect(reason(await proxy().point('green'))).toBe('reload-swallowed');
    expect(readlinkSync(rig.path('shop.sock'))).toBe(rig.sockets.blue);
    expect(await rig.get()).toBe('blue');
  });
});

describe('what is refused', () => {
  it('a tree that does not name the link, or names a slot too', async () => {
    link(rig.sockets.blue);
    rig.write('nginx.conf', rig.conf(rig.server(`fastcgi_pass unix:${rig.sockets.blue};`)));
    expect(reason(await proxy().survey(null))).toBe('link-not-named');
    const both =
      rig.server(`fastcgi_pass unix:${rig.path('shop.sock')};`) +
      rig.server(`fastcgi_pass unix:${rig.sockets.green};`, 1);
    rig.write('nginx.conf', rig.conf(both));
    expect(reason(await proxy().survey(null))).toBe('link-and-slot-named');
  });

  it('a tree that names another link to a slot, one that does not come by ours', async () => {
    link(rig.sockets.blue);
    const other = rig.path('other.sock');
    const conf = [rig.path('shop.sock'), other].map((path, n) =>
      rig.server(`fastcgi_pass unix:${path};`, n + 1),
    );
    rig.write('nginx.conf', rig.conf(conf.join('')));
    expect(reason(await proxy().survey(null))).toBe('ok');
    symlinkSync('shop.sock', other);
    expect(reason(await proxy().survey(null))).toBe('ok');
    unlinkSync(other);
    symlinkSync('blue.sock', other);
    expect(reason(await proxy().survey(null))).toBe('link-and-slot-named');
  });

  it('something else where the link should be, or a link to something else', async () => {
    rig.write('nginx.conf', plain());
    writeFileSync(rig.path('shop.sock'), '');
    expect(await proxy().survey(null)).toMatchObject({ ok: false, failure: { reason: 'link-wrong' } });
    expect(reason(await proxy().point('green'))).toBe('link-wrong');
    unlinkSync(rig.path('shop.sock'));
    link(rig.path('nginx.conf'));
    expect(reason(await proxy().survey(null))).toBe('link-wrong');
    expect(reason(await proxy().point('green'))).toBe('link-wrong');
    expect(readlinkSync(rig.path('shop.sock'))).toBe(rig.path('nginx.conf'));
  });

  it('no link, or one to nothing, is nobody’s; one to a slot whose socket is gone is still that slot’s', async () => {
    rig.write('nginx.conf', plain());
    expect(value(await proxy().survey(null)).active).toBeNull();
    link(rig.path('nothing.sock'));
    expect(value(await proxy().survey(null)).active).toBeNull();
    unlinkSync(rig.path('shop.sock'));
    link(rig.sockets.green);
    expect(value(await proxy().survey(null)).active).toBe('green');
  });

  it('a folder that does not take the link', async () => {
    mkdirSync(rig.path('run'));
    rig.write('nginx.conf', rig.conf(rig.server(`fastcgi_pass unix:${rig.path('gone/shop.sock')};`)));
    const sw = createSymlink({
      procfs: fs,
      nginx: { config: rig.path('nginx.conf'), only: [], reloadTimeout: 1000 },
      addresses: {
        blue: { kind: 'unix', path: rig.sockets.blue },
        green: { kind: 'unix', path: rig.sockets.green },
      },
      link: rig.path('gone/shop.sock'),
      root,
    });
    expect(await sw.point('green')).toMatchObject({
      ok: false,
      failure: { reason: 'config-unwritable', code: 'ENOENT' },
    });
  });
});
