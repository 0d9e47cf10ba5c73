/** Several at once who do not know of each other. */
import { mkdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { otherSlot, type SwitchKind } from '../../src/event.js';
import { procfs, readStat } from '../../src/system/proc.js';
import { expectClean, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig, type Rig } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

/** Who deploys one site: the environments have next to nothing in common. */
function callers(
  rig: Rig,
): Readonly<Record<string, { readonly cwd: string; readonly env: Record<string, string | undefined> }>> {
  const own = rig.sandbox.path('temp', 'ci');
  mkdirSync(own, { recursive: true });
  return {
    cron: { cwd: '/', env: { PATH: '/usr/bin:/bin', LANG: undefined, HOME: '/root', TMPDIR: undefined } },
    ci: {
      cwd: own,
      env: { PATH: `${own}:/usr/local/bin:/usr/bin:/bin`, CI: 'true', TMPDIR: own, TZ: 'Asia/Tokyo' },
    },
    person: {
      cwd: '/tmp',
      env: { TERM: 'xterm', LANG: 'de_DE.UTF-8', XDG_RUNTIME_DIR: own, SUDO_USER: 'jo' },
    },
  };
}

it.each(BOTH)(
  'cron, CI and a person deploy at once, by %s: one does it, the others are told who',
  async (by) => {
    await withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
      rig.allow.strays.push(/^temp\/ci/);
      await rig.deployed();
      await rig.load(TRAFFIC);
      for (let round = 0; round < 3; round += 1) {
        const from = await expectClean(rig);
        const held = await rig.occupy();
        const commands = Object.values(callers(rig)).map((caller) => rig.spawnDeploy([], caller));
        await rig.until(() => commands.filter(({ running }) => !running).length === 2);
        expect(await held.release()).toEqual([held.id]);
        const runs = await Promise.all(commands.map(({ end }) => end));
        expect(runs.map(({ exit }) => exit).sort()).toEqual([0, 3, 3]);
        for (const run of runs.filter(({ exit }) => exit === 3)) {
          const winner = commands.find((_, index) => runs[index]?.exit === 0);
          expect(run.stderr).toContain(String(winner?.pid));
        }
        await expectClean(rig, otherSlot(from));
      }
    });
  },
);

it.each(BOTH)('recover at any moment of a deploy, by %s, leaves it alone', async (by) => {
  await withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
    await rig.deployed();
    await rig.load(TRAFFIC);
    for (const record of [2, 6, 10, 14]) {
      const from = await expectClean(rig);
      // it stops itself there, for as long as a recovery looks
      const command = rig.spawnDeploy([], preloaded('signal-at', { RIG_SIGNALS: `${record}:SIGSTOP` }));
      await rig.until(() => (rig.journals().at(-1)?.records.length ?? 0) >= record && isStopped(command.pid));
      expect((await rig.run(['recover', 'demo'])).result).toMatchObject({ outcome: 'locked', exit: 3 });
      command.kill('SIGCONT');
      expect((await command.end).result).toMatchObject({ outcome: 'done', exit: 0, to: otherSlot(from) });
    }
    await expectClean(rig);
  });
});

const isStopped = (pid: number): boolean => readStat(procfs(), pid)?.state === 'T';
