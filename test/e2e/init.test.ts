import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { NextStep, SwitchKind } from '../../src/event.js';
import { children, procfs } from '../../src/system/proc.js';
import type { Run } from '../support/command.js';
import { withStock } from '../support/stock-site.js';

/** The commands that a person types on any host; those of its service manager are the host tests'. */
const nextOf = (run: Run): Exclude<NextStep, { why: 'include' }>[] =>
  ((run.result['init'] as { next?: NextStep[] } | undefined)?.next ?? [])
    .filter((step) => step.why !== 'include')
    .filter(({ why }) => !['units', 'boot', 'flip'].includes(why));

describe('the move of a live site', () => {
  it.each<SwitchKind>(['rewrite', 'symlink'])(
    'cuts nothing, by the very commands that are printed: %s',
    async (by) => {
      await withStock({ switch: by }, async ({ rig, init, follow, masterPid }) => {
        rig.allow.reloads = true;
        await rig.load();
        expect(await rig.answering()).toBe('old');
        const run = await init(['--yes', '--switch', by, '--manager', 'direct']);
        expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', command: 'init' } });
        expect(await rig.answering()).toBe('old');

        const next = nextOf(run);
        expect(next.map(({ why }) => why)).toEqual(['start', 'old-pool']);
        expect(await follow(next[0]?.command ?? '')).toBe(0);
        expect(await rig.answering()).toBe('blue');
        const [, words = ''] = /swap-pool (.*)$/.exec(next[1]?.command ?? '') ?? [];
        const waited = await rig.run(words.split(' '));
        expect(waited, waited.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        const old = masterPid();
        expect(nextOf(waited)).toEqual([{ why: 'stop-old', command: `kill -QUIT ${old}` }]);
        await follow(nextOf(waited)[0]?.command ?? '');
        await rig.until(
          () => !existsSync(`/proc/${old}`) || readFileSync(`/proc/${old}/stat`, 'utf8').includes(') Z '),
        );

        expect(await rig.deploy()).toMatchObject({
          exit: 0,
          result: { from: 'blue', to: 'green', drain: { cut: 0 } },
        });
        expect(await rig.answering()).toBe('green');
      });
    },
  );

  it.each<SwitchKind>(['rewrite', 'symlink'])(
    'cuts nothing when its start is killed at any record of its journal: %s',
    async (by) => {
      await withStock({ switch: by }, async ({ rig, init }) => {
        rig.allow.reloads = true;
        await rig.load();
        expect(await init(['--yes', '--switch', by, '--manager', 'direct'])).toMatchObject({ exit: 0 });
        let deaths = 0;
        for (let record = 1; ; record += 1) {
          const when = record % 2 === 0 ? 'next' : 'written';
          const run = await rig.run(['start', 'demo'], { dieAt: { when, record } });
          expect(['old', 'blue']).toContain(await rig.answering());
          if (run.signal === null) break;
          deaths += 1;
        }
        expect(deaths).toBeGreaterThan(3);
        expect(await rig.run(['start', 'demo'])).toMatchObject({ exit: 0 });
        expect(await rig.answering()).toBe('blue');
        expect(await rig.deploy()).toMatchObject({ exit: 0 });
      });
    },
  );

  it.each<SwitchKind>(['rewrite', 'symlink'])(
    'is not called unserved before its start, and nobody is told to reload nginx: %s',
    async (by) => {
      await withStock({ switch: by }, async ({ rig, init }) => {
        const born = Date.now();
        await rig.until(() => Date.now() - born > 1_500);
        expect(await init(['--yes', '--switch', by, '--manager', 'direct'])).toMatchObject({ exit: 0 });
        for (const verb of ['status', 'doctor']) {
          const run = await rig.run([verb], { json: false });
          const said = `${run.stdout}${run.stderr}`;
          expect({ verb, exit: run.exit }, said).toEqual({ verb, exit: 1 });
          expect(said).not.toContain('nginx -s reload');
          expect(said).not.toContain('nginx reload');
          expect(said).not.toMatch(/not served|[Nn]obody serves/);
          expect(said).toContain(
            '`swap-pool start demo` brings blue up, proves it, and only then lets nginx follow',
          );
        }
        expect(await rig.answering()).toBe('old');
        expect(await rig.run(['start', 'demo'])).toMatchObject({ exit: 0 });
        expect(await rig.answering()).toBe('blue');
      });
    },
  );

  it('makes a pool that starts with as many workers as the old one had at work, though it has fewer by now', async () => {
    const lines = [
      'pm = dynamic',
      'pm.max_children = 6',
      'pm.start_servers = 1',
      'pm.min_spare_servers = 1',
      'pm.max_spare_servers = 1',
      'pm.status_path = /status',
      'pm.status_listen = {folder}/run/status.sock',
    ];
    await withStock({ pool: lines.join('\n') }, async ({ rig, init, pool, masterPid }) => {
      const workers = (): number => children(procfs(), masterPid()).length;
      const starts = (): number =>
        Number(/^pm.start_servers = (\d+)$/m.exec(rig.read('config', 'demo.fpm.conf'))?.[1]);
      const load = await rig.load({ burst: { every: 500, takes: 800, requests: 5 } });
      await rig.until(() => workers() > 5);
      await load.stop();
      await rig.until(() => workers() < 5);
      expect(await init(['--yes', '--manager', 'direct'])).toMatchObject({ exit: 0 });
      expect(starts()).toBeGreaterThanOrEqual(5);

      // the status page on the pool's own socket tells the same
      const own = readFileSync(pool, 'utf8').replace(/^pm.status_listen.*\n/m, '');
      writeFileSync(pool, own);
      expect(await init(['--yes', '--force', '--manager', 'direct'])).toMatchObject({ exit: 0 });
      expect(starts()).toBeGreaterThanOrEqual(5);
    });
  });

  it('makes a pool that starts with as many workers as one without a status page was seen to need, and says that it watched', async () => {
    const lines = [
      'pm = dynamic',
      'pm.max_children = 6',
      'pm.start_servers = 1',
      'pm.min_spare_servers = 1',
      'pm.max_spare_servers = 1',
    ];
    await withStock({ pool: lines.join('\n') }, async ({ rig, init }) => {
      // it has few workers at this moment, and grows by one a second
      const held = await rig.occupy(5, 1);
      const done = await init(['--yes', '--manager', 'direct']);
      await held.release();
      expect(done, done.stderr).toMatchObject({ exit: 0 });
      const warned = done.events.filter(({ type }) => type === 'warning').map((line) => line['warning']);
      expect(warned).toMatchObject([{ reason: 'workers-guessed', workers: expect.any(Number) as number }]);
      const [, starts] = /^pm.start_servers = (\d+)$/m.exec(rig.read('config', 'demo.fpm.conf')) ?? [];
      expect(Number(starts)).toBeGreaterThanOrEqual(5);
    });
  });

  it('rotates logs without a word while one slot is stopped, and starts at boot, for callers without its environment', async () => {
    await withStock({}, async ({ rig, init, follow }) => {
      const done = await init(['--yes', '--manager', 'direct']);
      expect(done, done.stderr).toMatchObject({ exit: 0 });
      expect(await follow(nextOf(done)[0]?.command ?? '')).toBe(0);
      const script =
        /postrotate\n([^]*)endscript/.exec(rig.read('etc', 'logrotate.d', 'swap-pool-demo'))?.[1] ?? '';
      const env = { PATH: '/usr/bin:/bin' };
      expect(spawnSync('/bin/sh', ['-c', script], { env, encoding: 'utf8' })).toMatchObject({
        status: 0,
        stdout: '',
        stderr: '',
      });
      // what goes wrong is told
      const config = rig.sandbox.path('config', 'demo.yaml');
      const text = readFileSync(config, 'utf8');
      writeFileSync(config, `${text}no_such_key: 1\n`);
      const { stderr } = spawnSync('/bin/sh', ['-c', script], { env, encoding: 'utf8' });
      writeFileSync(config, text);
      expect(stderr).toContain('no_such_key');
      // where systemd runs a unit brings it up: what it does is the host tests' to see
      const manager = ['--manager', 'init', '--force', '--yes'];
      const scripts = await init(manager);
      expect(scripts, scripts.stderr).toMatchObject({ exit: 0 });
      const boot = rig.sandbox.path('etc', 'init.d', 'swap-pool-demo');
      expect(spawnSync(boot, ['status'], { env, encoding: 'utf8' })).toMatchObject({ status: 0 });
      expect(readFileSync(boot, 'utf8')).toMatch(/^# X-Start-Before: +nginx$/m);
      await rig.signalPool('blue', 'SIGQUIT');
      expect(spawnSync(boot, ['status'], { env, encoding: 'utf8' })).toMatchObject({ status: 1 });
      expect(spawnSync(boot, ['start'], { env, encoding: 'utf8' })).toMatchObject({ status: 0 });
      expect(await rig.answering()).toBe('blue');
    });
  });

  it('does not call an old pool idle to which a variable may lead, and names the place', async () => {
    await withStock({}, async ({ rig, init, follow, site }) => {
      const socket = rig.sandbox.path('run', 'old.sock');
      const text = readFileSync(site, 'utf8');
      writeFileSync(site, `map $host $oldpool { default unix:${socket}; }\n${text}`);
      const done = await init(['--yes', '--manager', 'direct']);
      expect(await follow(nextOf(done)[0]?.command ?? '')).toBe(0);
      const [, words = ''] = /swap-pool (.*)$/.exec(nextOf(done)[1]?.command ?? '') ?? [];
      const named = await rig.run(words.split(' '));
      expect(named).toMatchObject({
        exit: 1,
        events: [
          {
            type: 'failure',
            failure: { reason: 'old-pool-named', places: [{ file: site, line: 1 }], unread: [] },
          },
          { type: 'result' },
        ],
      });
    });
  });

  it('tells how one of several pools is taken away, and does not call an old pool idle that nginx names', async () => {
    const other =
      '[other]\nuser = www-data\nlisten = {folder}/run/other.sock\npm = static\npm.max_children = 1\n';
    await withStock({ otherPools: other }, async ({ rig, init, pool, site, masterPid }) => {
      await init(['--yes', '--manager', 'direct']);
      const args = [
        'init',
        'demo',
        '--from',
        pool,
        '--nginx-config',
        rig.sandbox.path('nginx.conf'),
        '--await-old',
      ];
      expect(await rig.run(args)).toMatchObject({
        exit: 1,
        events: [
          {
            failure: {
              reason: 'old-pool-named',
              places: [],
              unread: expect.arrayContaining([site]) as unknown,
            },
          },
          { type: 'result' },
        ],
      });
      expect(await rig.run(['start', 'demo'])).toMatchObject({ exit: 0 });
      expect(nextOf(await rig.run(args))).toEqual([
        { why: 'drop-old', command: `mv ${pool} ${pool}.off && kill -USR2 ${masterPid()}` },
      ]);
    });
  });
});
