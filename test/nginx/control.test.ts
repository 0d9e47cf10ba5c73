/** The control script's refusals that need an nginx in a shape of its own. */
import { existsSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Notice } from '../../src/event.js';
import { createControl } from '../../src/nginx/control.js';
import { createUpgradeRecord } from '../../src/nginx/upgrade-record.js';
import { procfs, title } from '../../src/system/proc.js';
import { Rig, until } from './rig.js';

let rig: Rig;
let said: Notice[];
beforeEach(async () => {
  rig = await Rig.make();
  said = [];
});
afterEach(async () => {
  await rig.end();
});

const control = (reload = 5000) =>
  createControl({
    procfs: procfs(),
    nginx: { config: rig.path('nginx.conf'), reloadTimeout: reload },
    root: process.geteuid?.() === 0,
    record: () => createUpgradeRecord(rig.path('upgrade')),
    timeouts: { reload, drain: 5000, stop: 1000 },
    tell: (notice) => said.push(notice),
    warn: () => undefined,
    interruption: { requested: null, signal: new AbortController().signal },
  });
const conf = (main = ''): string => rig.conf(rig.server('return 200 x;'), main);

it('an nginx without a daemon is not upgraded, because it would not hear USR2', async () => {
  const file = rig.write('nginx.conf', conf('daemon off;'));
  const pid = rig.run('/usr/sbin/nginx', ['-c', file]);
  await until(() => title(procfs(), pid).startsWith('nginx: master') && existsSync(rig.path('nginx.pid')));
  expect(await control().upgrade()).toMatchObject({
    ok: false,
    failure: { reason: 'upgrade-impossible', why: 'daemon-off' },
  });
  expect(said).toEqual([]);
  expect(await control().stop()).toEqual({ ok: true, value: true });
});

it.each([
  ['accept_mutex', 'events {', 'events { accept_mutex on;'],
  // each worker has a socket of its own
  ['reuseport', ';', ' reuseport;'],
  // the kernel keeps a connection for a second until it hands it over without data
  ['deferred', ';', ' deferred;'],
])('with %s an upgrade is proven as well', async (_, what, by) => {
  const listen = what === ';' ? /(?<=listen [^;]+);/ : what;
  const old = rig.start(conf().replace(listen, by));
  expect(await control().upgrade()).toEqual({ ok: true, value: undefined });
  const young = rig.adopt(rig.pid('nginx.pid'));
  expect(young).not.toBe(old);
  expect(await rig.get()).toBe('x');
  expect(await control().forceStop()).toEqual({ ok: true, value: true });
});

it('a unix socket alone is proven by who holds the connection', async () => {
  rig.start(conf().replace(/listen [^;]+;/, `listen unix:${rig.path('web.sock')};`));
  expect(await control().upgrade()).toEqual({ ok: true, value: undefined });
  rig.adopt(rig.pid('nginx.pid'));
  expect(said.filter(({ kind }) => kind === 'nginx-answers')).toMatchObject([
    { address: `unix:${rig.path('web.sock')}` },
    { address: `unix:${rig.path('web.sock')}` },
  ]);
});

it('nothing is left to recover where both masters are gone, and a record of another boot is over', async () => {
  rig.write('nginx.conf', conf());
  const record = createUpgradeRecord(rig.path('upgrade'));
  const of = { program: '/usr/sbin/nginx', pidfile: rig.path('nginx.pid'), workers: 2 };
  record.write({ ...of, old: { boot: 'another', pid: process.pid, start: 1 }, stage: 'leave' });
  expect(await control().recoverUpgrade()).toEqual({ ok: true, value: 'undone' });
  expect(record.read()).toBeNull();
  expect(await control().recoverUpgrade()).toEqual({ ok: true, value: 'none' });
});

it('a torn record is none', () => {
  const record = createUpgradeRecord(rig.path('upgrade'));
  for (const text of ['', '{', '{}', '{"old":{"pid":1}}', 'null', '[]']) {
    rmSync(rig.path('upgrade'), { force: true });
    rig.write('upgrade', text);
    expect([text, record.read()]).toEqual([text, null]);
  }
});
