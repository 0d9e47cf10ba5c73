/** `pool start`, `stop`, `restart` and `status`: what they do to whom, and when they do nothing. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SLOTS, type Slot, type SwitchKind } from '../../src/event.js';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import { children, procfs, title } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import { moveOver } from '../support/bare-swap.js';
import type { Run } from '../support/command.js';
import { deathAt, reasonOf } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { deadPid, listener, sleeper } from '../support/strangers.js';
import { atTerminal } from '../support/terminal.js';

const fs = procfs();
const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind, more: object = {}): RigOptions => ({ switch: by, site: { workers: 5, ...more } });
const warned = (run: Run): unknown[] => run.events.flatMap(({ warning }) => reasonOf(warning) ?? []);
const stepsOf = (run: Run): unknown[] =>
  run.events.filter(({ type }) => type === 'step-done').map(({ step }) => step);
const drainOf = (run: Run): { accepted: number; cut: number } =>
  run.result['drain'] as { accepted: number; cut: number };

/** A request of `ms` that goes to a pool's own socket, past nginx. */
const ask = async (rig: Rig, slot: Slot, ms: number): Promise<string> => {
  const file = rig.sandbox.path('www', 'slow.php');
  const params = { ...scriptParams({ file, uri: '/slow.php', params: {} }), QUERY_STRING: `ms=${ms}&id=x` };
  const reply = await request({ address: rig.site().address[slot], params, timeoutMs: 20_000 });
  return reply.ok ? String(reply.value.status) : reply.wrong.kind;
};

const workersOf = (rig: Rig, slot: Slot): number[] => {
  const master = rig.sandbox.poolMaster(slot);
  return master === null ? [] : children(fs, master).filter((pid) => title(fs, pid) === 'php-fpm: pool demo');
};

const accepted = (rig: Rig, slot: Slot): number =>
  socketsAt(fs, { kind: 'unix', path: rig.site().address[slot].slice(5) }).connections.accepted;

/** Blue serves, green runs beside it. */
async function withStandby(options: RigOptions, act: (rig: Rig) => Promise<void>): Promise<void> {
  await withRig(options, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 25 }, post: { clients: 1, takes: 5 } });
    expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({
      exit: 0,
      result: { command: 'pool', verb: 'start', slot: 'green', outcome: 'done' },
    });
    await act(rig);
  });
}

describe('a standby', () => {
  it.each(BOTH)('that serves 3 s requests is stopped when they have ended: %s', async (by) => {
    await withStandby(on(by), async (rig) => {
      const asked = [ask(rig, 'green', 3_000), ask(rig, 'green', 3_000)];
      const stop = rig.spawn(['pool', 'stop', 'green']);
      await stop.until(({ type, connections }) => type === 'progress' && connections !== undefined);
      const run = await stop.end;
      expect(await Promise.all(asked)).toEqual(['200', '200']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done', verb: 'stop', slot: 'green' } });
      expect(drainOf(run)).toMatchObject({ cut: 0 });
      expect(stepsOf(run)).toEqual(['drain', 'retire', 'stop']);
      expect(rig.isListening('green')).toBe(false);
      expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({
        exit: 0,
        result: { outcome: 'unchanged' },
      });
    });
  });

  it('that nginx has just left is stopped when its last requests have ended', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const load = await rig.load({ slow: { every: 700, takes: 3_000 } });
      await rig.until(() => load.underWay('slow') > 2);
      await moveOver(rig.sandbox);
      const run = await rig.run(['pool', 'stop', 'blue']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(drainOf(run).accepted).toBeGreaterThan(1);
      expect(rig.isListening('blue')).toBe(false);
    });
  });

  it('that goes on serving is kept, under its name; force-stop ends it and says how many', async () => {
    await withStandby(on('symlink', { yaml: 'drain: { timeout: 500ms }' }), async (rig) => {
      const asked = ask(rig, 'green', 8_000);
      await rig.until(() => accepted(rig, 'green') > 0);
      const kept = await rig.run(['pool', 'stop', 'green']);
      expect(kept).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', failure: { reason: 'pool-busy' } },
      });
      expect(await ask(rig, 'green', 1)).toBe('200');
      const forced = await rig.run(['pool', 'force-stop', 'green']);
      expect(forced).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(drainOf(forced).cut).toBeGreaterThan(0);
      expect(warned(forced)).toContain('cut');
      expect(await asked).not.toBe('200');
    });
  });

  it('is given back its name when a signal ends the wait', async () => {
    await withStandby(on('symlink'), async (rig) => {
      const asked = ask(rig, 'green', 3_000);
      const stop = rig.spawn(['pool', 'stop', 'green']);
      await stop.untilStep('drain', 'progress');
      stop.kill('SIGINT');
      expect(await stop.end).toMatchObject({ exit: 130, result: { outcome: 'interrupted' } });
      expect(await asked).toBe('200');
      expect(await ask(rig, 'green', 1)).toBe('200');
      expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
    });
  });

  it('is started once, restarted as another, and only restarted when it runs', async () => {
    await withStandby(on('rewrite'), async (rig) => {
      const first = rig.sandbox.poolMaster('green');
      expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({
        exit: 0,
        result: { outcome: 'unchanged' },
      });
      expect(rig.sandbox.poolMaster('green')).toBe(first);
      for (const verb of ['restart', 'try-restart', 'condrestart']) {
        const before = rig.sandbox.poolMaster('green');
        const run = await rig.run(['pool', verb, 'green']);
        expect(run).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 0 } } });
        expect(stepsOf(run)).toEqual(['drain', 'retire', 'stop', 'start', 'probe']);
        expect(rig.sandbox.poolMaster('green')).not.toBe(before);
      }
      expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
      expect(await rig.run(['pool', 'try-restart', 'green'])).toMatchObject({
        exit: 0,
        result: { verb: 'try-restart', outcome: 'unchanged' },
      });
      expect(rig.isListening('green')).toBe(false);
      expect(await rig.run(['pool', 'restart', 'green'])).toMatchObject({ exit: 0 });
      expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
    });
  });

  it('that somebody else reloads is stopped once it has come up again', async () => {
    await withStandby(on('symlink'), async (rig) => {
      const before = workersOf(rig, 'green').length;
      const asked = ask(rig, 'green', 1_500);
      await rig.until(() => accepted(rig, 'green') > 0);
      await rig.signalPool('green', 'SIGUSR2', { gone: false });
      await rig.until(() => workersOf(rig, 'green').length < before);
      const run = await rig.run(['pool', 'stop', 'green']);
      expect(run, run.stdout).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 0 } } });
      expect(await asked).toBe('200');
      expect(rig.read('log', 'demo-green.fpm.log').split('ready to handle').length).toBe(3);
    });
  });

  it('of orphans is ended by the proof, by stop and by start', async () => {
    await withStandby(on('symlink'), async (rig) => {
      for (const verb of ['start', 'stop']) {
        const asked = ask(rig, 'green', 1_500);
        await rig.until(() => accepted(rig, 'green') > 0);
        const orphans = workersOf(rig, 'green');
        await rig.signalPool('green', 'SIGKILL');
        const run = await rig.run(['pool', verb, 'green']);
        expect(run, run.stdout).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        expect(warned(run)).toContain('slot-orphaned');
        expect(await asked).toBe('200');
        expect(orphans.filter((pid) => title(fs, pid) === 'php-fpm: pool demo')).toEqual([]);
        expect(rig.isListening('green')).toBe(verb === 'start');
      }
    });
  });
});

describe('a broken configuration', () => {
  it('stops no stop, and takes no running pool with it', async () => {
    await withStandby(on('rewrite'), async (rig) => {
      const { fpmConfig } = rig.site();
      const text = readFileSync(fpmConfig.blue, 'utf8');
      writeFileSync(fpmConfig.blue, `${text}\nno_such_key = 1\n`);
      for (const verb of ['start', 'restart', 'reload']) {
        expect(await rig.run(['pool', verb, 'green'])).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'pool-config-invalid' } },
        });
      }
      expect(rig.isListening('green')).toBe(true);
      expect(await rig.run(['pool', 'reopen-logs', 'green'])).toMatchObject({ exit: 0 });
      const run = await rig.run(['pool', 'stop', 'green']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 0 } } });
      expect(warned(run)).toContain('pool-config-remembered');
      expect(rig.isListening('green')).toBe(false);
      writeFileSync(fpmConfig.blue, text);
    });
  });
});

describe('a pool over TCP', () => {
  it('has no name that could be taken away, and is drained, reloaded and asked about all the same', async () => {
    await withRig(on('rewrite', { transport: 'tcp' }), async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 25 } });
      expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
      for (const slot of SLOTS) {
        expect(await rig.run(['pool', 'reload', slot])).toMatchObject({ exit: 0 });
      }
      const asked = ask(rig, 'green', 1_500);
      const stop = rig.spawn(['pool', 'stop', 'green']);
      expect(await asked).toBe('200');
      expect(await stop.end).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 0 } } });
      expect(await rig.run(['pool', 'stop', 'blue'])).toMatchObject({ exit: 2 });
      expect(await rig.answering()).toBe('blue');
    });
  });
});

describe('the pool that serves', () => {
  const TRAFFIC = { fast: { rate: 25 }, slow: { every: 500, takes: 800 } };

  it.each(['stop', 'force-stop', 'restart', 'try-restart'])(
    'is not touched by %s without a yes, and it is said what it would cut',
    async (verb) => {
      await withRig(on('symlink'), async (rig) => {
        await rig.deployed();
        const load = await rig.load(TRAFFIC);
        await rig.until(() => load.underWay('slow') > 0);
        const before = [rig.sandbox.poolMaster('blue'), ...workersOf(rig, 'blue')];
        const run = await rig.run(['pool', verb, 'blue']);
        expect(run).toMatchObject({
          exit: 2,
          result: { outcome: 'usage', verb, failure: { reason: 'answer-needed' } },
        });
        expect(run.stderr).toMatch(/[1-9]\d* accepted, \d+ queued, [1-9]\d* working.* without its pool/);
        expect(run.stderr).toContain('--yes');
        expect([rig.sandbox.poolMaster('blue'), ...workersOf(rig, 'blue')]).toEqual(before);
      });
    },
  );

  it('is asked about at a terminal: no leaves it, yes stops it', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      const at = (answer: string): Promise<Run> =>
        rig.run([], { json: false, program: atTerminal(['pool', 'stop', 'blue'], answer) });
      const no = await at('n');
      expect(no.exit, no.stdout).toBe(1);
      expect(no.stdout).toMatch(/Blue serves the site/);
      expect(no.stdout).toContain('stop blue? [y/N]');
      expect(await rig.answering()).toBe('blue');
      const yes = await at('y');
      expect(yes.exit, yes.stdout).toBe(0);
      expect(rig.isListening('blue')).toBe(false);
    });
  });

  it.each(['stop', 'restart'])('ends what it has accepted before a %s that was agreed to', async (verb) => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const load = await rig.load({ slow: { every: 500, takes: 1_500 } });
      await rig.until(() => load.underWay('slow') > 2);
      // those that come while nobody is there
      rig.allow.cut = ({ ms }) => ms < 500;
      const run = await rig.run(['pool', verb, 'blue', '--yes']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done', drain: { cut: 0 } } });
      expect(rig.isListening('blue')).toBe(verb === 'restart');
      if (verb === 'stop') {
        expect(await rig.answering()).toBe('502');
        expect(await rig.run(['pool', 'start', 'blue'])).toMatchObject({ exit: 0 });
      }
      expect(await rig.answering()).toBe('blue');
    });
  });

  it('is ended at once by force-stop, which says how many that cut', async () => {
    await withRig(on('rewrite', { fpmGlobal: 'process_control_timeout = 30s' }), async (rig) => {
      await rig.deployed();
      rig.allow.cut = () => true;
      const load = await rig.load({ slow: { every: 500, takes: 10_000 } });
      await rig.until(() => load.underWay('slow') > 2);
      const run = await rig.run(['pool', 'force-stop', 'blue', '--yes']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(drainOf(run).cut).toBeGreaterThan(2);
      expect(run.events).toContainEqual(
        expect.objectContaining({ step: 'stop', note: { kind: 'signal', signal: 'SIGTERM' } }),
      );
    });
  });

  it('is kept when nginx’s files and what runs of them differ, until somebody says yes', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 25 } });
      const { upstream, address } = rig.site();
      const text = readFileSync(upstream, 'utf8');
      const mark = (one: string): string => (one === address.blue ? address.green : address.blue);
      // blue serves, and nobody has told nginx that it no longer should
      writeFileSync(upstream, text.replace(/(?<=server )\S+(?= max_fails)/g, mark));
      const run = await rig.run(['pool', 'stop', 'blue']);
      expect(run).toMatchObject({ exit: 2, result: { failure: { reason: 'answer-needed' } } });
      writeFileSync(upstream, text);
      expect(await rig.answering()).toBe('blue');
    });
  });
});

describe('kill -9 during a stop', () => {
  /** Kills a command at each of its changes to the world in turn, until there is none left. */
  async function* deathsOf(rig: Rig, args: readonly string[]): AsyncGenerator<string | null> {
    for (let change = 1; ; change += 1) {
      const death = await deathAt({ when: 'act', record: 0, change }, (dieAt) => rig.run(args, { dieAt }));
      yield death.words;
      if (death.words === null) return;
    }
  }

  it('of the standby: the next stop ends it, and so does a deploy', async () => {
    await withStandby(on('symlink'), async (rig) => {
      const told: string[] = [];
      for await (const words of deathsOf(rig, ['pool', 'stop', 'green'])) {
        if (words !== null) told.push(words.split(' ')[0] ?? '');
        expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
        expect(rig.isListening('green')).toBe(false);
        expect(await rig.disorder()).toEqual([]);
        expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
      }
      expect(told).toEqual(expect.arrayContaining(['rename', 'SIGQUIT']));
      for (const what of ['rename', 'SIGQUIT']) {
        const change = told.indexOf(what) + 1;
        await deathAt({ when: 'act', record: 0, change }, (dieAt) =>
          rig.run(['pool', 'stop', 'green'], { dieAt }),
        );
        const run = await rig.deploy();
        expect(run, run.stdout).toMatchObject({ exit: 0, result: { from: 'blue', to: 'green' } });
        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to: 'blue' } });
        expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
      }
      expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
    });
  });

  it.each([
    ['pool start', ['pool', 'start', 'blue']],
    ['start', ['start']],
    ['deploy', ['deploy']],
  ])('of the pool that serves: %s brings the site back', async (_, mend) => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      const told: string[] = [];
      for (let change = 1; ; change += 1) {
        const serving = await rig.answering();
        const stop = ['pool', 'stop', serving, '--yes'];
        const { words } = await deathAt({ when: 'act', record: 0, change }, (dieAt) =>
          rig.run(stop, { dieAt }),
        );
        if (words !== null) told.push(words.split(' ')[0] ?? '');
        const run = await rig.run(mend);
        expect(run, `${words ?? ''}\n${run.stdout}`).toMatchObject({ exit: 0 });
        if (words?.startsWith('rename') === true) expect(warned(run)).toContain('name-given-back');
        expect(await rig.answering()).toMatch(/blue|green/);
        if (words === null) break;
      }
      expect(told).toEqual(expect.arrayContaining(['rename', 'SIGQUIT']));
    });
  });
});

describe('nothing is done', () => {
  it('while a deploy is unfinished', async () => {
    await withRig(on('symlink', { yaml: 'drain: { timeout: 300ms }' }), async (rig) => {
      await rig.deployed();
      const load = await rig.load({ slow: { every: 60_000, takes: 6_000 } });
      await rig.until(() => load.underWay('slow') > 0);
      expect(await rig.deploy()).toMatchObject({ exit: 5 });
      for (const verb of ['start', 'stop', 'force-stop', 'restart', 'try-restart', 'reload', 'reopen-logs']) {
        const run = await rig.run(['pool', verb, 'blue', '--yes']);
        expect(run).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'deploy-open' } },
        });
        expect(run.stderr).toContain('`swap-pool recover demo`');
      }
      expect(await rig.run(['pool', 'status', 'blue'])).toMatchObject({
        exit: 0,
        result: { pools: [{ app: 'demo', state: 'draining' }] },
      });
      expect(rig.isListening('blue')).toBe(true);
      expect(await rig.run(['recover'])).toMatchObject({ exit: expect.any(Number) as number });
      await rig.until(() => load.underWay('slow') === 0);
      expect(await rig.run(['recover'])).toMatchObject({ exit: 0 });
    });
  });

  it('while another swap-pool is at it; status looks all the same', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 25 } });
      const yaml = rig.read('config', 'demo.yaml').replace('probe:', 'probe:\n  timeout: 4s');
      writeFileSync(rig.site().config, yaml);
      rig.breakSlot('green', 'status');
      const deploy = rig.spawnDeploy();
      await deploy.untilStep('probe');
      expect(await rig.run(['pool', 'reload', 'blue'])).toMatchObject({
        exit: 3,
        result: { outcome: 'locked', failure: { reason: 'locked' } },
      });
      expect(await rig.run(['pool', 'status', 'blue'])).toMatchObject({ exit: 0 });
      deploy.kill('SIGTERM');
      await deploy.end;
      rig.breakSlot('green', null);
    });
  });

  it.each([
    ['a verb that there is not', ['pool', 'frobnicate', 'blue']],
    ['a slot that there is not', ['pool', 'stop', 'red']],
    ['an app that there is not', ['pool', 'status', 'blue', 'nobody']],
    ['no slot', ['pool', 'status']],
  ])('for %s', async (_, args) => {
    await withRig(on('symlink'), async (rig) => {
      expect(await rig.run(args)).toMatchObject({ exit: 2, result: { outcome: 'usage' } });
    });
  });

  it('to a process that a stale pidfile names, nor to a stranger at the address', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 25 } });
      const [one, two] = [await sleeper(), await listener(rig.site().address.green)];
      try {
        for (const verb of ['stop', 'force-stop', 'start', 'restart', 'reload', 'reopen-logs']) {
          expect(await rig.run(['pool', verb, 'green'])).toMatchObject({
            exit: 1,
            result: { outcome: 'refused', failure: { reason: 'slot-foreign' } },
          });
        }
        expect(await rig.run(['pool', 'status', 'green'])).toMatchObject({
          exit: 4,
          result: { pools: [{ state: 'foreign', holder: { pid: two.pid } }] },
        });
        expect(two.lives()).toBe(true);
        await two.end();
        for (const verb of ['stop', 'force-stop']) {
          rig.writePidfile('green', `${one.pid}\n`);
          expect(await rig.run(['pool', verb, 'green'])).toMatchObject({
            exit: 0,
            result: { outcome: 'unchanged' },
          });
          expect(existsSync(rig.site().pidfile.green)).toBe(false);
        }
        rig.writePidfile('green', `${one.pid}\n`);
        expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({ exit: 0 });
        expect(await rig.run(['pool', 'stop', 'green'])).toMatchObject({ exit: 0 });
        expect(one.lives()).toBe(true);
      } finally {
        await one.end();
        await two.end();
      }
    });
  });
});

describe('status', () => {
  it('has LSB’s codes', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const status = async (slot: Slot): Promise<[number | null, unknown]> => {
        const { exit, result } = await rig.run(['pool', 'status', slot]);
        const [pool] = result['pools'] as [{ state?: string; failure?: { reason: string } }];
        return [exit, pool.state ?? pool.failure?.reason];
      };
      expect(await status('blue')).toEqual([0, 'running']);
      expect(await status('green')).toEqual([3, 'stopped']);
      rig.writePidfile('green', `${await deadPid()}\n`);
      expect(await status('green')).toEqual([1, 'stale-pidfile']);
      await rig.signalPool('blue', 'SIGKILL');
      expect(await status('blue')).toEqual([4, 'orphaned']);
      const { fpmConfig } = rig.site();
      const text = readFileSync(fpmConfig.blue, 'utf8');
      writeFileSync(fpmConfig.blue, `${text}\nno_such_key = 1\n`);
      // what it was at the last deploy is still known
      expect(await status('green')).toEqual([1, 'stale-pidfile']);
      writeFileSync(fpmConfig.blue, text);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    });
    await withRig(on('symlink'), async (rig) => {
      const { fpmConfig, config } = rig.site();
      const text = readFileSync(fpmConfig.blue, 'utf8');
      writeFileSync(fpmConfig.blue, `${text}\nno_such_key = 1\n`);
      const broken = { exit: 4, result: { pools: [{ failure: { reason: 'pool-config-invalid' } }] } };
      expect(await rig.run(['pool', 'status', 'green'])).toMatchObject(broken);
      writeFileSync(fpmConfig.blue, text);
      writeFileSync(config, `${readFileSync(config, 'utf8')}\nno-such-key: 1\n`);
      expect(await rig.run(['pool', 'status', 'green'])).toMatchObject({ exit: 4 });
    });
  });

  it('shows every app’s when none is named, and ends with the worst', async () => {
    const sites = ['first', 'second'].map((name) => ({ name, switch: 'symlink' as const, workers: 2 }));
    await withRig({ sites }, async (rig) => {
      await rig.deployed();
      expect(await rig.run(['pool', 'stop', 'blue', 'second', '--yes'])).toMatchObject({ exit: 0 });
      const run = await rig.run(['pool', 'status', 'blue']);
      expect(run).toMatchObject({
        exit: 3,
        result: {
          pools: [
            { app: 'first', state: 'running' },
            { app: 'second', state: 'stopped' },
          ],
        },
      });
      const plain = await rig.run(['pool', 'status', 'blue'], { json: false });
      expect(plain.stdout).toMatch(/first\n +state +running\n[^]*second\n +state +stopped/);
      expect(plain.stderr).toBe('');
      // and every app's is started
      expect(await rig.run(['pool', 'start', 'blue'])).toMatchObject({ exit: 0 });
      for (const slot of SLOTS) {
        const exit = slot === 'blue' ? 0 : 3;
        expect(await rig.run(['pool', 'status', slot])).toMatchObject({ exit });
      }
    });
  });
});
