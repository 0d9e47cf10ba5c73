/** `pool VERB SLOT` of pools that others start, and of pools that are no php-fpm. */
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Slot } from '../../src/event.js';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import { procfs } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import type { Run } from '../support/command.js';
import { reasonOf } from '../support/deaths.js';
import { byInit, keptByShell, lacks, prefork, spawnFcgi, type Managed } from '../support/managed.js';
import { withRig, type Rig } from '../support/rig.js';

const fs = procfs();
const warned = (run: Run): unknown[] => run.events.flatMap(({ warning }) => reasonOf(warning) ?? []);
const stepsOf = (run: Run): unknown[] =>
  run.events.filter(({ type }) => type === 'step-done').map(({ step }) => step);
const socketsOf = (rig: Rig, slot: Slot) =>
  socketsAt(fs, { kind: 'unix', path: rig.site().address[slot].slice(5) });

/** A request of `ms` that goes to a pool's own socket, past nginx. */
const ask = async (rig: Rig, slot: Slot, ms: number): Promise<string> => {
  const file = rig.sandbox.path('www', 'slow.php');
  const params = { ...scriptParams({ file, uri: '/slow.php', params: {} }), QUERY_STRING: `ms=${ms}&id=x` };
  const reply = await request({ address: rig.site().address[slot], params, timeoutMs: 20_000 });
  return reply.ok ? String(reply.value.status) : reply.wrong.kind;
};
const slow = async (rig: Rig, slot: Slot, ms: number): Promise<{ readonly answer: Promise<string> }> => {
  const answer = ask(rig, slot, ms);
  await rig.until(() => socketsOf(rig, slot).connections.accepted > 0);
  return { answer };
};

/** Blue serves, under load; green does not run. */
async function onRig(managed: Managed, act: (rig: Rig) => Promise<void>, more: object = {}): Promise<void> {
  await withRig(
    { switch: 'symlink', site: { workers: 5, ...more }, timeout: 110_000, ...managed.rig },
    async (rig) => {
      rig.allow.processes.push(...managed.processes);
      await rig.deployed();
      await rig.load({ fast: { rate: 20 }, post: { clients: 1, takes: 5 } });
      await act(rig);
    },
  );
}

const SHORT_STOP = { yaml: 'stop: { timeout: 500ms }', fpmGlobal: 'process_control_timeout = 1s' };

/** Runs a verb on green, and expects it done. */
async function done(rig: Rig, verb: string, ...more: string[]): Promise<Run> {
  const run = await rig.run(['pool', verb, 'green', ...more]);
  expect(run, `${verb}\n${run.stdout}${run.stderr}`).toMatchObject({
    exit: 0,
    result: { verb, outcome: 'done' },
  });
  return run;
}

describe('an LSB script', { timeout: 120_000 }, () => {
  /** What a script was asked for, in its order. */
  const asked = (rig: Rig): string[] => rig.read('work', 'asked-green').split('\n').filter(Boolean);
  const logged = (change = (script: string): string => script): Managed =>
    byInit((script, slot) =>
      change(script).replace('case "$1"', `echo "$1" >> "\${0%/*}/work/asked-${slot}"\ncase "$1"`),
    );

  it('starts and stops by the proof, once each; what else a pool is told its master hears from us', async () => {
    await onRig(logged(), async (rig) => {
      expect(stepsOf(await done(rig, 'start'))).toEqual(['start', 'probe']);
      expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({
        exit: 0,
        result: { outcome: 'unchanged' },
      });
      const before = rig.sandbox.poolMaster('green');
      const first = await slow(rig, 'green', 1_000);
      await done(rig, 'reload');
      expect(await first.answer).toBe('200');
      expect(rig.sandbox.poolMaster('green')).not.toBe(before);
      await done(rig, 'reopen-logs');

      const second = await slow(rig, 'green', 1_500);
      const restarted = await done(rig, 'restart');
      expect(restarted.result).toMatchObject({ drain: { cut: 0 } });
      expect(stepsOf(restarted)).toEqual(['drain', 'retire', 'stop', 'start', 'probe']);
      expect(await second.answer).toBe('200');
      await done(rig, 'stop');
      expect(rig.isListening('green')).toBe(false);
      expect(asked(rig)).toEqual(['start', 'stop', 'start', 'stop']);
      expect(await rig.run(['pool', 'status', 'green'])).toMatchObject({ exit: 3 });
    });
  });

  it('is not asked by force-stop: TERM to the very processes', async () => {
    await onRig(logged(), async (rig) => {
      await done(rig, 'start');
      const { answer } = await slow(rig, 'green', 8_000);
      const run = await done(rig, 'force-stop');
      expect(warned(run)).toContain('cut');
      expect(run.events).toContainEqual(
        expect.objectContaining({ step: 'stop', note: { kind: 'signal', signal: 'SIGTERM' } }),
      );
      expect(await answer).not.toBe('200');
      expect(asked(rig)).toEqual(['start']);
    });
  });

  it('that does not stop its pool is followed by signals', async () => {
    const lazy = logged((script) => script.replace('kill -QUIT "$pid"', 'exit 0'));
    await onRig(
      lazy,
      async (rig) => {
        await done(rig, 'start');
        const run = await done(rig, 'stop');
        expect(warned(run)).toEqual(['stop-escalates']);
        expect(asked(rig)).toEqual(['start', 'stop']);
        expect(existsSync(rig.sandbox.site().pidfile.green)).toBe(false);
      },
      SHORT_STOP,
    );
  });
});

describe.for([
  ['fcgiwraps that spawn-fcgi leaves behind', spawnFcgi()],
  ['a server that stays in the foreground with its children', prefork()],
  ['a server whose command is a shell that waits for it', keptByShell()],
] as const)('of %s', { timeout: 120_000 }, ([, managed]) => {
  it.skipIf(lacks(managed))('start, restart and stop cut nothing', async () => {
    await onRig(managed, async (rig) => {
      expect(stepsOf(await done(rig, 'start'))).toEqual(['start', 'probe']);
      expect(await rig.run(['pool', 'start', 'green'])).toMatchObject({
        exit: 0,
        result: { outcome: 'unchanged' },
      });
      expect(await rig.run(['pool', 'status', 'green'])).toMatchObject({
        exit: 0,
        result: { pools: [{ state: 'running' }] },
      });
      for (const verb of ['restart', 'stop']) {
        const before = socketsOf(rig, 'green').listeners;
        const { answer } = await slow(rig, 'green', 1_500);
        const run = await done(rig, verb);
        expect(run.result).toMatchObject({ drain: { accepted: 1, cut: 0 } });
        expect(warned(run)).toEqual([]);
        expect(await answer).toBe('200');
        expect(socketsOf(rig, 'green').listeners).not.toEqual(before);
      }
      expect(await rig.run(['pool', 'status', 'green'])).toMatchObject({ exit: 3 });
      expect(await rig.run(['pool', 'try-restart', 'green'])).toMatchObject({
        exit: 0,
        result: { outcome: 'unchanged' },
      });
    });
  });

  it.skipIf(lacks(managed))('what it does not know is refused, and the pool goes on', async () => {
    await onRig(
      managed,
      async (rig) => {
        const before = socketsOf(rig, 'blue').listeners;
        for (const verb of ['reload', 'reopen-logs']) {
          for (const slot of ['blue', 'green']) {
            expect(await rig.run(['pool', verb, slot])).toMatchObject({
              exit: 1,
              result: { outcome: 'refused', failure: { reason: 'pool-unable' } },
            });
          }
        }
        expect(await rig.run(['pool', 'stop', 'blue'])).toMatchObject({
          exit: 2,
          result: { failure: { reason: 'answer-needed' } },
        });
        expect(socketsOf(rig, 'blue').listeners).toEqual(before);
        expect(await rig.answering()).toBe('blue');

        await done(rig, 'start');
        const { answer } = await slow(rig, 'green', 8_000);
        const forced = await done(rig, 'force-stop');
        expect(warned(forced)).toContain('cut');
        expect(rig.isListening('green')).toBe(false);
        // libfcgi would end its request after a TERM: KILL comes in time
        expect(await answer).not.toBe('200');
      },
      SHORT_STOP,
    );
  });
});
