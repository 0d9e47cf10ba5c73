import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/demo/machine.js';
import type { ProxyProof, ProxySwitch } from '../../src/drivers.js';
import type { ProcessId, Result, Slot } from '../../src/event.js';
import { createRewrite } from '../../src/nginx/rewrite.js';
import type { ProxyOptions } from '../../src/nginx/running.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { identify, isAlive, procfs } from '../../src/system/proc.js';
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
const proxy = (
  keys: { only?: readonly string[]; reloadTimeout?: number } & Pick<ProxyOptions, 'others'> = {},
): ProxySwitch =>
  createRewrite({
    procfs: fs,
    nginx: {
      config: rig.path('nginx.conf'),
      only: keys.only ?? [],
      reloadTimeout: keys.reloadTimeout ?? PATIENCE,
    },
    addresses: {
      blue: { kind: 'unix', path: rig.sockets.blue },
      green: { kind: 'unix', path: rig.sockets.green },
    },
    ...(keys.others === undefined ? {} : { others: keys.others }),
    root,
  });

const pass = (slot: Slot = 'blue'): string => rig.server(`fastcgi_pass unix:${rig.sockets[slot]};`);
const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
};
const reason = (result: Result<unknown>): string => (result.ok ? 'ok' : result.failure.reason);
const idOf = (pid: number): ProcessId => {
  const id = identify(fs, pid);
  if (id === null) throw new Error(`${String(pid)} is gone`);
  return id;
};
/** A listener on a port, so that nginx cannot have it. */
const take = (port: number): Promise<void> =>
  new Promise((resolve) => {
    const server = createServer();
    held.push(server);
    server.listen(port, '127.0.0.1', () => {
      resolve();
    });
  });
/** Makes files and folders of the rig look old, so that its workers are surely younger. */
const age = (...names: string[]): void => {
  for (const name of names) utimesSync(rig.path(name), 1, 1);
};
/** Makes files look edited this moment: later than workers that are there. */
const touch = (...names: string[]): void => {
  for (const name of names) chmodSync(rig.path(name), statSync(rig.path(name)).mode);
};
const isIn = (all: readonly ProcessId[], { pid, start }: ProcessId): boolean =>
  all.some((id) => id.pid === pid && id.start === start);
const noTemporaries = (): void => {
  expect(readdirSync(rig.dir).filter((name) => name.includes('.swap-pool-'))).toEqual([]);
};

/** A client whose request a worker of nginx is busy with. */
const holdRequest = (): Promise<Socket> =>
  new Promise((resolve) => {
    const client = connect(rig.port, '127.0.0.1');
    client.once('data', () => {
      resolve(client);
    });
    client.on('error', () => undefined);
    client.write('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n');
  });

describe('point', () => {
  beforeEach(async () => {
    await rig.pool('blue');
    await rig.pool('green');
  });

  it('exchanges the address, and every request after it is answered by the other pool', async () => {
    rig.start(rig.conf(pass()));
    const before = rig.read('nginx.conf');
    const there = value(await proxy().point('green'));
    expect(there.files).toEqual([rig.path('nginx.conf')]);
    for (let round = 0; round < 20; round += 1) expect(await rig.get()).toBe('green');
    expect(there.proof.workers).toHaveLength(2);
    value(await proxy().point('blue'));
    for (let round = 0; round < 20; round += 1) expect(await rig.get()).toBe('blue');
    expect(rig.read('nginx.conf')).toBe(before);
    noTemporaries();
  });

  it('is idempotent: what the files name already is only reloaded and proven', async () => {
    rig.start(rig.conf(pass('green')));
    const before = rig.read('nginx.conf');
    const there = value(await proxy().point('green'));
    expect(there.files).toEqual([]);
    expect(rig.read('nginx.conf')).toBe(before);
    expect(await rig.get()).toBe('green');
  });

  it('exchanges several files, reached by globs and through sites-enabled’s links', async () => {
    const more = await freePort();
    rig.write('sites-available/a.conf', rig.server(`fastcgi_pass unix:${rig.sockets.blue};`));
    rig.write('sites-available/b.conf', rig.server('fastcgi_pass pool;', more));
    rig.write(
      'conf.d/up.conf',
      `upstream pool { server "unix:${rig.sockets.blue}" max_fails=0; server unix:${rig.sockets.green} backup max_fails=0; }`,
    );
    mkdirSync(rig.path('sites-enabled'));
    symlinkSync('../sites-available/a.conf', rig.path('sites-enabled/a'));
    symlinkSync(rig.path('sites-available/b.conf'), rig.path('sites-enabled/b'));
    rig.start(rig.conf('include conf.d/*.conf; include sites-enabled/*;'));
    chmodSync(rig.path('sites-available/a.conf'), 0o640);
    const there = value(await proxy().point('green'));
    expect([...there.files].sort()).toEqual([rig.path('conf.d/up.conf'), rig.path('sites-available/a.conf')]);
    expect([await rig.get(), await rig.get(more)]).toEqual(['green', 'green']);
    expect(rig.read('conf.d/up.conf')).toContain(
      `server "unix:${rig.sockets.green}" max_fails=0; server unix:${rig.sockets.blue} backup`,
    );
    expect(statSync(rig.path('sites-available/a.conf')).mode & 0o777).toBe(0o640);
    expect(readdirSync(rig.path('sites-enabled'))).toEqual(['a', 'b']);
  });

  it('a link to a slot is left as it is, and told as a place with nobody behind it', async () => {
    symlinkSync('blue.sock', rig.path('link.sock'));
    rig.write(
      'nginx.conf',
      rig.conf(`${pass()}${rig.server(`fastcgi_pass unix:${rig.path('link.sock')};`, 1)}`),
    );
    expect(value(await proxy().survey(null)).leftBehind).toMatchObject([{ file: rig.path('nginx.conf') }]);
    unlinkSync(rig.path('link.sock'));
    symlinkSync('green.sock', rig.path('link.sock'));
    expect(value(await proxy().survey(null)).leftBehind).toEqual([]);
  });

  it('other pools of a slot’s master are seen, on unix and on TCP', async () => {
    symlinkSync('admin.sock', rig.path('link.sock'));
    const more = ['localhost:9803', `unix:${rig.path('link.sock')}`].map((to, n) =>
      rig.server(`fastcgi_pass ${to};`, n + 1),
    );
    rig.write('nginx.conf', rig.conf([pass(), ...more].join('')));
    const others = {
      blue: [{ kind: 'unix', path: rig.path('admin.sock') }],
      green: [{ kind: 'tcp', host: '127.0.0.1', port: 9803 }],
    } as const;
    expect(value(await proxy({ others }).survey(null)).otherPools).toMatchObject([
      { slot: 'green', address: '127.0.0.1:9803' },
      { slot: 'blue', address: `unix:${rig.path('admin.sock')}` },
    ]);
    expect(value(await proxy().survey(null)).otherPools).toEqual([]);
  });

  it('TCP pools are exchanged by their ports', async () => {
    rig.start(rig.conf(rig.server('fastcgi_pass 127.0.0.1:9801;')));
    const tcp = createRewrite({
      procfs: fs,
      nginx: { config: rig.path('nginx.conf'), only: [], reloadTimeout: PATIENCE },
      addresses: {
        blue: { kind: 'tcp', host: '127.0.0.1', port: 9801 },
        green: { kind: 'tcp', host: '127.0.0.1', port: 9802 },
      },
      root,
    });
    value(await tcp.point('green'));
    expect(rig.read('nginx.conf')).toContain('fastcgi_pass 127.0.0.1:9802;');
  });

  it('an edit that nginx rejects is taken back, and nothing was reloaded', async () => {
    const pid = rig.start(rig.conf(pass()));
    const conf = rig.read('nginx.conf');
    const workers = readWorkers(fs, idOf(pid)).serving;
    // our parser takes a directive that nginx does not know
    writeFileSync(
      rig.path('nginx.conf'),
      conf.replace('access_log off;', 'no_such_directive on; access_log off;'),
    );
    const answer = await proxy().point('green');
    expect(answer).toMatchObject({ ok: false, failure: { reason: 'edit-rejected' } });
    expect(rig.read('nginx.conf')).toBe(
      conf.replace('access_log off;', 'no_such_directive on; access_log off;'),
    );
    expect(readWorkers(fs, idOf(pid)).serving).toEqual(workers);
    expect(await rig.get()).toBe('blue');
    noTemporaries();
  });

  it('a swallowed reload is noticed, and taken back by the file alone', async () => {
    const pid = rig.start(rig.conf(pass()));
    const port = await freePort();
    await take(port);
    // nginx -t lets a taken port pass; the reload does not
    const conf = rig.conf(pass() + `  server { listen 127.0.0.1:${String(port)}; return 200 x; }\n`);
    rig.write('nginx.conf', conf);
    const workers = readWorkers(fs, idOf(pid)).serving;
    const answer = await proxy().point('green');
    expect(answer).toMatchObject({ ok: false, failure: { reason: 'reload-swallowed' } });
    if (!answer.ok && answer.failure.reason === 'reload-swallowed')
      expect(answer.failure.log).toMatch(/\[emerg\].*bind\(\)/);
    expect(rig.read('nginx.conf')).toBe(conf);
    expect(readWorkers(fs, idOf(pid)).serving).toEqual(workers);
    expect(await rig.get()).toBe('blue');
    noTemporaries();
  });

  it('a master that dies on the reload is told, the file as it was', async () => {
    const pid = rig.start(rig.conf(pass()));
    const conf = rig.read('nginx.conf');
    const port = await freePort();
    await take(port);
    rig.write(
      'nginx.conf',
      rig.conf(pass() + `  server { listen 127.0.0.1:${String(port)}; return 200 x; }\n`),
    );
    const pointing = proxy().point('green');
    await until(() => rig.read('nginx.conf').includes(rig.sockets.green));
    await until(
      () => rig.read('error.log').includes('signal 1 (SIGHUP)') || rig.read('error.log').includes('bind()'),
    );
    process.kill(pid, 'SIGKILL');
    expect(reason(await pointing)).toBe('nginx-gone');
    expect(rig.read('nginx.conf')).toContain(rig.sockets.blue);
    expect(conf).toContain(rig.sockets.blue);
  });

  it('a master that does not come back in time leaves both versions alone: stranded', async () => {
    const pid = rig.start(rig.conf(pass()));
    // stopped, it sleeps where an idle one does, and the HUP stays pending
    process.kill(pid, 'SIGSTOP');
    const answer = await proxy({ reloadTimeout: 600 }).point('green');
    process.kill(pid, 'SIGCONT');
    expect(answer).toMatchObject({
      ok: false,
      failure: { reason: 'stranded', cause: { reason: 'reload-unproven', ms: 600 } },
    });
    expect(rig.read('nginx.conf')).toContain(rig.sockets.green);
  });

  it('a person’s edit between our reading and our writing is never overwritten', async () => {
    rig.start(rig.conf(pass()));
    let survived = 0;
    for (let round = 0; round < 12; round += 1) {
      const marker = `# a person's line ${String(round)}`;
      const to: Slot = rig.read('nginx.conf').includes(`unix:${rig.sockets.blue}`) ? 'green' : 'blue';
      const pointing = proxy().point(to);
      const edited = new Promise<void>((resolve) =>
        setTimeout(() => {
          writeFileSync(rig.path('editor'), `${rig.read('nginx.conf')}${marker}\n`);
          renameSync(rig.path('editor'), rig.path('nginx.conf')); // as editors do: nginx never sees half a file
          resolve();
        }, round),
      );
      const answer = await pointing;
      await edited;
      expect(['ok', 'config-changed']).toContain(reason(answer));
      expect(rig.read('nginx.conf').includes(rig.sockets[to])).toBe(answer.ok);
      if (rig.read('nginx.conf').includes(marker)) survived += 1;
    }
    expect(survived).toBe(12);
  });

  it('two apps in one file keep each other’s edits', async () => {
    const second = { blue: rig.path('blog-blue.sock'), green: rig.path('blog-green.sock') };
    await rig.pool('blue', { path: second.blue });
    await rig.pool('green', { path: second.green });
    const more = await freePort();
    rig.start(rig.conf(pass() + rig.server(`fastcgi_pass unix:${second.blue};`, more)));
    const blog = createRewrite({
      procfs: fs,
      nginx: { config: rig.path('nginx.conf'), only: [], reloadTimeout: PATIENCE },
      addresses: { blue: { kind: 'unix', path: second.blue }, green: { kind: 'unix', path: second.green } },
      root,
    });
    const shop = proxy();
    value(await shop.survey(null));
    value(await blog.survey(null));
    value(await blog.point('green'));
    value(await shop.point('green'));
    expect([await rig.get(), await rig.get(more)]).toEqual(['green', 'green']);
    value(await blog.point('blue'));
    expect([await rig.get(), await rig.get(more)]).toEqual(['green', 'blue']);
  });

  it('foreign reloads at any moment fool nobody', async () => {
    const pid = rig.start(rig.conf(pass()));
    let foreign = true;
    const bother = (async () => {
      while (foreign) {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 400));
        // one at a time: a master that is never let finish is never idle, and then nothing can be proven
        const before = readWorkers(fs, idOf(pid)).serving;
        process.kill(pid, 'SIGHUP');
        await until(() => !readWorkers(fs, idOf(pid)).serving.some((id) => isIn(before, id)));
      }
    })();
    const wrong: string[] = [];
    for (let round = 0; round < 24; round += 1) {
      const to: Slot = round % 2 === 0 ? 'green' : 'blue';
      value(await proxy().point(to));
      for (const body of await Promise.all(Array.from({ length: 24 }, () => rig.get()))) {
        if (body !== to) wrong.push(`${String(round)} ${body}`);
      }
    }
    foreign = false;
    await bother;
    expect(wrong).toEqual([]);
  });

  it('a pending binary upgrade is refused, the file untouched', async () => {
    const pid = rig.start(rig.conf(pass()));
    const conf = rig.read('nginx.conf');
    process.kill(pid, 'SIGUSR2');
    await until(() => readdirSync(rig.dir).includes('nginx.pid.oldbin') && rig.pid('nginx.pid') !== pid);
    rig.adopt(rig.pid('nginx.pid'));
    for (const answer of [await proxy().survey(null), await proxy().point('green'), await proxy().reload()]) {
      expect(answer).toMatchObject({
        ok: false,
        failure: { reason: 'upgrade-pending', path: rig.path('nginx.pid.oldbin') },
      });
    }
    expect(rig.read('nginx.conf')).toBe(conf);
  });

  it('the rest of an upgrade that died long ago stops nothing', async () => {
    rig.start(rig.conf(pass()));
    rig.write('nginx.pid.oldbin', '4194304\n');
    expect(reason(await proxy().point('green'))).toBe('ok');
  });

  it('nginx not running fails, the file untouched, no pidfile made', async () => {
    rig.write('nginx.conf', rig.conf(pass()));
    expect(reason(await proxy().point('green'))).toBe('nginx-not-running');
    expect(value(await proxy().survey(null))).toMatchObject({
      active: 'blue',
      running: false,
      differing: [],
    });
    expect(readdirSync(rig.dir)).not.toContain('nginx.pid');
  });

  it('one that quits hears no HUP: told as that, and the file is as it was', async () => {
    const master = idOf(rig.start(rig.conf(pass())));
    const conf = rig.read('nginx.conf');
    const { serving } = readWorkers(fs, master);
    const client = await holdRequest();
    process.kill(master.pid, 'SIGQUIT');
    // from the first moment on, when its workers may not have heard of it yet
    expect(await proxy().point('green')).toMatchObject({
      ok: false,
      failure: { reason: 'nginx-stopping', pid: master.pid },
    });
    expect(rig.read('nginx.conf')).toBe(conf);
    await until(() => readWorkers(fs, master).serving.length === 0);
    const [left] = readWorkers(fs, master).retiring;
    for (const answer of [await proxy().survey(null), await proxy().reload(), await proxy().point('green')]) {
      expect(answer).toMatchObject({
        ok: false,
        failure: { reason: 'nginx-stopping', config: rig.path('nginx.conf'), workers: [left?.pid] },
      });
    }
    expect(serving.map(({ pid }) => pid)).toContain(left?.pid);
    expect(rig.read('nginx.conf')).toBe(conf);
    client.destroy();
    await until(() => !isAlive(fs, master));
  });

  it('an nginx without a master is told', async () => {
    rig.write('nginx.conf', rig.conf(pass(), 'master_process off;'));
    expect(await proxy().point('green')).toMatchObject({
      ok: false,
      failure: { reason: 'unobservable', what: 'nginx' },
    });
  });

  it('temporary files of a killed run are removed', async () => {
    rig.start(rig.conf(pass()));
    rig.write('.nginx.conf.swap-pool-0123456789ab', 'half');
    value(await proxy().point('green'));
    noTemporaries();
  });

  it.runIf(root)('a file that cannot be replaced leaves every file as it was', async () => {
    rig.write('conf.d/a.conf', pass());
    rig.write('locked/b.conf', rig.server(`fastcgi_pass unix:${rig.sockets.blue};`, await freePort()));
    rig.start(rig.conf('include conf.d/*.conf; include locked/*.conf;'));
    const before = [rig.read('conf.d/a.conf'), rig.read('locked/b.conf')];
    const made = spawnSync('/usr/bin/chattr', ['+i', rig.path('locked')]);
    if (made.status !== 0) return; // a file system without the attribute
    try {
      expect(reason(await proxy().point('green'))).toBe('config-unwritable');
    } finally {
      spawnSync('/usr/bin/chattr', ['-i', rig.path('locked')]);
    }
    expect([rig.read('conf.d/a.conf'), rig.read('locked/b.conf')]).toEqual(before);
    expect(readdirSync(rig.path('conf.d'))).toEqual(['a.conf']);
    expect(await rig.get()).toBe('blue');
  });
});

describe('survey', () => {
  const sure = async (last: ProxyProof | null = null) => value(await proxy().survey(last));

  it('names the slot, what would change and what would be done', async () => {
    const pid = rig.start(rig.conf(pass()));
    const view = await sure();
    expect(view).toMatchObject({
      active: 'blue',
      running: true,
      status: { pid, workers: 2, retiring: 0 },
      older: [],
    });
    expect(view.changes).toHaveLength(1);
    expect(view.changes[0]?.diff).toContain(
      `+  server { listen 127.0.0.1:${String(rig.port)}; location / { fastcgi_pass unix:${rig.sockets.green}; } }`,
    );
    expect(view.signals).toEqual([{ signal: 'SIGHUP', to: `nginx ${String(pid)}` }]);
    expect(view.commands[0]).toEqual(['/usr/sbin/nginx', '-c', rig.path('nginx.conf'), '-T']);
  });

  it('a configuration that is broken already is refused with nginx’s words', async () => {
    rig.start(rig.conf(pass()));
    rig.write('nginx.conf', rig.conf(pass(), 'no_such_directive on;'));
    const answer = await proxy().survey(null);
    expect(answer).toMatchObject({ ok: false, failure: { reason: 'nginx-config-broken' } });
    if (!answer.ok && answer.failure.reason === 'nginx-config-broken')
      expect(answer.failure.output).toContain('no_such_directive');
  });

  it('what we cannot parse is refused with its place', async () => {
    rig.start(rig.conf(pass()));
    rig.write('nginx.conf', 'events {}\nhttp {\n');
    expect(await proxy().survey(null)).toMatchObject({
      ok: false,
      failure: { reason: 'nginx-syntax', place: { file: rig.path('nginx.conf'), line: 3 } },
    });
  });

  it('a dump with files that contain the dump’s own headers is no difference', async () => {
    rig.write('odd.conf', '# configuration file /not/there.conf:\n# \xff\xfe \r\n');
    writeFileSync(rig.path('odd2.conf'), Buffer.from([0x23, 0xff, 0xc3, 0x0a, 0x23, 0xe2]));
    rig.start(rig.conf(`include odd.conf; include odd2.conf;\n${pass()}`));
    expect((await sure()).active).toBe('blue');
  });

  it('includes in map, geo and types are the same files for nginx and for us', async () => {
    rig.write('map.inc', 'a b;');
    rig.write('geo.inc', '10.0.0.0/8 x;');
    rig.write('types.inc', 'text/x x;');
    rig.start(
      rig.conf(
        `map $uri $m { include map.inc; } geo $g { include geo.inc; } types { include types.inc; } split_clients $uri $s { 50% a; * b; }\n${pass()}`,
      ),
    );
    expect((await sure()).active).toBe('blue');
  });

  it('workers two seconds younger than every file agree with the disk', async () => {
    rig.write('nginx.conf', rig.conf(pass()));
    await until(() => Date.now() - statSync(rig.path('nginx.conf')).ctimeMs > 3200);
    rig.launch(['/usr/sbin/nginx', '-c', rig.path('nginx.conf')]);
    const view = await sure();
    expect(view.differing).toEqual([]);
    expect(view.proof?.workers).toHaveLength(2);
  });

  it('a file that was edited and not reloaded is told, and so is one that was taken away', async () => {
    rig.write('conf.d/a.conf', pass());
    rig.write('conf.d/b.conf', '');
    rig.write('nginx.conf', rig.conf('include conf.d/*.conf;'));
    await until(() => Date.now() - statSync(rig.path('nginx.conf')).ctimeMs > 3200);
    rig.launch(['/usr/sbin/nginx', '-c', rig.path('nginx.conf')]);
    expect((await sure()).differing).toEqual([]);
    rig.write('conf.d/a.conf', `${pass()}# edited\n`);
    expect((await sure()).differing).toEqual([rig.path('conf.d/a.conf')]);
    const proof = value(await proxy().reload());
    expect((await sure(proof)).differing).toEqual([]);
    unlinkSync(rig.path('conf.d/b.conf'));
    expect((await sure(proof)).differing).toContain(`${rig.path('conf.d')}/`);
  });

  it('what the last deploy proved agrees at once, and no longer after another reload', async () => {
    const pid = rig.start(rig.conf(pass()));
    touch('nginx.conf');
    expect((await sure()).differing).toEqual([rig.path('nginx.conf')]);
    const { proof } = value(await proxy().point('green'));
    expect((await sure(proof)).differing).toEqual([]);
    const { hash, workers } = proof;
    expect((await sure(proof)).proof).toMatchObject({ hash, workers });
    touch('nginx.conf');
    expect((await sure(proof)).differing).toEqual([]);
    expect((await sure()).differing).not.toEqual([]);
    process.kill(pid, 'SIGHUP');
    await until(() => !isAlive(fs, proof.workers[0] ?? idOf(pid)));
    touch('nginx.conf');
    expect((await sure(proof)).differing).not.toEqual([]);
  });

  it('a file moved into place with its old time is seen', async () => {
    rig.write('nginx.conf', rig.conf(pass()));
    rig.write('new.conf', rig.conf(pass('green')));
    age('new.conf');
    rig.start(rig.conf(pass()));
    touch('nginx.conf');
    const { proof } = value(await proxy().survey(null));
    expect(proof).toBeNull();
    renameSync(rig.path('new.conf'), rig.path('nginx.conf'));
    expect((await sure()).differing).toEqual([rig.path('nginx.conf')]);
  });

  it('warnings name backup servers without max_fails=0 and variables', async () => {
    const upstream = `upstream pool { server unix:${rig.sockets.blue}; server unix:${rig.sockets.green} backup; }\n`;
    const view = async (http: string) => {
      rig.write('nginx.conf', rig.conf(http));
      return sure();
    };
    const lines = (await view(`${upstream}${rig.server('fastcgi_pass pool;')}map $uri $p { default x; }\n`))
      .warnings;
    expect(lines).toMatchObject([{ reason: 'backup-max-fails' }]);
    const variable = (await view(`${pass()}${rig.server('set $p x; fastcgi_pass $p;')}`)).warnings;
    expect(variable).toMatchObject([
      { reason: 'variable-reference', places: [{ file: rig.path('nginx.conf') }] },
    ]);
  });

  it('no reference and both in primary places are refused', async () => {
    rig.write('nginx.conf', rig.conf(rig.server('return 200 x;')));
    expect(reason(await proxy().survey(null))).toBe('reference-missing');
    rig.write('nginx.conf', rig.conf(pass() + rig.server(`fastcgi_pass unix:${rig.sockets.green};`, 1)));
    expect(reason(await proxy().survey(null))).toBe('reference-ambiguous');
  });
});

describe('the way in', () => {
  /** A request that an old worker keeps: its head is read (a worker that waits for the rest says so), its end is not sent. */
  const upload = (): Promise<() => void> =>
    new Promise((resolve) => {
      const socket = connect(rig.port, '127.0.0.1', () => {
        socket.write('POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n');
      });
      socket.once('data', () => {
        resolve(() => socket.destroy());
      });
      socket.on('error', () => undefined);
    });

  it('is open while an older worker lives, and closed when it is gone', async () => {
    await rig.pool('blue');
    await rig.pool('green');
    rig.start(rig.conf(pass()));
    const sw = proxy();
    value(await sw.survey(null));
    const end = await upload();
    const { older } = value(await sw.point('green'));
    expect(older.length).toBeGreaterThan(0);
    await until(async () => value(await sw.wayIn('blue', older)).retiring.length === 1);
    expect(value(await sw.wayIn('blue', older)).open).toBe(true);
    // workers of even earlier generations count too
    const again = value(await sw.point('blue'));
    expect(value(await sw.wayIn('green', again.older)).open).toBe(true);
    end();
    await until(async () => !value(await sw.wayIn('blue', again.older)).open);
  });

  it('is closed at once where old workers are known to try the other slot next', async () => {
    await rig.pool('blue');
    await rig.pool('green');
    rig.start(
      rig.conf(
        `upstream pool { server unix:${rig.sockets.blue} max_fails=0; server unix:${rig.sockets.green} max_fails=0 backup; }\n${rig.server('fastcgi_pass pool;')}`,
      ),
    );
    const sw = proxy();
    const proof = value(await sw.reload());
    expect(value(await sw.survey(proof)).differing).toEqual([]);
    const end = await upload();
    const { older } = value(await sw.point('green'));
    const way = value(await sw.wayIn('blue', older));
    expect(way.retiring.length).toBeGreaterThan(0);
    expect(way.open).toBe(false);
    // what is recorded is all that another swap-pool, which recovers this one, needs
    expect(value(await proxy().wayIn('blue', JSON.parse(JSON.stringify(older)) as typeof older)).open).toBe(
      false,
    );
    const unmarked = older.map(({ boot, pid, start }) => ({ boot, pid, start }));
    expect(value(await proxy().wayIn('blue', unmarked)).open).toBe(true);
    end();
  });
});

describe('serving', () => {
  beforeEach(async () => {
    await rig.pool('blue');
    await rig.pool('green');
  });

  it('the file changed and the workers as before: the slot of before serves', async () => {
    rig.start(rig.conf(pass()));
    const sw = proxy();
    const intent = value(await sw.intent());
    expect(intent).toMatchObject({ named: 'blue', workers: [{}, {}] });
    rig.write('nginx.conf', rig.conf(pass('green')));
    expect(value(await sw.serving(intent))).toBe('blue');
    expect(await rig.get()).toBe('blue');
  });

  it('new workers just after the change are unclear, and clear once they are surely younger', async () => {
    const pid = rig.start(rig.conf(pass()));
    const sw = proxy();
    const intent = value(await sw.intent());
    value(await sw.point('green'));
    touch('nginx.conf');
    expect(value(await sw.serving(intent))).toBe('unclear');
    await until(() => Date.now() - statSync(rig.path('nginx.conf')).ctimeMs > 3200);
    process.kill(pid, 'SIGHUP');
    await until(() => !readWorkers(fs, idOf(pid)).serving.some((id) => intent.workers.includes(id)));
    await until(async () => value(await sw.serving(intent)) === 'green');
  });

  it('nothing running: what the file names will serve', async () => {
    rig.write('nginx.conf', rig.conf(pass('green')));
    expect(value(await proxy().serving(null))).toBe('green');
  });
});

it('one lock key, by whatever way the configuration is reached', async () => {
  rig.start(rig.conf(pass()));
  symlinkSync(rig.path('nginx.conf'), rig.path('other.conf'));
  const other = createRewrite({
    procfs: fs,
    nginx: { config: rig.path('other.conf'), only: [], reloadTimeout: 1000 },
    addresses: { blue: { kind: 'unix', path: '/a' }, green: { kind: 'unix', path: '/b' } },
    root,
  });
  expect(value(await other.lockKey())).toBe(value(await proxy().lockKey()));
  expect(await proxy().status()).toMatchObject({ workers: 2, retiring: 0 });
});
