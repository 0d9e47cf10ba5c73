import { chmodSync, chownSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { PoolLife } from '../../src/drivers.js';
import { parseFullStatus } from '../../src/pool/activity.js';
import { findBinary } from '../../src/pool/binary.js';
import { parseIniFiles } from '../../src/pool/fingerprint.js';
import { createProbe } from '../../src/pool/probe.js';
import type { ProbeSettings } from '../../src/pool/slots.js';
import { waitUntil } from '../../src/system/clock.js';
import { userOfProcess } from '../../src/system/user.js';
import type { User } from '../../src/system/user.js';
import { PATIENCE } from '../support/limits.js';
import { FPM, elsewhere, fs, isRoot, mkdir, reason, value, withRig, pidOf } from './rig.js';
import type { Rig } from './rig.js';

const STATUS = 'pm.status_path = /s\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock';

const NOBODY: User = { uid: 65534, gid: 65534, groups: [], name: 'nobody' };

const probing = (rig: Rig, probe: Partial<ProbeSettings>, user: User | null = null) =>
  createProbe({
    config: { probe: { ...rig.config.probe, ...probe } },
    pool: rig.pool,
    proxyUser: () => Promise.resolve(user),
  }).probe('blue');

describe('a probe', () => {
  it('wants-so-many-right-answers-of-the-script-in-a-row', () =>
    withRig({ pool: 'pm.status_path = /s' }, async (rig) => {
      await rig.start();
      const user = isRoot ? { uid: 33, gid: 33, groups: [], name: 'www-data' } : null;
      const asked = {
        script: rig.path('ok.php'),
        uri: '/ok.php?n=7',
        expect: { status: 200, body: 'ok 7' },
        successes: 3,
      };
      expect(await probing(rig, asked, user)).toEqual({
        ok: true,
        value: { answers: 3, user: user?.name ?? null },
      });
    }));

  it.each([
    ['five', {}, { kind: 'status', status: 500, expected: 200, body: 'sorry' }],
    ['five', { expect: { status: 500, body: 'sorry' } }, null],
    ['ok', { expect: { status: 200, body: 'welcome' } }, { kind: 'body', expected: 'welcome', body: 'ok ' }],
    ['fatal', {}, { kind: 'fatal', stderr: expect.stringContaining('undefined_function') as unknown }],
    ['none', {}, { kind: 'status', status: 404, expected: 200, unopened: true }],
    ['held', {}, { kind: 'timeout' }],
  ] as const)('of %s.php with %j gives %j', (name, probe, wrong) =>
    withRig(
      {
        pool: 'php_admin_flag[log_errors] = on\nphp_admin_flag[display_errors] = off\nphp_admin_value[error_log] =',
      },
      async (rig) => {
        await rig.start();
        // a right answer is not long in coming; a wrong one is asked for again until the deadline
        const timeout = wrong === null ? PATIENCE : 1500;
        const result = await probing(rig, { script: rig.path(`${name}.php`), timeout, ...probe });
        if (wrong === null) expect(reason(result)).toBe('ok');
        else
          expect(result).toMatchObject({
            failure: {
              reason: 'probe-failed',
              slot: 'blue',
              answer: wrong,
              log: expect.stringContaining('ready to handle') as unknown,
            },
          });
      },
    ),
  );

  it('does-not-wait-for-a-script-that-cannot-be-run-to-heal', () =>
    withRig({}, async (rig) => {
      await rig.start();
      const asked = async (script: string): Promise<unknown> =>
        probing(rig, { script: rig.path(script), timeout: 20_000 });
      const failure = (answer: object): object => ({
        failure: {
          reason: 'probe-failed',
          tries: 2,
          asked: expect.stringMatching(/\.php$/) as unknown,
          answer,
        },
      });
      const unopened = { kind: 'status', unopened: true };
      expect(await asked('none.php')).toMatchObject(failure({ ...unopened, status: 404 }));
      rig.write('broken.php', '<?php this is no php');
      expect(await asked('broken.php')).toMatchObject(failure({ kind: 'fatal' }));
      if (!isRoot) return;
      rig.write('secret.php', '<?php echo "ok";');
      chmodSync(rig.path('secret.php'), 0o600);
      expect(await asked('secret.php')).toMatchObject(failure({ ...unopened, status: 403 }));
    }));

  it('knows-before-a-start-whether-its-script-is-there', () =>
    withRig({}, async (rig) => {
      const scriptAt = { file: rig.path('shop.yaml'), line: 4, column: 11 };
      const may = (script: string): unknown => {
        const config = { probe: { ...rig.config.probe, script, scriptAt } };
        return createProbe({ config, pool: rig.pool, proxyUser: () => Promise.resolve(null) }).mayProbe(
          'blue',
        );
      };
      const problem = (what: RegExp): object => ({
        failure: {
          reason: 'config-invalid',
          problems: [{ place: scriptAt, what: expect.stringMatching(what) as unknown }],
        },
      });
      expect(may(rig.path('ok.php'))).toMatchObject({ ok: true });
      expect(may(rig.path('none.php'))).toMatchObject(problem(/^probe\.script: there is no .*none\.php$/));
      expect(may(rig.folder)).toMatchObject(problem(/is no file$/));
      // its workers' paths are not ours
      writeFileSync(rig.path('fpm.conf'), rig.fpmConfig({ pool: `chroot = ${rig.folder}` }));
      rig.pool = value(await rig.create());
      expect(may('/none.php')).toMatchObject({ ok: true });
    }));

  it('tries-again-after-a-wrong-answer', () =>
    withRig({ pool: 'pm.max_children = 1' }, async (rig) => {
      await rig.start();
      const script = rig.write(
        'warming.php',
        `<?php $n = (int) @file_get_contents('${rig.path('n')}'); file_put_contents('${rig.path('n')}', $n + 1); http_response_code($n === 1 || $n === 2 ? 503 : 200);`,
      );
      writeFileSync(rig.path('n'), '0');
      chmodSync(rig.path('n'), 0o666);
      expect(await probing(rig, { script, successes: 2 })).toMatchObject({ ok: true, value: { answers: 2 } });
    }));

  it.runIf(isRoot)('fails-at-a-socket-that-the-proxys-workers-may-not-open-and-does-not-wait-for-long', () =>
    withRig({ pool: 'listen.mode = 0600' }, async (rig) => {
      await rig.start();
      expect(await probing(rig, { script: rig.path('ok.php'), timeout: PATIENCE }, NOBODY)).toMatchObject({
        failure: { reason: 'probe-failed', tries: 2, answer: { kind: 'permission', user: 'nobody' } },
      });
      expect(reason(await probing(rig, { script: rig.path('ok.php') }, null))).toBe('ok');
    }),
  );

  it('notices-a-pool-that-dies-at-once', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const asked = probing(rig, { script: rig.path('held.php'), timeout: PATIENCE });
      await rig.until(() => value(rig.pool.observe('blue')).connections.accepted === 1);
      for (const { pid } of [...(life.master ? [life.master] : []), ...life.workers])
        process.kill(pid, 'SIGKILL');
      expect(await asked).toMatchObject({ failure: { reason: 'pool-died', slot: 'blue' } });
      expect(reason(await probing(rig, { script: rig.path('ok.php'), timeout: PATIENCE }))).toBe('pool-died');
    }));

  it.each([
    ['its ping without a script', 'ping.path = /ping\nping.response = "still here"', 'no-probe-script'],
    ['anything at all without a ping', '', 'probe-weak'],
  ])('asks %s, which is worth a warning', (_, pool, warning) =>
    withRig({ pool }, async (rig) => {
      await rig.start();
      expect(reason(await probing(rig, {}))).toBe('ok');
      expect(rig.pool.warnings(null, 'blue').map((each) => each.reason)).toEqual([warning, 'no-status']);
    }),
  );

  it('fails-where-something-else-than-a-pool-answers', () =>
    withRig({}, async (rig) => {
      const server = createServer((socket) => socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(
        rig.path('blue.sock'),
      );
      await new Promise((done) => server.once('listening', done));
      expect(reason(await probing(rig, { timeout: 300 }))).not.toBe('ok');
      await new Promise((done) => server.close(done));
    }));
});

describe('a pool’s activity', () => {
  const read = (rig: Rig, life: PoolLife) => rig.pool.activity('blue', life);

  it('tells-requests-and-their-queries-through-the-status-socket-even-when-all-are-busy', () =>
    withRig({ pool: STATUS }, async (rig) => {
      const life = await rig.start();
      const before = await read(rig, life);
      expect(before).toMatchObject({ accepted: 0, switches: 0, uris: [] });
      await rig.ask('ok', 'nonce=abc%20d&x=1');
      const asked = [1, 2].map(() => rig.ask('held', 'q=1'));
      await waitUntil(async () => ((await read(rig, life)).accepted === 3 ? true : undefined), {
        deadline: PATIENCE,
      });
      const after = await read(rig, life);
      expect(after.accepted).toBe(3);
      expect(after.uris).toContain('/held.php?q=1');
      expect(after.switches).toBeGreaterThan(0);
      rig.release();
      await Promise.all(asked);
      const last = await read(rig, life);
      await rig.ask('ok', 'nonce=zzz');
      expect((await read(rig, life)).uris).toContain('/ok.php?nonce=zzz');
      expect((await read(rig, life)).accepted).toBe((last.accepted ?? 0) + 1);
    }));

  it('does-not-count-its-own-questions-on-the-main-socket-and-asks-no-pool-that-is-busy', () =>
    withRig({ pool: 'pm.status_path = /s' }, async (rig) => {
      const life = await rig.start();
      // a worker is free again some time after its answer has been read
      const allFree = () => rig.until(() => value(rig.pool.observe('blue')).idle === 2);
      await rig.ask('ok', 'n=1');
      for (const _ of [1, 2, 3]) {
        await allFree();
        expect(await read(rig, life)).toMatchObject({ accepted: 1 });
      }
      await rig.ask('ok', 'n=2');
      await allFree();
      expect(await read(rig, life)).toMatchObject({ accepted: 2 });
      await allFree();
      const asked = [1, 2].map(() => rig.ask('held'));
      await rig.until(() => value(rig.pool.observe('blue')).connections.accepted === 2);
      expect(await read(rig, life)).toMatchObject({ accepted: null, uris: [] });
      expect(value(rig.pool.load('blue', life)).connections).toEqual({ accepted: 2, queued: 0 });
      rig.release();
      await Promise.all(asked);
      await allFree();
      expect(await read(rig, life)).toMatchObject({ accepted: 4 });
    }));

  it('without-a-status-page-is-known-from-context-switches-alone', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      const still = await read(rig, life);
      expect(still).toMatchObject({ accepted: null, uris: [] });
      for (const _ of [1, 2, 3]) await rig.pool.activity('green', life);
      expect((await read(rig, life)).switches).toBe(still.switches);
      await rig.ask('ok');
      await rig.until(() => value(rig.pool.observe('blue')).working === 0);
      const woken = (await read(rig, life)).switches ?? 0;
      expect(woken).toBeGreaterThan(still.switches ?? 0);
      // a worker that is gone keeps its share
      process.kill(pidOf(life.workers[0]), 'SIGKILL');
      process.kill(pidOf(life.workers[1]), 'SIGKILL');
      await rig.until(() => value(rig.pool.observe('blue')).idle === 2);
      expect((await read(rig, life)).switches).toBeGreaterThanOrEqual(woken);
    }));

  it('of-an-ondemand-pool-counts-the-birth-of-a-worker', () =>
    withRig({ pool: 'pm = ondemand\npm.max_children = 2' }, async (rig) => {
      const life = await rig.start();
      expect((await read(rig, life)).switches).toBe(0);
      await rig.ask('ok');
      expect((await read(rig, life)).switches).toBeGreaterThan(0);
    }));

  it.each([
    [
      '{"accepted conn":3,"processes":[{"request uri":"\\/a?b"},{"request uri":""},null]}',
      { accepted: 3, uris: ['/a?b'] },
    ],
    [
      '{"accepted conn":3,"processes":[{"request uri":"/a"b","content length":0}]}',
      { accepted: 3, uris: ['/a"b'] },
    ],
    ['{}', { accepted: null, uris: [] }],
    ['[]', { accepted: null, uris: [] }],
    ['null', null],
    ['File not found.', null],
  ])('a status page %s is read as %j', (text, status) => {
    expect(parseFullStatus(text)).toEqual(status);
  });
});

describe('warnings before a deploy', () => {
  it('name-what-the-new-pool-lacks', () =>
    withRig({ global: 'process_control_timeout = 0', pool: STATUS }, async (rig) => {
      const life = await rig.start();
      const view = value(rig.pool.observe('blue'));
      expect(rig.pool.warnings(view, 'green')).toEqual([
        { reason: 'probe-weak', slot: 'green' },
        { reason: 'control-timeout-zero', slot: 'green' },
      ]);
      const busy = { ...view, working: 3, idle: 0, life };
      expect(rig.pool.warnings(busy, 'green')).toContainEqual({
        reason: 'few-workers',
        start: 2,
        busy: 3,
        pm: 'static',
      });
      expect(rig.pool.warnings({ ...view, working: 2 }, 'green').map((each) => each.reason)).not.toContain(
        'few-workers',
      );
    }));
});

describe('the fingerprint', () => {
  it('changes-with-everything-that-decides-what-runs-and-with-nothing-else', () =>
    withRig({}, async (rig) => {
      const watched = mkdir(rig.path('current'));
      rig.write('current/.version', '1');
      rig.config = { ...rig.config, watch: [rig.path('current/.ver*'), rig.path('none')] };
      const take = async (): Promise<string> => value(await value(await rig.create()).fingerprint());
      const seen = [await take()];
      expect(seen[0]).toMatch(/^[0-9a-f]{64}$/);
      const changes: (() => void)[] = [
        () => {
          rig.write('fpm.conf', `${rig.fpmConfig()}\ninclude = ${rig.folder}/more-*.conf\n`);
        },
        () => {
          rig.write('more-1.conf', '; more\n');
        },
        () => {
          rig.write('app.yaml', 'pool: {}');
        },
        () => {
          rig.write('current/.version', '2');
        },
        () => {
          rig.write('current/.version2', '');
        },
        () => {
          rmSync(watched, { recursive: true });
          mkdir(rig.path('r2'));
          rig.write('r2/.version', '2');
          rig.write('r2/.version2', '');
          symlinkSync('r2', watched);
        },
        () => {
          const env = { PHP_INI_SCAN_DIR: mkdir(rig.path('ini')) };
          rig.write('ini/x.ini', 'memory_limit = 64M');
          const slot = { ...rig.config.pool.blue, env };
          rig.config = { ...rig.config, pool: { blue: slot, green: slot } };
        },
        () => {
          rig.write('ini/x.ini', 'memory_limit = 65M');
        },
      ];
      for (const change of changes) {
        change();
        const next = await take();
        expect(seen, change.toString()).not.toContain(next);
        seen.push(next);
        rig.write('unrelated', String(seen.length));
        expect(await take()).toBe(next);
      }
      await rig.start();
      expect(await take()).toBe(seen.at(-1));
    }));

  it('php-fpm -i names its files over several lines', () => {
    const info =
      'a => b\nLoaded Configuration File => /etc/php.ini\nAdditional .ini files parsed => /e/1.ini,\n/e/2.ini,\n/e/3.ini\n\nPHP API => 1\n';
    expect(parseIniFiles(info)).toEqual(['/etc/php.ini', '/e/1.ini', '/e/2.ini', '/e/3.ini']);
    expect(
      parseIniFiles('Loaded Configuration File => (none)\nAdditional .ini files parsed => (none)\n'),
    ).toEqual([]);
  });
});

describe('which php-fpm', () => {
  const program = (rig: Rig, name: string): string => {
    const path = rig.write(name, '#!/bin/sh\n');
    chmodSync(path, 0o755);
    return path;
  };

  it('is the only one in the folders, under however many names', () =>
    withRig({}, (rig) => {
      const [a, b] = [mkdir(rig.path('a')), mkdir(rig.path('b'))];
      const find = () =>
        findBinary(fs, rig.path('nobody-runs-this.conf'), { root: isRoot, folders: [a, b, rig.path('c')] });
      expect(find()).toMatchObject({ failure: { reason: 'binary-missing' } });
      program(rig, 'a/php-fpm8.2');
      program(rig, 'a/php-fpmctl');
      rig.write('a/php-fpm7.4', 'not executable');
      expect(find()).toEqual({ ok: true, value: rig.path('a/php-fpm8.2') });
      symlinkSync('../a/php-fpm8.2', rig.path('b/php-fpm'));
      expect(find()).toEqual({ ok: true, value: rig.path('a/php-fpm8.2') });
      program(rig, 'b/php-fpm8.3');
      expect(find()).toMatchObject({
        failure: { reason: 'binary-ambiguous', found: [rig.path('a/php-fpm8.2'), rig.path('b/php-fpm8.3')] },
      });
      return Promise.resolve();
    }));

  it('is the one that runs our configuration', () =>
    withRig({}, async (rig) => {
      await rig.start();
      expect(findBinary(fs, rig.path('fpm.conf'), { root: isRoot, folders: [] })).toEqual({
        ok: true,
        value: FPM,
      });
      expect(reason(findBinary(fs, rig.path('app.yaml'), { root: isRoot, folders: [] }))).toBe(
        'binary-missing',
      );
    }));
});

describe('an ordinary user', () => {
  it.runIf(isRoot)('cannot-see-who-lives-in-roots-slot-and-is-told-so', () =>
    withRig({}, async (rig) => {
      const life = await rig.start();
      expect(userOfProcess(fs, life.workers[0]?.pid ?? 0)?.name).toBe('www-data');
      process.seteuid?.(65534);
      try {
        expect(rig.pool.observe('blue')).toMatchObject({
          failure: { reason: 'unobservable', what: rig.pool.address('blue') },
        });
      } finally {
        process.seteuid?.(0);
      }
    }),
  );

  it.runIf(isRoot)('runs-pools-of-its-own', () =>
    withRig({}, async (rig) => {
      const text = rig
        .fpmConfig()
        .replace(/^(user|group) = .*$/gm, '')
        .replaceAll(rig.folder, rig.path('own'));
      chownSync(mkdir(rig.path('own')), 65534, 65534);
      const slot = { ...rig.config.pool.blue, config: rig.write('own.conf', text) };
      const input = {
        config: { ...rig.config, pool: { blue: slot, green: slot } },
        folder: rig.path('own/state'),
        root: false,
      };
      const code = `
        import { createPool } from './pool/driver.js';
        import { createProbe } from './pool/probe.js';
        import { procfs } from './system/proc.js';
        void (async () => {
          const options = JSON.parse(process.argv[2]);
          const { value: pool, failure } = await createPool({ fs: procfs(), ...options });
          if (failure) return process.stdout.write(JSON.stringify(failure));
          const life = await pool.start('blue');
          const view = pool.observe('blue');
          const probe = createProbe({ config: options.config, pool, proxyUser: async () => null });
          const probed = await probe.probe('blue');
          const load = pool.load('blue', life.value);
          const retired = pool.retire('blue');
          const restored = pool.unretire('blue');
          const stopped = await pool.stop('blue', life.value, () => undefined);
          process.stdout.write(JSON.stringify({ life, view, probed, load, retired, restored, stopped, after: pool.observe('blue') }));
        })();`;
      const told = await elsewhere(rig, code, input, [
        '/usr/bin/setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
      ]);
      expect(JSON.parse(told)).toMatchObject({
        life: { ok: true },
        view: { value: { state: 'running', pidfile: 'ok', idle: 2, working: 0, warnings: [] } },
        probed: { ok: true },
        load: { value: { alive: true } },
        retired: { ok: true },
        restored: { ok: true },
        stopped: { value: { signal: 'SIGQUIT' } },
        after: { value: { state: 'stopped', warnings: [] } },
      });
    }),
  );
});
