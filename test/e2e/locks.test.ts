/** One deploy at a time, whoever calls and from wherever. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { describe, expect, it } from 'vitest';
import { otherSlot, type LockHolder } from '../../src/event.js';
import { appLock, places, slotLock } from '../../src/system/places.js';
import { canonicalPath } from '../../src/system/sockets.js';
import type { Run } from '../support/command.js';
import { expectClean, expectNoCut, mend } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { draining, queued } from '../support/waits.js';

const BOTH = ['symlink', 'rewrite'] as const;
const SYMLINK: RigOptions = { switch: 'symlink', site: { workers: 6 } };

const failureOf = ({ events }: Run): { reason?: string; lock?: string; holder?: LockHolder | null } =>
  events.find(({ type }) => type === 'failure')?.['failure'] ?? {};

describe('while one deploy drains', () => {
  it('forty-nine others exit 3, and each says who is at it and since when', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const load = await rig.load({ fast: { rate: 20 } });
      const serving = await expectClean(rig);
      const began = Date.now();
      const { deploy, letGo } = await draining(rig);
      const others = await Promise.all(Array.from({ length: 49 }, () => rig.deploy()));
      for (const other of others) {
        expect(other).toMatchObject({
          exit: 3,
          result: { outcome: 'locked', failure: { reason: 'locked' } },
        });
        const { holder } = failureOf(other);
        expect(holder).toMatchObject({ pid: deploy.pid, user: userInfo().username });
        expect(holder?.command).toContain('deploy');
        const since = Date.parse(holder?.since ?? '');
        expect(since).toBeGreaterThanOrEqual(began);
        expect(since).toBeLessThanOrEqual(Date.now());
        expect(other.stderr).toContain(String(deploy.pid));
      }
      expect(await letGo()).toMatchObject({ exit: 0 });
      // the winner's and the first one's: who was refused has left no trace
      expect(rig.journals()).toHaveLength(2);
      await expectClean(rig, otherSlot(serving));
      expectNoCut(rig, load);
    });
  });

  it('recover, rollback and start are refused, and what only looks is not', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const { deploy, letGo } = await draining(rig);
      for (const command of ['recover', 'rollback', 'start']) {
        expect(await rig.run([command, 'demo']), command).toMatchObject({ exit: 3 });
      }
      const { exit, result } = await rig.run(['status', 'demo']);
      expect({ exit, apps: result['apps'] }).toMatchObject({
        exit: 0,
        apps: [{ lock: { pid: deploy.pid } }],
      });
      expect(await rig.deploy(['--dry-run'])).toMatchObject({ exit: 0 });
      expect(await rig.run(['history', 'demo'])).toMatchObject({ exit: 0 });
      expect(await letGo()).toMatchObject({ exit: 0 });
      const after = await rig.run(['status', 'demo']);
      expect(after.result['apps']).toMatchObject([{ lock: null }]);
    });
  });

  it('one that may wait goes on when the lock is free', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      const { deploy, letGo } = await draining(rig);
      const impatient = await rig.deploy(['--wait-lock', '50ms']);
      expect(impatient).toMatchObject({ exit: 3 });
      const patient = await queued(rig, ['deploy', 'demo']);
      expect(deploy.running).toBe(true);
      expect(await letGo()).toMatchObject({ exit: 0 });
      expect(await patient.end).toMatchObject({ exit: 0, result: { from: otherSlot(serving), to: serving } });
      await expectClean(rig, serving);
    });
  });

  it.each(BOTH)(
    'a configuration elsewhere, of another name, that names the same slots is refused: %s',
    async (by) => {
      await withRig({ ...SYMLINK, switch: by }, async (rig) => {
        await rig.deployed();
        await rig.load({ fast: { rate: 20 } });
        const env = elsewhere(rig, 'other');
        const { letGo } = await draining(rig);
        const refused = await rig.run(['deploy', 'other'], { env });
        expect(refused).toMatchObject({ exit: 3, result: { outcome: 'locked' } });
        expect(failureOf(refused)).toMatchObject({ lock: 'slot' });
        expect(await letGo()).toMatchObject({ exit: 0 });
        // and the other way round, when the lock is free: it is no stranger to the pools
        expect(await rig.run(['deploy', 'other'], { env })).toMatchObject({ exit: 0 });
        await expectClean(rig);
      });
    },
  );

  it.each(BOTH)(
    'a holder that is stopped holds its lock, and goes on when it is continued: %s',
    async (by) => {
      await withRig({ ...SYMLINK, switch: by }, async (rig) => {
        await rig.deployed();
        await rig.load({ fast: { rate: 20 } });
        const serving = await expectClean(rig);
        const { deploy, letGo } = await draining(rig);
        deploy.kill('SIGSTOP');
        const refused = await rig.deploy();
        expect(refused).toMatchObject({ exit: 3 });
        expect(failureOf(refused).holder).toMatchObject({ pid: deploy.pid });
        deploy.kill('SIGCONT');
        expect(await letGo()).toMatchObject({ exit: 0 });
        await expectClean(rig, otherSlot(serving));
      });
    },
  );

  it('a holder that is killed holds nothing: the next one goes on, and nobody is named', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const serving = await expectClean(rig);
      const { deploy, letGo } = await draining(rig);
      deploy.kill('SIGKILL');
      expect(await letGo()).toMatchObject({ signal: 'SIGKILL' });
      const { result } = await rig.run(['status', 'demo']);
      expect(result['apps']).toMatchObject([{ lock: null }]);
      await mend(rig, 'deploy');
      await expectClean(rig, serving);
    });
  });
});

describe('a lock file', () => {
  it.each([
    ['the app', (rig: Rig) => appLock(rig.sandbox.path('run'), 'demo')],
    [
      'a slot',
      (rig: Rig) => {
        const path = canonicalPath(rig.site().address.green.slice('unix:'.length));
        return slotLock(places({}, process.getuid?.() ?? -1).locks, { kind: 'unix', path });
      },
    ],
  ])('of %s that somebody planted as a link is refused and not followed', async (_, lockOf) => {
    await withRig(SYMLINK, async (rig) => {
      const lock = lockOf(rig);
      mkdirSync(places({}, process.getuid?.() ?? -1).locks, { recursive: true, mode: 0o755 });
      const target = rig.sandbox.path('work', 'target');
      symlinkSync(target, lock);
      const refused = await rig.deploy();
      expect(refused).toMatchObject({ exit: 1, result: { outcome: 'refused' } });
      expect(refused.events.find(({ type }) => type === 'failure')?.['failure']).toMatchObject({
        reason: 'state-unwritable',
        path: lock,
        code: 'ELOOP',
      });
      expect(existsSync(target)).toBe(false);
      expect(rig.journals()).toEqual([]);
      rmSync(lock);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    });
  });

  it('stays where it is, so that nobody holds one that others cannot see', async () => {
    await withRig(SYMLINK, async (rig) => {
      await rig.deployed();
      const lock = appLock(rig.sandbox.path('run'), 'demo');
      expect(readFileSync(lock, 'utf8')).toBe('');
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      expect(readFileSync(lock, 'utf8')).toBe('');
    });
  });
});

/** A configuration of another name, with folders of its own, for the same pools. Gives its environment. */
function elsewhere(rig: Rig, name: string): Record<string, string> {
  const folder = rig.sandbox.path('temp', 'elsewhere');
  for (const part of ['', 'config', 'state', 'run']) mkdirSync(`${folder}/${part}`, { mode: 0o755 });
  writeFileSync(`${folder}/config/${name}.yaml`, readFileSync(rig.site().config));
  rig.allow.strays.push(/^temp\/elsewhere\//);
  return {
    SWAP_POOL_CONFIG_DIR: `${folder}/config`,
    SWAP_POOL_STATE_DIR: `${folder}/state`,
    SWAP_POOL_RUN_DIR: `${folder}/run`,
  };
}
