/** Whom a drain waits for, whom it does not, and what happens when its time is over. */
import { truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import type { Load } from '../../src/demo/load.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { children, procfs, title } from '../../src/system/proc.js';
import { reasonOf } from '../support/deaths.js';
import { withRig, type Rig } from '../support/rig.js';

const fs = procfs();
const SITE = { workers: 8 };

/** nginx names one slot alone: its old workers could come back to the pool that is left. */
const alone = (sandbox: Sandbox): void => {
  const { address, upstream, name } = sandbox.site();
  writeFileSync(upstream, `upstream ${name} {\n    server ${address.blue};\n}\n`);
};

/** A file that no socket buffer holds. */
const big = (sandbox: Sandbox): void => {
  const path = sandbox.path('www', 'big.bin');
  writeFileSync(path, '');
  truncateSync(path, 64 * 1024 * 1024);
};

/** Holds an nginx worker with a download that nobody goes on reading; no pool has a part in it. */
async function withStuckDownload(rig: Rig, act: () => Promise<void>): Promise<void> {
  const { port, name } = rig.site();
  const socket: Socket = connect(port, '127.0.0.1');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('data', () => {
        socket.pause();
        resolve();
      });
      socket.write(`GET /big.bin HTTP/1.1\r\nHost: ${name}.test\r\n\r\n`);
    });
    await act();
  } finally {
    socket.destroy();
  }
}

/** Sends a load until three requests of it are under way, and no more. */
async function threeSlow(rig: Rig, takes: number): Promise<Load> {
  const load = await rig.load({ slow: { every: 100, takes } });
  await rig.until(() => load.underWay('slow') > 2);
  void load.stop();
  return load;
}

it('an old nginx worker that still reads an upload is waited for', async () => {
  await withRig({ site: SITE, prepare: alone }, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
    const uploads = [await rig.hold(), await rig.hold(), await rig.hold()];
    const command = rig.spawnDeploy();
    await command.untilStep('drain');
    // they come to the pool that nginx has left when the last of their bodies is there
    for (const upload of uploads) expect(await upload.finish()).toBe(200);
    const run = await command.end;
    expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, drain: { cut: 0 } });
    await rig.until(() => answerers(rig, 'held').length === 3);
    expect(answerers(rig, 'held')).toEqual(['blue', 'blue', 'blue']);
  });
});

it('an old nginx worker that is stopped while it shuts down has not gone', async () => {
  await withRig({ site: SITE, prepare: alone }, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 40 } });
    const upload = await rig.hold();
    const command = rig.spawnDeploy();
    await command.untilStep('drain');
    const master = rig.sandbox.nginxMaster() ?? 0;
    const retiring = children(fs, master).filter((pid) => title(fs, pid).includes('is shutting down'));
    expect(retiring.length).toBeGreaterThan(0);
    for (const pid of retiring) process.kill(pid, 'SIGSTOP');
    // it is told each time that its worker is still there
    await rig.until(() => command.stdout.includes('waits-for-other-sites'));
    expect(command.running).toBe(true);
    expect(rig.isListening('blue')).toBe(true);
    for (const pid of retiring) process.kill(pid, 'SIGCONT');
    expect(await upload.finish()).toBe(200);
    const run = await command.end;
    expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, drain: { cut: 0 } });
  });
});

/** The slots that answered requests with this id, by nginx's access log. */
const answerers = (rig: Rig, id: string): string[] =>
  rig
    .read('log', 'access.log')
    .split('\n')
    .filter((line) => line.includes(`id=${id} `))
    .map((line) => / (blue|green)\/\d+ "/.exec(line)?.[1] ?? line);

it('with a backup in the upstream nobody waits for another site’s download', async () => {
  await withRig({ site: SITE, prepare: big }, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
    await withStuckDownload(rig, async () => {
      for (const to of ['green', 'blue']) {
        const run = await rig.deploy();
        expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to });
        // the download still hangs there: had it been waited for, this would have been told
        const told = run.events.map(({ warning }) => reasonOf(warning));
        expect(told).not.toContain('waits-for-other-sites');
      }
    });
  });
});

it('without one it is waited for, told, and left to recover at the deadline', async () => {
  const prepare = (sandbox: Sandbox): void => {
    alone(sandbox);
    big(sandbox);
  };
  const site = { ...SITE, yaml: 'drain: { timeout: 3s }' };
  await withRig({ site, prepare }, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
    await withStuckDownload(rig, async () => {
      const run = await rig.deploy();
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'draining',
        exit: 5,
        failure: { reason: 'drain-timeout' },
      });
      expect(run.events).toContainEqual(
        expect.objectContaining({
          warning: expect.objectContaining({ reason: 'waits-for-other-sites', retiring: 1 }) as unknown,
        }),
      );
      expect([rig.isListening('blue'), rig.isListening('green')]).toEqual([true, true]);
      expect(await rig.answering()).toBe('green');

      const again = await rig.run(['recover', 'demo']);
      expect(again.result, again.stdout).toMatchObject({ outcome: 'draining', exit: 5 });
      expect(rig.isListening('blue')).toBe(true);

      const now = await rig.run(['recover', 'demo', '--now']);
      expect(now.result, now.stdout).toMatchObject({ outcome: 'done', exit: 0, drain: { cut: 0 } });
      expect(rig.isListening('blue')).toBe(false);
    });
  });
});

it.each(['rewrite', 'symlink'] as const)(
  'by %s a drain that is told to stop cuts at its deadline, and says how many',
  async (by) => {
    const site = {
      ...SITE,
      fpmGlobal: 'process_control_timeout = 1s',
      yaml: 'drain: { timeout: 1s, on-timeout: stop }',
    };
    // with a backup nginx would run a GET that was cut a second time, on the other pool
    const prepare = by === 'rewrite' ? { prepare: alone } : {};
    await withRig({ switch: by, site, ...prepare }, async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
      rig.allow.cut = ({ class: kind }) => kind === 'slow';
      const slow = await threeSlow(rig, 50_000);
      const run = await rig.deploy();
      expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0 });
      const lost = (await slow.stop()).filter(({ cut }) => cut !== null).length;
      const told = (run.result['drain'] as { cut: number }).cut;
      expect(lost).toBeGreaterThan(2);
      // an upper bound, and no more than were under way: what is answered before the first signal is not lost
      expect(told).toBeGreaterThanOrEqual(lost);
      expect(told).toBeLessThanOrEqual(slow.records.length);
      expect(run.stdout + run.stderr).toContain(`t most ${told} requests`);
      expect(run.events).toContainEqual(
        expect.objectContaining({
          warning: expect.objectContaining({ reason: 'cut', cut: told }) as unknown,
        }),
      );
      expect(rig.isListening('blue')).toBe(false);
    });
  },
);
