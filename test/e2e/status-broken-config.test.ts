/** `status` while nginx's configuration on disk is broken: the nginx that runs has never read it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { reloadByHand } from '../support/by-hand.js';
import { reasonOf } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 4 } });

/** Writes a line that nginx refuses; gives its place, and a way back. */
function spoil(rig: Rig, text: string): { readonly line: number; readonly mend: () => void } {
  const path = rig.sandbox.path('nginx.conf');
  const before = readFileSync(path, 'utf8');
  writeFileSync(path, `${before.trimEnd()}\n${text}\n`);
  const mend = (): void => {
    writeFileSync(path, before);
  };
  return { line: before.trimEnd().split('\n').length + 1, mend };
}

describe.each(BOTH)('status, with a broken nginx configuration on disk: %s', (by) => {
  it.each([
    ['that nginx alone finds broken', 'no_such_directive on;'],
    ['that is no nginx syntax', '}'],
  ])('%s: says who serves, warns with file and line, and ends with 0', async (_, text) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.deploy();
      for (const reloaded of [false, true]) {
        if (reloaded) await reloadByHand(rig);
        const { line, mend } = spoil(rig, text);
        const run = await rig.run(['status']);
        expect(run, run.stderr).toMatchObject({
          exit: 0,
          result: {
            exit: 0,
            apps: [{ active: 'green', served: true, slots: { green: { state: 'running' } } }],
            nginx: { pid: rig.sandbox.nginxMaster() },
          },
        });
        expect(run.result).not.toHaveProperty('apps.0.failure');
        const [warning] = run.events.filter(({ type }) => type === 'warning');
        expect(reasonOf(warning?.['warning'])).toBe('nginx-config-unusable');
        const place = new RegExp(`${rig.sandbox.path('nginx.conf')}:${line}\\b`);
        expect((warning?.['warning'] as { message: string }).message).toMatch(place);
        const plain = await rig.run(['status'], { json: false });
        expect(plain).toMatchObject({
          exit: 0,
          stdout: expect.stringContaining('demo: green serves') as string,
        });
        expect(plain.stderr).toMatch(place);
        mend();
      }
    });
  });

  it('and the pool that served is gone: not served, exit 1', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const { mend } = spoil(rig, 'no_such_directive on;');
      await rig.signalPool('blue', 'SIGQUIT');
      expect(await rig.run(['status'])).toMatchObject({
        exit: 1,
        result: { apps: [{ active: 'blue', served: false, failure: { reason: 'nginx-config-broken' } }] },
      });
      mend();
      expect(await rig.run(['start'])).toMatchObject({ exit: 0 });
    });
  });

  it('of a site that was never deployed: nothing is known', async () => {
    await withRig(on(by), async (rig) => {
      const { mend } = spoil(rig, 'no_such_directive on;');
      expect(await rig.run(['status'])).toMatchObject({
        exit: 1,
        result: { apps: [{ active: null, served: false, failure: { reason: 'nginx-config-broken' } }] },
      });
      mend();
    });
  });
});

it('both pools run and somebody has reloaded nginx since: which of them serves is not claimed', async () => {
  await withRig(on('rewrite'), async (rig) => {
    await rig.deployed();
    await reloadByHand(rig);
    expect((await rig.sandbox.startPool('green')).ok).toBe(true);
    const { mend } = spoil(rig, 'no_such_directive on;');
    expect(await rig.run(['status'])).toMatchObject({
      exit: 1,
      result: { apps: [{ active: null, served: false }] },
    });
    mend();
    await rig.signalPool('green', 'SIGQUIT');
  });
});

it('status --watch warns once, and ends as whoever ended it: 130 for INT, 143 for TERM', async () => {
  await withRig(on('symlink'), async (rig) => {
    await rig.deployed();
    const { mend } = spoil(rig, 'no_such_directive on;');
    for (const [signal, exit] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const watching = rig.spawn(['status', '--watch']);
      await rig.until(() => watching.events().filter(({ type }) => type === 'result').length >= 2);
      watching.kill(signal);
      const run = await watching.end;
      expect(run).toMatchObject({
        exit,
        result: { outcome: 'interrupted', exit, apps: [{ active: 'blue', served: true }] },
      });
      expect(run.events.filter(({ type }) => type === 'warning')).toHaveLength(1);
    }
    mend();
  });
});
