/** What a signal, a reader that goes away and a terminal that is lost do to a deploy, and what they do not. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { otherSlot } from '../../src/event.js';
import { procfs, readStat } from '../../src/system/proc.js';
import { PROGRAM, type Run } from '../support/command.js';
import { expectClean, mend, nameOf, openJournals, TRAFFIC } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { queued } from '../support/waits.js';

const SIGNALS = [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const;

const options = (by: 'symlink' | 'rewrite' = 'symlink'): RigOptions => ({
  switch: by,
  site: { workers: 16 },
});

async function withTraffic(
  act: (rig: Rig) => Promise<void>,
  by: 'symlink' | 'rewrite' = 'symlink',
): Promise<void> {
  await withRig(options(by), async (rig) => {
    await rig.deployed();
    const load = await rig.load(TRAFFIC);
    await rig.until(() => load.underWay('slow') > 0);
    await act(rig);
  });
}

/** Waits until the second deploy has written a record. */
const reached = (rig: Rig, record: string): Promise<void> =>
  rig.until(() => rig.journals().length === 2 && did(rig).includes(record));

/** What the last deploy did, by its journal. */
const did = (rig: Rig): string[] => rig.journals().at(-1)?.records.map(nameOf) ?? [];

/** What was warned of, without its words. */
const warnings = (run: Run): object[] =>
  run.events
    .filter(({ type }) => type === 'warning')
    .map(({ warning }) => {
      const { message: _message, hint: _hint, ...facts } = warning as Record<string, unknown>;
      return facts;
    });

describe('before the pivot', () => {
  it.each(SIGNALS)(
    '%s ends the questions at once, reverts, and is the exit code %i',
    async (signal, exit) => {
      await withTraffic(async (rig) => {
        const serving = await expectClean(rig);
        // it would be asked for as long as this test may take
        const yaml = rig.read('config', 'demo.yaml');
        writeFileSync(rig.site().config, yaml.replace(/^probe:$/m, 'probe:\n  timeout: 5m'));
        for (const how of ['status', 'hang'] as const) {
          rig.breakSlot(otherSlot(serving), how);
          const begun = rig.journals().length;
          const deploy = rig.spawnDeploy();
          await deploy.untilStep('probe');
          deploy.kill(signal);
          // what is asked now, PHP goes on with: nobody waits for that
          const run = await deploy.end;
          rig.breakSlot(otherSlot(serving), null);
          expect(run, run.stderr).toMatchObject({
            exit,
            result: { outcome: 'interrupted', exit, failure: { reason: 'interrupted' } },
          });
          expect(warnings(run)).toContainEqual({ reason: 'signal-noted', signal, step: 'probe' });
          expect(rig.journals()).toHaveLength(begun + 1);
          expect(did(rig).slice(3)).toEqual([
            'intent probe',
            'intent revert start',
            'evidence revert start',
            'closed',
          ]);
          await expectClean(rig, serving);
        }
        writeFileSync(rig.site().config, yaml);
      });
    },
  );

  it('a switch that is under way is finished, then reverted', async () => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      rig.breakSlot(otherSlot(serving), 'status');
      const deploy = rig.spawnDeploy();
      await deploy.untilStep('probe');
      // stopped, the master looks idle, and the reload of the switch waits for it
      await rig.signalNginx('SIGSTOP');
      rig.breakSlot(otherSlot(serving), null);
      await deploy.untilStep('switch');
      deploy.kill('SIGTERM');
      await rig.signalNginx('SIGCONT');
      expect(await deploy.end).toMatchObject({ exit: 143, result: { outcome: 'interrupted' } });
      expect(did(rig).slice(5, 9)).toEqual([
        'intent switch',
        'evidence switch',
        'intent revert switch',
        'evidence revert switch',
      ]);
      await expectClean(rig, serving);
    }, 'rewrite');
  });

  it('a wait for the lock ends at once', async () => {
    await withTraffic(async (rig) => {
      const held = await rig.occupy();
      const first = rig.spawnDeploy();
      await first.untilStep('start');
      const second = await queued(rig, ['deploy', 'demo'], '1h');
      second.kill('SIGINT');
      expect(await second.end).toMatchObject({ exit: 130, result: { outcome: 'interrupted' } });
      expect(first.running).toBe(true);
      expect(await held.release()).toEqual([held.id]);
      expect(await first.end).toMatchObject({ exit: 0 });
      expect(rig.journals()).toHaveLength(2);
      await expectClean(rig);
    });
  });
});

describe('past the pivot', () => {
  it.each(SIGNALS)('%s reverts nothing: the drain is left to `recover`, exit 5', async (signal) => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      const held = await rig.occupy();
      const deploy = rig.spawnDeploy();
      await deploy.untilStep('drain');
      deploy.kill(signal);
      const run = await deploy.end;
      expect(run, run.stderr).toMatchObject({
        exit: 5,
        result: { outcome: 'draining', exit: 5, failure: { reason: 'still-draining' } },
      });
      expect(run.stderr).not.toMatch(/revert/i);
      expect(warnings(run)).toContainEqual({ reason: 'signal-noted', signal, step: 'drain' });
      expect(await rig.answering()).toBe(otherSlot(serving));
      expect(rig.isListening(serving)).toBe(true);
      const { result } = await rig.run(['status', 'demo']);
      expect(result).toMatchObject({
        exit: 0,
        apps: [{ active: otherSlot(serving), slots: { [serving]: { state: 'draining' } } }],
      });
      expect(await held.release()).toEqual([held.id]);
      await mend(rig, 'recover');
      await expectClean(rig, otherSlot(serving));
    });
  });
});

describe('a second signal', () => {
  /** While it is stopped both arrive, and it has had no moment to heed the first. */
  const twice = (deploy: ReturnType<Rig['spawn']>): void => {
    for (const signal of ['SIGSTOP', 'SIGTERM', 'SIGINT', 'SIGCONT'] as const) deploy.kill(signal);
  };

  it('leaves at once, with a result that says so, and the journal stays', async () => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      rig.breakSlot(otherSlot(serving), 'status');
      const held = await rig.occupy();
      const deploy = rig.spawnDeploy();
      await deploy.untilStep('probe');
      twice(deploy);
      const run = await deploy.end;
      expect(run.exit).toBeOneOf([130, 143]);
      expect(run.result).toMatchObject({
        type: 'result',
        outcome: 'interrupted',
        exit: run.exit,
        failure: { reason: 'interrupted', message: expect.stringContaining('at once') as string },
      });
      expect(openJournals(rig)).toBe(1);
      expect(await held.release()).toEqual([held.id]);
      rig.breakSlot(otherSlot(serving), null);
      await mend(rig, 'recover');
      await expectClean(rig, serving);
    });
  });

  it('that comes when the first has ended the wait changes nothing of that end', async () => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      const held = await rig.occupy();
      const deploy = rig.spawnDeploy();
      await deploy.untilStep('drain');
      twice(deploy);
      const run = await deploy.end;
      // whichever was read first: what the last line says is how the process ended
      expect(run.exit).toBeOneOf([5, 130, 143]);
      expect(run.result).toMatchObject({ type: 'result', exit: run.exit });
      expect(openJournals(rig)).toBe(1);
      expect(await held.release()).toEqual([held.id]);
      await mend(rig, 'recover');
      await expectClean(rig, otherSlot(serving));
    });
  });
});

describe('nobody who looks on can stop a deploy', () => {
  it.each([
    ['JSON', true],
    ['lines', false],
  ])('a reader of its %s that goes away', async (_, json) => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      expect(await rig.deploy([], { closeStdout: true, json })).toMatchObject({ exit: 0 });
      await expectClean(rig, otherSlot(serving));
    });
  });

  it('a terminal that is lost', async () => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      const held = await rig.occupy();
      const terminal = inTerminal(rig);
      const node = await terminal.program();
      await reached(rig, 'intent drain');
      // with `script` goes the other end of the terminal: the kernel sends HUP to who is in its foreground
      terminal.command.kill('SIGKILL');
      await terminal.command.end;
      expect(await held.release()).toEqual([held.id]);
      await rig.until(() => readStat(procfs(), node) === null);
      expect(did(rig).at(-1)).toBe('closed');
      await expectClean(rig, otherSlot(serving));
    });
  });

  it('a terminal that is lost before the switch', async () => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      rig.breakSlot(otherSlot(serving), 'status');
      const terminal = inTerminal(rig);
      const node = await terminal.program();
      await reached(rig, 'intent probe');
      terminal.command.kill('SIGKILL');
      await terminal.command.end;
      rig.breakSlot(otherSlot(serving), null);
      await rig.until(() => readStat(procfs(), node) === null);
      await expectClean(rig, otherSlot(serving));
    });
  });

  it('a HUP that somebody sends while the terminal is there is heard', async () => {
    await withTraffic(async (rig) => {
      const serving = await expectClean(rig);
      rig.breakSlot(otherSlot(serving), 'status');
      const terminal = inTerminal(rig);
      const node = await terminal.program();
      await reached(rig, 'intent probe');
      process.kill(node, 'SIGHUP');
      rig.breakSlot(otherSlot(serving), null);
      expect((await terminal.command.end).exit).toBe(129);
      expect(did(rig)).toContain('evidence revert start');
      await expectClean(rig, serving);
    });
  });
});

/** A deploy in the foreground of a terminal of its own (util-linux' script). */
function inTerminal(rig: Rig): { command: ReturnType<Rig['spawn']>; program: () => Promise<number> } {
  const pidfile = rig.sandbox.path('work', 'deploy.pid');
  const words = [process.execPath, PROGRAM, 'deploy', rig.site().name].map((word) => `'${word}'`).join(' ');
  const command = rig.spawn([], {
    program: ['/usr/bin/script', '-qec', `echo $$ > '${pidfile}'; exec ${words}`, '/dev/null'],
    json: false,
    env: { TERM: 'xterm', SHELL: '/bin/sh' },
  });
  return {
    command,
    program: async () => {
      await rig.until(() => existsSync(pidfile) && readFileSync(pidfile, 'utf8').endsWith('\n'));
      return Number(readFileSync(pidfile, 'utf8'));
    },
  };
}
