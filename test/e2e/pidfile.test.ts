import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import type { ProcessId, Slot, SwitchKind } from '../../src/event.js';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import { children, identify, isAlive, procfs, title } from '../../src/system/proc.js';
import type { Run } from '../support/command.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { deadPid, listener, otherFpm, sleeper, type Stranger } from '../support/strangers.js';

const fs = procfs();
const isRoot = process.geteuid?.() === 0;

/** Something of everything that a wrong stop would cut, at a rate that leaves the machine to others. */
const TRAFFIC: LoadPlan = {
  fast: { rate: 25 },
  slow: { every: 300, takes: 600 },
  post: { clients: 1, takes: 5 },
};
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 6 } });

interface Told {
  readonly reason: string;
  readonly slot?: string;
  readonly state?: string;
  readonly pid?: number | null;
  readonly pids?: readonly number[];
}

const warnings = (run: Run): Told[] =>
  run.events.filter(({ type }) => type === 'warning').map((line) => line['warning'] as Told);

const warned = (run: Run, reason: string, slot: Slot): Told | undefined =>
  warnings(run).find((one) => one.reason === reason && one.slot === slot);

interface SlotSeen {
  readonly state: string;
  readonly pid?: number;
  readonly pidfile: string;
  readonly holder?: { readonly pid: number; readonly command: string; readonly user: string };
  readonly workers: { readonly active: number; readonly idle: number };
}

async function status(
  rig: Rig,
): Promise<{ exit: number | null; blue: SlotSeen; green: SlotSeen; active: string }> {
  const run = await rig.run(['status']);
  const [app] = run.result['apps'] as [{ slots: Record<Slot, SlotSeen>; active: string }];
  return { exit: run.exit, active: app.active, ...app.slots };
}

/** Runs a test with strangers that must be alive at its end, and are ended then. */
async function untouched(strangers: readonly Stranger[], act: () => Promise<void>): Promise<void> {
  try {
    await act();
    for (const { pid, lives } of strangers) expect([pid, lives()]).toEqual([pid, true]);
  } finally {
    for (const one of strangers) await one.end();
  }
}

describe('a pidfile is a hint that is checked, never obeyed: one that', () => {
  interface Case {
    readonly by: SwitchKind;
    /** Spoils a pidfile; what lives by it must live on. */
    readonly spoil: (path: string) => Promise<readonly Stranger[]> | readonly Stranger[];
    /** What the file is then, and the standby with it. */
    readonly state: string;
    readonly standby: 'stopped' | 'stale-pidfile';
  }
  const says = (text: string) => (path: string) => {
    writeFileSync(path, text);
    return [];
  };
  const names =
    (start: () => Promise<Stranger>) =>
    async (path: string): Promise<readonly Stranger[]> => {
      const one = await start();
      writeFileSync(path, `${one.pid}\n`);
      return [one];
    };
  const stale = 'stale-pidfile';
  const cases: readonly Case[] = [
    {
      by: 'rewrite',
      spoil: (path) => (rmSync(path, { force: true }), []),
      state: 'missing',
      standby: 'stopped',
    },
    { by: 'rewrite', spoil: async (path) => says(`${await deadPid()}`)(path), state: 'dead', standby: stale },
    { by: 'rewrite', spoil: says(''), state: 'empty', standby: stale },
    { by: 'symlink', spoil: says('-1 rm -rf\n'), state: 'garbage', standby: stale },
    { by: 'symlink', spoil: says(`${process.pid}\n1\n`), state: 'several-lines', standby: stale },
    { by: 'symlink', spoil: names(sleeper), state: 'reused', standby: stale },
    { by: 'symlink', spoil: says('1\n'), state: 'init', standby: stale },
  ];

  it.each(['rewrite', 'symlink'] as const)(
    'is not right is named, and a deploy goes well: %s',
    async (by) => {
      await withRig(on(by), async (rig) => {
        await rig.deployed();
        await rig.load(TRAFFIC);
        const { pidfile } = rig.site();
        for (const [at, { spoil, state, standby }] of cases.filter((one) => one.by === by).entries()) {
          const [from, to]: [Slot, Slot] = at % 2 === 0 ? ['blue', 'green'] : ['green', 'blue'];
          const master = rig.sandbox.poolMaster(from);
          const strangers = [...(await spoil(pidfile[from])), ...(await spoil(pidfile[to]))];
          await untouched(strangers, async () => {
            expect(await status(rig)).toMatchObject({
              exit: 0,
              active: from,
              [from]: { state: 'running', pid: master, pidfile: state },
              [to]: { state: standby, pidfile: state },
            });
            const run = await rig.deploy();
            expect(run).toMatchObject({ exit: 0, result: { from, to, outcome: 'done' } });
            expect(warned(run, 'pidfile', from)).toMatchObject({ state, path: pidfile[from] });
            if (state !== 'missing') expect(warned(run, 'pidfile', to)).toMatchObject({ state });
          });
        }
        const [left, right] =
          cases.filter((one) => one.by === by).length % 2 === 0 ? ['green', 'blue'] : ['blue', 'green'];
        expect(await status(rig)).toMatchObject({
          exit: 0,
          [left as Slot]: { state: 'stopped', pidfile: 'missing' },
          [right as Slot]: { state: 'running', pidfile: 'ok' },
        });
      });
    },
  );

  it('others may write is worth nothing, right or wrong', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const { pidfile } = rig.site();
      const one = await sleeper();
      chmodSync(pidfile.blue, 0o666);
      writeFileSync(pidfile.green, `${one.pid}\n`);
      chmodSync(pidfile.green, 0o622);
      await untouched([one], async () => {
        expect(await status(rig)).toMatchObject({
          exit: 0,
          blue: { state: 'running', pidfile: 'writable' },
          green: { state: 'stale-pidfile', pidfile: 'writable' },
        });
        const run = await rig.deploy();
        expect(run).toMatchObject({ exit: 0 });
        expect(warned(run, 'pidfile', 'blue')).toMatchObject({ state: 'writable' });
        expect(warned(run, 'pidfile', 'green')).toMatchObject({ state: 'writable', pid: one.pid });
      });
    });
  });

  it('names another FPM’s master stops a start there, and only a start', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const fpm = await otherFpm();
      await untouched([fpm], async () => {
        // its own one names somebody else: the socket knows better
        rig.writePidfile('blue', `${fpm.pid}\n`);
        expect((await status(rig)).blue).toMatchObject({ state: 'running', pidfile: 'other-master' });
        // a start would overwrite what that master took for its own
        rig.writePidfile('green', `${fpm.pid}\n`);
        expect((await status(rig)).green).toMatchObject({ state: 'stale-pidfile', pidfile: 'other-master' });
        const refused = await rig.deploy();
        expect(refused).toMatchObject({
          exit: 1,
          result: { failure: { reason: 'pidfile-refused' }, outcome: 'refused' },
        });
        expect(failure(refused)).toMatchObject({
          slot: 'green',
          path: rig.site().pidfile.green,
          suspect: { pid: fpm.pid, user: isRoot ? 'root' : (expect.any(String) as string) },
        });
        expect(refused.stderr).toContain(`pid ${fpm.pid} (php-fpm: master process (`);
        expect(readFileSync(rig.site().pidfile.green, 'utf8')).toBe(`${fpm.pid}\n`);
        expect(rig.journals()).toHaveLength(1);
        rmSync(rig.site().pidfile.green);
        const run = await rig.deploy();
        expect(run).toMatchObject({ exit: 0 });
        expect(warned(run, 'pidfile', 'blue')).toMatchObject({ state: 'other-master', pid: fpm.pid });
      });
    });
  });

  it.runIf(isRoot)('names the FPM of a container is a coincidence', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const fpm = await otherFpm({ before: ['/usr/bin/unshare', '--mount'] });
      await untouched([fpm], async () => {
        rig.writePidfile('green', `${fpm.pid}\n`);
        expect((await status(rig)).green).toMatchObject({ pidfile: 'other-master' });
        const run = await rig.deploy();
        expect(run).toMatchObject({ exit: 0 });
        expect(warned(run, 'pidfile', 'green')).toMatchObject({ state: 'other-master', pid: fpm.pid });
      });
    });
  });
});

const failure = (run: Run): Record<string, unknown> => {
  const line = run.events.filter(({ type }) => type === 'failure').at(-1);
  return (line?.['failure'] ?? {}) as Record<string, unknown>;
};

describe('a slot’s address', () => {
  it('whose socket file nobody listens on is swept by the start', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      const path = pathOf(rig, 'green');
      const dead = await listener(`unix:${path}`);
      await dead.end();
      const run = await rig.deploy();
      expect(run).toMatchObject({ exit: 0, result: { to: 'green' } });
      expect(warned(run, 'socket-file-stale', 'green')).toMatchObject({ path });
    });
  });

  it('that serves no more is brought up over the files of the dead, unix and TCP', async () => {
    for (const site of [{ transport: 'unix' }, { transport: 'tcp' }] as const) {
      await withRig({ switch: 'rewrite', site: { workers: 3, ...site } }, async (rig) => {
        await rig.deployed();
        const workers = children(fs, rig.sandbox.poolMaster('blue') ?? 0).flatMap(
          (pid) => identify(fs, pid) ?? [],
        );
        await rig.signalPool('blue', 'SIGKILL');
        for (const { pid } of workers) process.kill(pid, 'SIGKILL');
        await rig.until(() => !rig.isListening('blue'));
        expect(await status(rig)).toMatchObject({
          exit: 1,
          active: 'blue',
          blue: { state: 'stale-pidfile', pidfile: 'dead' },
        });
        const run = await rig.deploy();
        expect(run).toMatchObject({ exit: 0, result: { from: null, to: 'blue', outcome: 'done' } });
        expect(warned(run, 'pidfile', 'blue')).toMatchObject({ state: 'dead' });
        expect(warned(run, 'nothing-serves', 'blue')).toBeDefined();
        expect(warned(run, 'socket-file-stale', 'blue') !== undefined).toBe(site.transport === 'unix');
        expect(await rig.answering()).toBe('blue');
      });
    }
  });

  it.each([
    ['rewrite', 'unix'],
    ['rewrite', 'tcp'],
    ['symlink', 'unix'],
  ] as const)('that somebody else listens on is refused: %s, %s, standby', async (by, transport) => {
    await withRig({ switch: by, site: { workers: 6, transport } }, async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      rig.allow.processes.push(/^squatter/);
      rig.allow.strays.push(/^run\/demo-green\.sock$/);
      const one = await listener(rig.site().address.green);
      await untouched([one], async () => {
        expect(await status(rig)).toMatchObject({
          exit: 0,
          green: { state: 'foreign', holder: { pid: one.pid, command: 'squatter-ready' } },
        });
        const run = await rig.deploy();
        expect(run).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'slot-foreign' } },
        });
        const { user } = failure(run)['holder'] as { user: string };
        expect(failure(run)).toMatchObject({ slot: 'green', holder: { pid: one.pid } });
        expect(run.stderr).toContain(`pid ${one.pid} (squatter-ready, user ${user})`);
        expect(await rig.answering()).toBe('blue');
      });
    });
  });

  it.each(['rewrite', 'symlink'] as const)(
    'that somebody else listens on is refused: %s, active',
    async (by) => {
      await withRig(on(by), async (rig) => {
        await rig.deployed();
        await rig.signalPool('blue', 'SIGQUIT');
        rig.allow.processes.push(/^squatter/);
        rig.allow.strays.push(/^run\/demo-blue\.sock$/);
        const one = await listener(rig.site().address.blue);
        await untouched([one], async () => {
          expect(await status(rig)).toMatchObject({
            exit: 1,
            active: 'blue',
            blue: { state: 'foreign', holder: { pid: one.pid } },
          });
          for (const verb of ['deploy', 'start']) {
            expect(await rig.run([verb])).toMatchObject({
              exit: 1,
              result: { outcome: 'refused', failure: { reason: 'slot-foreign' } },
            });
          }
        });
      });
    },
  );

  it('that an FPM with another configuration listens on is refused, by its name', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      rig.allow.processes.push(/other\.conf/);
      rig.allow.bothSlots = true;
      rig.allow.orphans = true;
      const fpm = await otherFpm({ listen: rig.site().address.green });
      try {
        expect((await status(rig)).green).toMatchObject({ state: 'foreign', holder: { pid: fpm.pid } });
        const run = await rig.deploy();
        expect(run).toMatchObject({
          exit: 1,
          result: { outcome: 'refused', failure: { reason: 'slot-foreign' } },
        });
        expect(failure(run)).toMatchObject({
          slot: 'green',
          holder: {
            pid: fpm.pid,
            command: expect.stringMatching(/^php-fpm: master process \(.*other\.conf\)$/) as string,
          },
        });
        expect(run.stderr).toMatch(
          new RegExp(`pid ${fpm.pid} \\(php-fpm: master process \\(\\S+\\), user \\w+\\)`),
        );
        expect(fpm.lives()).toBe(true);
      } finally {
        await fpm.end();
      }
    });
  });
});

describe('a second life of a slot', () => {
  it.each(['rewrite', 'symlink'] as const)('is drained and stopped before the start: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      await rig.sandbox.startPool('green');
      const pid = rig.sandbox.poolMaster('green') ?? 0;
      const id = identify(fs, pid);
      expect((await status(rig)).green).toMatchObject({ state: 'running', pid, pidfile: 'ok' });
      // somebody tries the pool out by its own socket
      const asked = askDirectly(rig, 'green', 1_500);
      await rig.until(() => busy(rig, 'green'));
      const run = await rig.deploy();
      expect(run).toMatchObject({ exit: 0, result: { from: 'blue', to: 'green', outcome: 'done' } });
      expect(warned(run, 'standby-running', 'green')).toMatchObject({ pid });
      expect(await asked).toMatchObject({ ok: true, value: { status: 200 } });
      expect(id !== null && isAlive(fs, id)).toBe(false);
      expect(rig.sandbox.poolMaster('green')).not.toBe(pid);
    });
  });

  it('that the name of the first was taken from is seen, and nothing is done', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await rig.load(TRAFFIC);
      await rig.sandbox.startPool('green');
      const first = rig.sandbox.poolMaster('green') ?? 0;
      // FPM refuses a socket that somebody listens on: a person removes the file and tries again
      const path = pathOf(rig, 'green');
      rmSync(path);
      rmSync(`${path.slice(0, -'.sock'.length)}-status.sock`);
      rmSync(rig.site().pidfile.green);
      await rig.sandbox.startPool('green');
      const second = rig.sandbox.poolMaster('green') ?? 0;
      expect(second).not.toBe(first);
      expect((await status(rig)).green).toMatchObject({ state: 'foreign' });
      const run = await rig.deploy();
      expect(run).toMatchObject({ exit: 1, result: { failure: { reason: 'slot-foreign' } } });
      expect([first, second]).toContain((failure(run)['holder'] as { pid: number }).pid);
      for (const pid of [first, second]) expect(identify(fs, pid)).not.toBeNull();
      process.kill(first, 'SIGTERM');
      await rig.until(() => identify(fs, first) === null);
      rig.allow.bothSlots = true;
      // the first one's last act takes the second's files: it lives on, and is stopped all the same
      const again = await rig.deploy();
      expect(again).toMatchObject({ exit: 0, result: { to: 'green' } });
      expect(identify(fs, second)).toBeNull();
    });
  });
});

describe('workers without their master', () => {
  it.each(['rewrite', 'symlink'] as const)(
    'in the active slot are cured by the deploy, whose drain ends them: %s',
    async (by) => {
      await withRig(on(by), async (rig) => {
        await rig.deployed();
        const load = await rig.load(TRAFFIC);
        const workers = workersOf(rig, 'blue');
        await rig.signalPool('blue', 'SIGKILL');
        const sent = load.records.length;
        await rig.until(() => load.records.length > sent + 20);
        const seen = await status(rig);
        expect(seen).toMatchObject({ exit: 0, active: 'blue', blue: { state: 'orphaned', pidfile: 'dead' } });
        expect(seen.blue.pid).toBeUndefined();
        expect(seen.blue.workers.active + seen.blue.workers.idle).toBe(6);
        // cron has nothing to deploy, and is told what is wrong
        const flip = await rig.deploy(['--if-changed', '--quiet'], { json: false });
        expect(flip).toMatchObject({ exit: 0, stdout: '' });
        expect(flip.stderr).toContain('warning: The blue pool');
        const run = await rig.deploy();
        expect(run).toMatchObject({
          exit: 0,
          result: { from: 'blue', to: 'green', outcome: 'done', drain: { cut: 0 } },
        });
        const told = warnings(run).filter(({ reason }) => reason === 'slot-orphaned');
        expect(told).toMatchObject([{ slot: 'blue' }]);
        expect([...(told[0]?.pids ?? [])].sort()).toEqual(workers.map(({ pid }) => pid).sort());
        expect(workers.filter((id) => isAlive(fs, id))).toEqual([]);
        expect(await status(rig)).toMatchObject({ blue: { state: 'stopped' }, green: { state: 'running' } });
      });
    },
  );

  // what HUP does depends on the build of FPM: it kills the master, or reloads it as USR2 does
  it.each([
    ['rewrite', 'SIGHUP'],
    ['symlink', 'SIGUSR2'],
  ] as const)('or with another one since are found by their socket: %s, %s', async (by, signal) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const load = await rig.load({ fast: { rate: 25 } });
      const master = rig.sandbox.poolMaster('blue') ?? 0;
      const workers = workersOf(rig, 'blue');
      // FPM that was started with -D leaves its pid behind when it reloads
      await rig.signalPool('blue', signal);
      const sent = load.records.length;
      await rig.until(() => load.records.length > sent + 20);
      const seen = await status(rig);
      expect(seen).toMatchObject({ exit: 0, active: 'blue' });
      expect(['orphaned', 'running']).toContain(seen.blue.state);
      expect(seen.blue.pid).not.toBe(master);
      expect(await rig.deploy()).toMatchObject({
        exit: 0,
        result: { from: 'blue', to: 'green', outcome: 'done', drain: { cut: 0 } },
      });
      expect(workers.filter((id) => isAlive(fs, id))).toEqual([]);
    });
  });

  it.each(['rewrite', 'symlink'] as const)(
    'in the standby are drained and ended before the start: %s',
    async (by) => {
      await withRig(on(by), async (rig) => {
        await rig.deployed();
        await rig.load(TRAFFIC);
        await rig.sandbox.startPool('green');
        const workers = workersOf(rig, 'green');
        const asked = askDirectly(rig, 'green', 1_500);
        await rig.until(() => busy(rig, 'green'));
        await rig.signalPool('green', 'SIGKILL');
        expect(await status(rig)).toMatchObject({ exit: 0, green: { state: 'orphaned', pidfile: 'dead' } });
        const run = await rig.deploy();
        expect(run).toMatchObject({ exit: 0, result: { to: 'green' } });
        expect(warned(run, 'slot-orphaned', 'green')).toBeDefined();
        expect(await asked).toMatchObject({ ok: true, value: { status: 200 } });
        expect(workers.filter((id) => isAlive(fs, id))).toEqual([]);
      });
    },
  );
});

/** The pool's own, and not those of its status page. */
const workersOf = (rig: Rig, slot: Slot): ProcessId[] =>
  children(fs, rig.sandbox.poolMaster(slot) ?? 0).flatMap((pid) => {
    const id = identify(fs, pid);
    return id !== null && title(fs, pid) === 'php-fpm: pool demo' ? [id] : [];
  });

const pathOf = (rig: Rig, slot: Slot): string => rig.site().address[slot].replace(/^unix:/, '');

/** A slow request past nginx, to a pool's own socket. */
function askDirectly(rig: Rig, slot: Slot, ms: number): ReturnType<typeof request> {
  const params = {
    ...scriptParams({ file: rig.sandbox.path('www', 'slow.php'), uri: undefined, params: {} }),
    QUERY_STRING: `ms=${ms}`,
  };
  return request({ address: rig.site().address[slot], params, timeoutMs: 20_000 });
}

const busy = (rig: Rig, slot: Slot): boolean =>
  readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .some((line) => line.endsWith(` ${pathOf(rig, slot)}`) && / 0001 03 /.test(line));
