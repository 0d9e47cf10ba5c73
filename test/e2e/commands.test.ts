import { createHash } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { SwitchKind } from '../../src/event.js';
import { PROGRAM, type Line, type Run } from '../support/command.js';
import { HUNG } from '../support/limits.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { queued } from '../support/waits.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const FAST = { fast: { rate: 25 } };
/** Keeps a drain short, so that one request outlasts it. */
const KEEP = 'drain: { timeout: 2s, on-timeout: keep }';
const on = (by: SwitchKind, site: RigOptions['site'] = {}): RigOptions => ({
  switch: by,
  site: { workers: 4, ...site },
});

// eslint-disable-next-line no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029]/;

const keys = (value: unknown): string[] => Object.keys(value as object);
const warned = (run: Run): string[] =>
  run.events
    .filter(({ type }) => type === 'warning')
    .map((line) => (line['warning'] as { reason: string }).reason);
const stepsOf = (run: Run): unknown[] =>
  run.events.filter(({ type }) => type === 'step-done').map(({ step }) => step);
const appOf = (run: Run): Record<string, never> =>
  (run.result['apps'] as [Record<string, never>] | undefined)?.[0] ?? {};

describe('a result line', () => {
  it.each(BOTH)('of a deploy has the keys that the interface lists, in their order: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      const run = await rig.deploy();
      expect(keys(run.result)).toEqual(
        'type schema time app deploy command outcome exit from to switch ms drain'.split(' '),
      );
      expect(run.result).toMatchObject({
        type: 'result',
        schema: 1,
        app: 'demo',
        command: 'deploy',
        outcome: 'done',
        exit: 0,
        from: 'blue',
        to: 'green',
        switch: by,
        drain: { cut: 0 },
      });
      expect(run.result['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(keys(run.result['ms'])).toEqual('start probe switch verify drain retire stop total'.split(' '));
      for (const ms of Object.values(run.result['ms'] as object)) expect(Number.isInteger(ms)).toBe(true);
      expect(keys(run.result['drain'])).toEqual(['accepted', 'queued', 'cut']);
      // every line knows its deploy, once there is one
      const ids = new Set(run.events.map((line) => line['deploy']).filter(Boolean));
      expect([...ids]).toEqual([run.result['deploy']]);
      for (const line of run.events)
        expect(keys(line)).toEqual(expect.arrayContaining(['type', 'time', 'app']));
      expect(run.stdout.split('\n').filter(Boolean)).toHaveLength(run.events.length);
    });
  });

  it('of a deploy that was undone has its reason, sentence and hint', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      quickProbe(rig);
      rig.breakSlot('green', 'body');
      const run = await rig.deploy();
      expect(run).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', exit: 1, command: 'deploy', from: 'blue', to: 'green' },
      });
      const failure = run.result['failure'] as { message: string; hint: string };
      expect(keys(failure)).toEqual(['reason', 'message', 'hint']);
      expect(failure).toMatchObject({ reason: 'probe-failed' });
      expect(run.stderr).toContain(failure.message);
      expect(run.stderr).toContain(`hint: ${failure.hint}`);
      expect(run.events.at(-2)).toMatchObject({
        type: 'failure',
        failure: { reason: 'probe-failed', slot: 'green' },
      });
      // the machine's voice alone, when asked to be quiet
      const quiet = await rig.deploy(['--quiet']);
      expect(quiet).toMatchObject({ exit: 1, stderr: '', result: { outcome: 'reverted' } });
      rig.breakSlot('green', null);
    });
  });

  it.each([
    [['no-such-command'], null, 'usage'],
    [[], null, 'usage'],
    [['deploy', '--no-such-option'], 'deploy', 'usage'],
    [['deploy', 'demo', 'and-more'], 'deploy', 'usage'],
    [['deploy', '--wait-lock', '5'], 'deploy', 'usage'],
    [['nginx', 'frobnicate'], 'nginx', 'usage'],
    [['nginx'], 'nginx', 'usage'],
    [['pool'], 'pool', 'usage'],
    [['pool', 'frobnicate', 'blue'], 'pool', 'usage'],
    [['--config'], null, 'usage'],
    [['deploy', 'other'], 'deploy', 'app-unknown'],
    [['rollback', '../demo'], 'rollback', 'usage'],
    [['start', 'other'], 'start', 'app-unknown'],
    [['status', 'other'], 'status', 'app-unknown'],
    [['recover', 'other'], 'recover', 'app-unknown'],
    [['history', 'other'], 'history', 'app-unknown'],
    [['deploy', '-c', '/nowhere/shop.yml'], 'deploy', 'config-invalid'],
    [['deploy', '-c', '/nowhere/shop.yaml'], 'deploy', 'config-invalid'],
  ] as const)('ends a command that was typed wrong, exit 2: %j', async (args, command, reason) => {
    await shared(async (rig) => {
      const run = await rig.run(['--json', ...args], { json: false });
      expect(run).toMatchObject({
        exit: 2,
        result: { type: 'result', schema: 1, command, outcome: 'usage', exit: 2, failure: { reason } },
      });
      expect(run.stdout.trimEnd().split('\n').at(-1)).toBe(JSON.stringify(run.result));
      expect(run.stderr).not.toBe('');
    });
  });
});

/** One rig for what changes nothing. */
async function shared(act: (rig: Rig) => Promise<void>): Promise<void> {
  await withRig(on('symlink'), act);
}

/** A probe that gives up soon. */
function quickProbe(rig: Rig): void {
  writeFileSync(
    rig.site().config,
    rig.read('config', 'demo.yaml').replace('probe:', 'probe:\n  timeout: 2s'),
  );
}

describe('status', () => {
  it('says what the interface shows, and exits 1 when an app is not served', async () => {
    await withRig(on('rewrite'), async (rig) => {
      const none = await rig.run(['status']);
      expect(none).toMatchObject({
        exit: 1,
        result: {
          failure: { reason: 'not-serving' },
          apps: [
            {
              active: 'blue',
              last: null,
              slots: { blue: { state: 'stopped' }, green: { state: 'stopped' } },
            },
          ],
        },
      });
      await rig.deployed();
      await rig.load(FAST);
      const deploy = await rig.deploy();
      const run = await rig.run(['status']);
      expect(run).toMatchObject({ exit: 0, stderr: '', result: { app: null } });
      expect(keys(run.result)).toEqual('type schema time app command exit apps nginx'.split(' '));
      const app = appOf(run);
      expect(app).toMatchObject({
        app: 'demo',
        active: 'green',
        served: true,
        last: { deploy: deploy.result['deploy'], outcome: 'done' },
        open: null,
        lock: null,
      });
      expect(keys(app)).toEqual(expect.arrayContaining(['app', 'active', 'slots', 'last', 'lock']));
      const { blue, green } = app['slots'] as unknown as Record<string, Record<string, unknown>>;
      expect(blue).toMatchObject({ state: 'stopped', listen: rig.site().address.blue });
      expect(green).toMatchObject({
        state: 'running',
        pid: rig.sandbox.poolMaster('green'),
        listen: rig.site().address.green,
        connections: { accepted: expect.any(Number) as number, queued: expect.any(Number) as number },
        workers: { active: expect.any(Number) as number, idle: expect.any(Number) as number },
      });
      expect(Math.abs(Date.parse(String(green?.['since'])) - Date.now())).toBeLessThan(HUNG);
      expect(run.result['nginx']).toMatchObject({ pid: rig.sandbox.nginxMaster(), workers: 2 });
      expect(keys(run.result['nginx'])).toEqual(['pid', 'workers', 'retiring']);
    });
  });

  it('names who is at it, and a second deploy is told so: exit 3', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      const held = await rig.occupy();
      const first = rig.spawnDeploy();
      await first.untilStep('drain');
      const app = appOf(await rig.run(['status']));
      expect(app).toMatchObject({
        active: 'green',
        lock: { pid: first.pid, user: expect.any(String) as string },
        open: { step: 'drain' },
        last: { outcome: 'draining' },
        slots: { blue: { state: 'draining' }, green: { state: 'running' } },
      });
      const { command, since } = app['lock'] as unknown as { command: string; since: string };
      expect(command).toMatch(/^swap-pool deploy/);
      expect(Date.parse(since)).toBeGreaterThan(Date.now() - HUNG);
      const others = ['deploy', 'rollback', 'recover', 'start'].map((verb) => rig.run([verb]));
      for (const second of await Promise.all(others)) {
        expect(second).toMatchObject({
          exit: 3,
          result: { outcome: 'locked', exit: 3, failure: { reason: 'locked' } },
        });
        expect(second.stderr).toContain(`pid ${first.pid} (swap-pool deploy`);
      }
      const waits = await queued(rig, ['rollback'], '5m');
      expect(await held.release()).toEqual([held.id]);
      expect(await waits.end).toMatchObject({ exit: 0, result: { from: 'green', to: 'blue' } });
      expect(await first.end).toMatchObject({ exit: 0 });
    });
  });

  it('--watch looks on until it is interrupted', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const watching = rig.spawn(['status', '--watch']);
      await watching.until(({ type }) => type === 'result');
      await rig.deploy();
      await watching.until(
        (line) => (line['apps'] as [{ active: string }] | undefined)?.[0].active === 'green',
      );
      watching.kill('SIGINT');
      expect(await watching.end).toMatchObject({
        exit: 130,
        result: { outcome: 'interrupted', exit: 130, apps: [{ active: 'green' }] },
      });
    });
  });
});

describe('rollback', () => {
  it.each(BOTH)('goes back once, and runs what is on the disk now: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      const none = { exit: 1, result: { outcome: 'refused', failure: { reason: 'nothing-to-roll-back' } } };
      expect(await rig.run(['rollback'])).toMatchObject(none);
      await rig.deployed();
      await rig.load(FAST);
      expect(await rig.run(['rollback'])).toMatchObject(none);
      await rig.deploy();
      const back = await rig.run(['rollback']);
      expect(back).toMatchObject({
        exit: 0,
        result: { command: 'rollback', outcome: 'done', from: 'green', to: 'blue' },
      });
      expect(warned(back)).toContain('rollback-runs-now');
      expect(await rig.answering()).toBe('blue');
      const again = await rig.run(['rollback']);
      expect(again).toMatchObject(none);
      expect(again.stderr).toContain('already was a rollback');
      expect(await rig.answering()).toBe('blue');
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green' } });
    });
  });

  it('goes back on the deploy before a start', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      await rig.signalPool('green', 'SIGQUIT');
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { to: 'green' } });
      await rig.load(FAST);
      expect(await rig.run(['rollback'])).toMatchObject({ exit: 0, result: { from: 'green', to: 'blue' } });
    });
  });

  it.each(BOTH)('takes a slot that still drains back as it runs: %s', async (by) => {
    await withRig(on(by, { yaml: KEEP }), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      const pid = rig.sandbox.poolMaster('blue');
      const held = await rig.occupy();
      const kept = await rig.deploy();
      expect(kept).toMatchObject({
        exit: 5,
        result: { outcome: 'draining', exit: 5, failure: { reason: 'drain-timeout' } },
      });
      expect(appOf(await rig.run(['status']))).toMatchObject({
        active: 'green',
        served: true,
        slots: { blue: { state: 'draining', pid }, green: { state: 'running' } },
      });
      const back = await rig.run(['rollback']);
      // the nginx worker of two generations ago, busy with the slow request, is known to forgive a green that is gone
      expect(back).toMatchObject({ exit: 0, result: { outcome: 'done', from: 'green', to: 'blue' } });
      expect(stepsOf(back)).not.toContain('start');
      expect(warned(back)).not.toContain('rollback-runs-now');
      expect(rig.sandbox.poolMaster('blue')).toBe(pid);
      expect(await rig.answering()).toBe('blue');
      expect(await held.release()).toEqual([held.id]);
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0 });
      expect(rig.isListening('green')).toBe(false);
    });
  });
});

describe('a drain that was kept', () => {
  it('is waited for by the next deploy, refused while it lasts, and ended by recover', async () => {
    await withRig(on('symlink', { yaml: KEEP }), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      const held = await rig.occupy();
      expect(await rig.deploy()).toMatchObject({ exit: 5 });
      const next = await rig.deploy();
      expect(next).toMatchObject({
        exit: 1,
        result: { outcome: 'refused', failure: { reason: 'still-draining' } },
      });
      expect(warned(next)).toContain('recovering');
      expect(await held.release()).toEqual([held.id]);
      expect(await rig.run(['recover'])).toMatchObject({
        exit: 0,
        result: { command: 'recover', outcome: 'done', drain: { cut: 0 } },
      });
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { from: 'green', to: 'blue' } });
    });
  });

  it('is ended at once by recover --now, which says how many it cut', async () => {
    await withRig(on('symlink', { yaml: KEEP }), async (rig) => {
      await rig.deployed();
      const load = await rig.load(FAST);
      // ends by TERM after stop.timeout at the latest: the request alone would take longer
      const held = await rig.occupy();
      rig.allow.log.push(/upstream/);
      writeFileSync(rig.site().config, `${rig.read('config', 'demo.yaml')}stop: { timeout: 300ms }\n`);
      expect(await rig.deploy()).toMatchObject({ exit: 5 });
      const now = await rig.run(['recover', '--now']);
      expect(now).toMatchObject({
        exit: 0,
        result: { outcome: 'done', drain: { cut: expect.any(Number) as number } },
      });
      expect((now.result['drain'] as { cut: number }).cut).toBeGreaterThan(0);
      expect(warned(now)).toEqual(expect.arrayContaining(['cut', 'stop-escalates']));
      expect(await held.answers).not.toEqual([held.id]);
      expect(load.cut).toBe(0);
      const { history } = (await rig.run(['history'])).result as unknown as { history: { cut: number }[] };
      expect(history[0]?.cut).toBeGreaterThan(0);
    });
  });
});

describe('stranded, exit 4:', () => {
  it('a person’s edit is left alone, and recover settles it once it is taken back', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      rig.allow.log.push(/upstream/);
      // dead right after nginx was proven to follow: the seventh record
      await rig.deploy([], { dieAt: { when: 'written', record: 7 } });
      const { upstream } = rig.site();
      const ours = readFileSync(upstream, 'utf8');
      writeFileSync(upstream, ours.replaceAll('demo-', 'moved-'));
      rig.breakVerify('green');
      const run = await rig.run(['recover']);
      expect(run).toMatchObject({
        exit: 4,
        result: { outcome: 'stranded', failure: { reason: 'stranded' } },
      });
      expect(readFileSync(upstream, 'utf8')).toBe(ours.replaceAll('demo-', 'moved-'));
      expect(rig.isListening('blue') && rig.isListening('green')).toBe(true);
      expect(await rig.deploy()).toMatchObject({ exit: 4 });
      writeFileSync(upstream, ours);
      expect(await rig.run(['recover'])).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
      expect(await rig.answering()).toBe('blue');
      rig.breakVerify('green', false);
    });
  });
});

describe('recover and history', () => {
  it('have nothing to tell of a new site', async () => {
    await shared(async (rig) => {
      expect(await rig.run(['recover'])).toMatchObject({
        exit: 0,
        stderr: '',
        result: { command: 'recover', outcome: 'unchanged', exit: 0 },
      });
      expect(await rig.run(['history'])).toMatchObject({
        exit: 0,
        result: { command: 'history', history: [] },
      });
    });
  });

  it('history tells every deploy, the newest first', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.run(['start']);
      await rig.deploy();
      quickProbe(rig);
      rig.breakSlot('blue', 'status');
      const reverted = await rig.deploy();
      rig.breakSlot('blue', null);
      const rollback = await rig.run(['rollback']);
      const run = await rig.run(['history']);
      const entries = run.result['history'] as Line[];
      // what a result and the history say of one deploy is the same: from its first record to its last
      expect(entries.slice(0, 2).map(({ ms }) => ms)).toEqual([rollback.result['ms'], reverted.result['ms']]);
      expect(keys(reverted.result['ms'])).toEqual(['start', 'probe', 'total']);
      const timeOf = (record: Line | undefined): number => Date.parse(String(record?.['time']));
      const walls = rig.journals().map(({ records }) => timeOf(records.at(-1)) - timeOf(records[0]));
      const totals = entries.map(({ ms }) => (ms as { total: number }).total);
      expect(totals.toReversed().map((total, at) => total >= (walls[at] ?? Infinity))).toEqual(
        entries.map(() => true),
      );
      expect(entries).toMatchObject([
        { command: 'rollback', from: 'green', to: 'blue', outcome: 'done', cut: 0, reason: null },
        { command: 'deploy', from: 'green', to: 'blue', outcome: 'reverted', cut: 0, reason: 'probe-failed' },
        { command: 'deploy', from: 'blue', to: 'green', outcome: 'done', cut: 0, reason: null },
        { command: 'start', from: null, to: 'blue', outcome: 'done', cut: 0, reason: null },
      ]);
      for (const entry of entries) {
        expect(entry).toMatchObject({ app: 'demo', ms: { total: expect.any(Number) as number } });
        expect(String(entry['who'])).not.toBe('');
        expect(Date.parse(String(entry['time']))).toBeGreaterThan(Date.now() - HUNG);
      }
      const plain = await rig.run(['history'], { json: false });
      expect(plain.stdout).toMatch(/rollback +green -> blue +done/);
      expect(plain.stdout).toMatch(/deploy +green -> blue +reverted \(probe-failed\)/);
      expect(plain.stdout).not.toMatch(CONTROLS);
    });
  });
});

describe('--dry-run', () => {
  it.each(BOTH)('shows the plan and touches nothing: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      const before = everything(rig.sandbox);
      const run = await rig.deploy(['--dry-run']);
      expect(run).toMatchObject({
        exit: 0,
        result: { command: 'deploy', outcome: 'unchanged', from: 'green', to: 'blue', switch: by },
      });
      const { plan } = run.events.find(({ type }) => type === 'plan') as unknown as {
        plan: {
          changes: { file: string; lines: number[]; diff: string }[];
          commands: string[][];
          signals: unknown[];
        };
      };
      expect(plan).toMatchObject({
        dryRun: true,
        from: 'green',
        to: 'blue',
        steps: ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop'],
      });
      expect(plan.commands[0]?.slice(-3)).toEqual(['-D', '-y', rig.site().fpmConfig.blue]);
      expect(plan.signals).toContainEqual({ signal: 'SIGQUIT', to: 'the green pool' });
      const { blue, green } = rig.site().address;
      if (by === 'rewrite') {
        expect(plan.changes).toMatchObject([{ file: rig.site().upstream }]);
        expect(plan.changes[0]?.diff).toContain(`-    server ${green} max_fails=0;`);
        expect(plan.changes[0]?.diff).toContain(`+    server ${blue} max_fails=0;`);
        expect(plan.signals).toContainEqual({
          signal: 'SIGHUP',
          to: expect.stringContaining('nginx') as string,
        });
      } else {
        const target = (slot: string): string => slot.slice('unix:'.length);
        expect(plan.changes).toMatchObject([{ file: rig.site().link, lines: [] }]);
        expect(plan.changes[0]?.diff).toContain(`\n-${target(green)}\n+${target(blue)}\n`);
      }
      const plain = await rig.deploy(['--dry-run'], { json: false });
      expect(plain.exit).toBe(0);
      if (by === 'rewrite') expect(plain.stdout).toContain(`+    server ${blue} max_fails=0;`);
      else expect(plain.stdout).toMatch(/demo\.sock, a link\n[^]*\n +-\S+-green\.sock\n +\+\S+-blue\.sock\n/);
      expect(plain.stdout).toContain(`php-fpm`);
      expect(plain.stdout).not.toMatch(CONTROLS);
      expect(await rig.run(['rollback', '--dry-run'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
      expect(everything(rig.sandbox)).toEqual(before);
    });
  });

  it('tells that a standby which runs is stopped first', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      expect(await rig.run(['pool', 'start', 'green', 'demo'])).toMatchObject({ exit: 0 });
      const run = await rig.deploy(['--dry-run']);
      expect(warned(run)).toContain('standby-running');
      const plan = run.events.find(({ type }) => type === 'plan');
      expect(plan).toHaveProperty('plan.signals', [
        { signal: 'SIGQUIT', to: 'the green pool' },
        { signal: 'SIGQUIT', to: 'the blue pool' },
      ]);
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green', drain: { cut: 0 } } });
    });
  });

  it('of a site that was never deployed leaves not even a folder', async () => {
    await shared(async (rig) => {
      // a worker bears its master's title until it has its own
      await rig.until(
        () => rig.sandbox.residents().filter(({ command }) => /worker/.test(command)).length === 2,
      );
      const before = everything(rig.sandbox);
      expect(await rig.deploy(['--dry-run'])).toMatchObject({ exit: 0, result: { from: null, to: 'blue' } });
      expect(everything(rig.sandbox)).toEqual(before);
    });
  });
});

/** Every file with its content and times, and every process. */
function everything(sandbox: Sandbox): Record<string, string> {
  const found: Record<string, string> = {};
  for (const entry of readdirSync(sandbox.folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const { ino, mode, size, mtimeMs, ctimeMs } = lstatSync(path);
    const content = entry.isFile()
      ? createHash('sha256').update(readFileSync(path)).digest('hex')
      : entry.isSymbolicLink()
        ? readlinkSync(path)
        : '';
    found[path] = [ino, mode, size, mtimeMs, ctimeMs, content].join(' ');
  }
  for (const { id, command } of sandbox.residents()) found[`process ${id.pid}`] = `${id.start} ${command}`;
  return found;
}

describe('--if-changed', () => {
  it('swaps nothing, and says nothing, until something that counts has changed', async () => {
    await withRig(on('symlink', { yaml: 'watch: [../work/version]' }), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      await rig.deploy();
      const ifChanged = (): Promise<Run> => rig.deploy(['--if-changed']);
      const pid = rig.sandbox.poolMaster('green');
      expect(await ifChanged()).toMatchObject({ exit: 0, result: { outcome: 'unchanged', from: 'green' } });
      expect(await rig.deploy(['--if-changed'], { json: false })).toMatchObject({
        exit: 0,
        stdout: '',
        stderr: '',
      });
      expect(rig.sandbox.poolMaster('green')).toBe(pid);
      rig.append('; a word\n', 'pools', 'demo.conf');
      expect(await ifChanged()).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
      expect(await ifChanged()).toMatchObject({ result: { outcome: 'unchanged' } });
      writeFileSync(rig.sandbox.path('work', 'version'), '2');
      expect(await ifChanged()).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'green' } });
      rig.append('# a word\n', 'config', 'demo.yaml');
      expect(await ifChanged()).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
      expect(await ifChanged()).toMatchObject({ result: { outcome: 'unchanged' } });
    });
  });
});

describe('the plain voice', () => {
  it('has no control characters, and quiet says nothing when all is well', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      const loud = await rig.deploy([], { json: false });
      expect(loud.exit).toBe(0);
      expect(loud.stdout).toMatch(/demo: blue -> green in .*, 0 requests cut/);
      for (const step of ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop']) {
        expect(loud.stdout).toContain(step);
      }
      expect(loud.stdout + loud.stderr).not.toMatch(CONTROLS);
      expect(await rig.deploy(['--quiet'], { json: false })).toMatchObject({
        exit: 0,
        stdout: '',
        stderr: '',
      });
      const status = await rig.run(['status'], { json: false });
      expect(status.stdout).toMatch(/demo/);
      expect(status.stdout).not.toMatch(CONTROLS);
      // nobody reads: the deploy goes on
      expect(await rig.deploy([], { json: false, closeStdout: true })).toMatchObject({ exit: 0 });
      expect(await rig.answering()).toBe('green');
    });
  });

  it('that the disk does not take is a failure of what only tells; elsewhere the exit code says what it always says', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const program = ['/bin/sh', '-c', 'exec "$0" "$@" >/dev/full', process.execPath, PROGRAM];
      const full = (args: readonly string[], json: boolean) => rig.run(args, { program, json });
      for (const json of [true, false]) {
        for (const args of [['history'], ['deploy', '--dry-run']]) {
          const run = await full(args, json);
          expect(run, args.join(' ')).toMatchObject({ exit: 1, stdout: '' });
          expect(run.stderr).toContain('no space left');
        }
        expect(await full(['status'], json)).toMatchObject({ exit: 0 });
        expect(await full(['deploy'], json)).toMatchObject({ exit: 0 });
      }
      expect((await full(['deploy'], false)).stderr).toContain('no space left');
      expect(await rig.answering()).toBe('green');
      // a reader that has seen enough is no fault
      expect(await rig.run(['history'], { closeStdout: true })).toMatchObject({ exit: 0 });
    });
  });

  it('takes the orders out of what comes from elsewhere, and annotates a failure in GitHub Actions', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      quickProbe(rig);
      const health = rig.read('www', 'health.php');
      const hostile = String.raw`\x1b[2J\x1b]0;owned\x07red\u{202e}\u{9b}31m\n::error::a lie\n##[error]another\r\x00end`;
      writeFileSync(
        rig.sandbox.path('www', 'health.php'),
        health.replace('reply("broken\\n")', `(error_log("${hostile}") . reply("${hostile}"))`),
      );
      rig.breakSlot('green', 'body');
      const env = { GITHUB_ACTIONS: 'true' };
      for (const args of [[], ['--quiet'], ['--verbose']]) {
        const run = await rig.deploy(args, { json: false, env });
        expect(run.exit).toBe(1);
        expect(run.stdout + run.stderr).not.toMatch(CONTROLS);
        expect(run.stderr).toContain('red');
        expect(run.stderr).not.toContain('owned');
        const orders = (run.stdout + run.stderr).split('\n').filter((line) => /^\s*::|##\[/.test(line));
        expect(orders.filter((line) => !line.startsWith('::warning::'))).toEqual([
          expect.stringMatching(/^::error::demo: /),
        ]);
      }
      const json = await rig.deploy();
      expect(json.stdout).not.toMatch(CONTROLS);
      expect(json.stderr).not.toMatch(CONTROLS);
      rig.breakSlot('green', null);
      writeFileSync(rig.sandbox.path('www', 'health.php'), health);
    });
  });
});

describe('a configuration', () => {
  it('is refused with every problem at once, each with its place: exit 2', async () => {
    await withRig(on('symlink'), async (rig) => {
      const { config } = rig.site();
      writeFileSync(
        config,
        [
          'pool:',
          '  confg: x',
          '  config: 5',
          'drain: { timeout: 30, on-timeout: maybe }',
          'nginx:',
          '  only: 1',
          '',
        ].join('\n'),
      );
      const run = await rig.deploy();
      expect(run).toMatchObject({
        exit: 2,
        result: { outcome: 'usage', failure: { reason: 'config-invalid' } },
      });
      const { problems } = (
        run.events.find(({ type }) => type === 'failure') as unknown as {
          failure: {
            problems: { place: { file: string; line: number; column: number }; what: string; fix: string }[];
          };
        }
      ).failure;
      expect(problems.map(({ place: { line, column } }) => `${line}:${column}`)).toEqual(
        expect.arrayContaining(['2:3', '3:11', '4:19', '4:35', '6:9']),
      );
      for (const { place, what, fix } of problems) {
        expect(place.file).toBe(config);
        expect(run.stderr).toContain(`${config}:${place.line}:${place.column}: ${what}`);
        expect(fix).not.toBe('');
      }
      expect(rig.journals()).toEqual([]);
    });
  });

  it('whose probe.script is missing starts nothing, and stops nobody from looking: exit 2', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const { config } = rig.site();
      const health = rig.sandbox.path('www', 'health.php');
      renameSync(health, `${health}.away`);
      const before = rig.journals().length;
      const [line] = rig.read('config', 'demo.yaml').split('  script:');
      for (const args of [[], ['--dry-run']]) {
        const run = await rig.deploy(args);
        expect(run).toMatchObject({
          exit: 2,
          result: { outcome: 'usage', failure: { reason: 'config-invalid' } },
        });
        expect(run.stderr).toContain(
          `${config}:${line?.split('\n').length ?? 0}:11: probe.script: there is no ${health}`,
        );
      }
      expect(rig.journals()).toHaveLength(before);
      expect(rig.isListening('green')).toBe(false);
      expect(await rig.run(['status'])).toMatchObject({ exit: 0 });
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0 });
      renameSync(`${health}.away`, health);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    });
  });

  it('named .yml is told to be .yaml', async () => {
    await withRig(on('symlink'), async (rig) => {
      const { config } = rig.site();
      const yml = config.replace(/\.yaml$/, '.yml');
      renameSync(config, yml);
      for (const args of [['deploy'], ['deploy', 'demo'], ['status'], ['deploy', '-c', yml]]) {
        const run = await rig.run(args);
        expect(run).toMatchObject({ exit: 2, result: { failure: { reason: 'config-invalid' } } });
        expect(run.stderr).toContain('demo.yaml');
      }
      renameSync(yml, config);
    });
  });

  it.runIf(process.geteuid?.() === 0)('that somebody else can change is none for root: exit 2', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      const { config, fpmConfig } = rig.site();
      for (const path of [config, fpmConfig.blue, rig.sandbox.path('config'), rig.sandbox.path('pools')]) {
        const { mode } = lstatSync(path);
        chmodSync(path, mode | 0o002);
        const run = await rig.deploy();
        expect([path, run.exit, run.result['outcome']]).toEqual([path, 2, 'usage']);
        expect(run.stderr).toContain(path);
        chmodSync(path, mode);
      }
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    });
  });

  it('of FPM may keep FPM quiet: log_level = error', async () => {
    await withRig(on('symlink', { fpmGlobal: 'log_level = error' }), async (rig) => {
      await rig.deployed();
      await rig.load(FAST);
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green' } });
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'blue' } });
      const log = rig.read('log', 'demo-blue.fpm.log') + rig.read('log', 'demo-green.fpm.log');
      expect(log).toBe('');
    });
  });

  it.each(BOTH)('may spell /run as /var/run: %s', async (by) => {
    const prepare = (sandbox: Sandbox): void => {
      symlinkSync(sandbox.path('run'), sandbox.path('var-run'));
      const { upstream } = sandbox.site();
      const text = readFileSync(upstream, 'utf8');
      writeFileSync(upstream, text.replaceAll(`${sandbox.folder}/run/`, `${sandbox.folder}/var-run/`));
    };
    await withRig({ ...on(by), prepare }, async (rig) => {
      const { upstream } = rig.site();
      const before = readFileSync(upstream, 'utf8');
      await rig.deployed();
      await rig.load(FAST);
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'green' } });
      expect(await rig.answering()).toBe('green');
      expect(readFileSync(upstream, 'utf8')).not.toContain(`${rig.sandbox.folder}/run/`);
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'blue' } });
      expect(readFileSync(upstream, 'utf8')).toBe(before);
    });
  });

  it('may have its pools on TCP', async () => {
    await withRig(on('rewrite', { transport: 'tcp' }), async (rig) => {
      await rig.deployed();
      await rig.load({ ...FAST, slow: { every: 400, takes: 800 }, post: { clients: 1, takes: 5 } });
      for (const to of ['green', 'blue'] as const) {
        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to, drain: { cut: 0 } } });
        expect(appOf(await rig.run(['status']))).toMatchObject({ active: to, served: true });
      }
    });
  });
});
