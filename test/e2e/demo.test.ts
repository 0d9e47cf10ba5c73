/** The demo as its users run it: the bundle, from its command line to what is left of it. */
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { residents } from '../../src/demo/residents.js';
import type { DemoReport } from '../../src/event.js';
import { procfs, signalProcess } from '../../src/system/proc.js';
import { Command, type Line, type Run } from '../support/command.js';

const fs = procfs();

/** Its TMPDIR: everybody can walk through it, and a socket's path has room below it. */
let folder: string;
let demo: Command;
beforeEach(() => {
  folder = mkdtempSync(join('/tmp', 'demo-'));
  chmodSync(folder, 0o755);
  demo = new Command(['demo'], { env: { TMPDIR: folder } });
});
afterEach(() => {
  for (const { id } of residents(fs, folder)) signalProcess(fs, id, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** What is left of the demo: files, and processes that have to do with them. */
const left = (): unknown => ({
  files: readdirSync(folder),
  processes: residents(fs, folder).map(({ command }) => command),
});
const NOTHING = { files: [], processes: [] };

/** The deploy that replaces blue has come to a step of it. */
const reached = (step: string, slot: string): Promise<Line> =>
  demo.until((line) => line.type === 'step-started' && line['step'] === step && line['slot'] === slot);

const swaps = (run: Run): unknown[] =>
  run.events
    .filter(({ type }) => type === 'plan')
    .map(({ plan }) => plan as { switch: string; from: string | null; to: string })
    .map(({ switch: by, from, to }) => `${by}: ${from ?? 'nobody'} -> ${to}`);

const notes = (run: Run, of: string): unknown[] =>
  run.events.filter(({ type, step }) => type === 'step-done' && step === of).map(({ note }) => note);

describe('the demo', () => {
  it('deploys both ways with both switches under load, cuts nothing and leaves nothing', async () => {
    await reached('drain', 'blue');
    // so that what is to be gone at its end can be seen here
    expect(readdirSync(folder)).toEqual([expect.stringMatching(/^swap-pool-/)]);
    const seen = residents(fs, folder).map(({ command }) => command);
    expect(seen).toContainEqual(expect.stringMatching(/^nginx: master process/));
    expect(seen).toContainEqual(expect.stringMatching(/^php-fpm: master process/));

    const run = await demo.end;
    expect(left()).toEqual(NOTHING);
    expect(run, run.stderr).toMatchObject({
      exit: 0,
      result: { command: 'demo', app: null, outcome: 'done', exit: 0 },
    });
    expect(run.stdout.trim().split('\n').at(-1)).toBe(JSON.stringify(run.result));
    expect(run.events.filter(({ type }) => type === 'result' || type === 'failure')).toHaveLength(1);
    expect(swaps(run)).toEqual(
      ['rewrite', 'symlink'].flatMap((by) => [
        `${by}: nobody -> blue`,
        `${by}: blue -> green`,
        `${by}: green -> blue`,
      ]),
    );
    // each new pool has seen our request itself, each old one went by itself
    expect(notes(run, 'verify')).toEqual(Array(4).fill({ kind: 'seen', by: 'nonce' }));
    expect(notes(run, 'stop')).toEqual(Array(4).fill({ kind: 'signal', signal: 'SIGQUIT' }));

    const report = run.result['demo'] as DemoReport;
    expect(report.rows.map(({ switch: by, from, to }) => `${by}: ${from} -> ${to}`)).toEqual(
      swaps(run).filter((swap) => !String(swap).includes('nobody')),
    );
    expect(report.cut).toBe(0);
    expect(report.classes.map(({ name }) => name)).toEqual(['fast', 'idle-keep-alive', 'slow', 'upload']);
    for (const { name, requests, cut } of report.classes) {
      expect(requests, name).toBeGreaterThan(0);
      expect(cut, name).toBe(0);
    }
  });

  it.each([
    ['switch', 'green', 'kill'],
    ['drain', 'blue', 'killGroup'],
  ] as const)('that is interrupted at a %s of %s by %s ends, and leaves nothing', async (step, slot, how) => {
    await reached(step, slot);
    expect(readdirSync(folder)).toHaveLength(1);
    demo[how]('SIGINT');
    const run = await demo.end;
    expect(left()).toEqual(NOTHING);
    expect(run, run.stderr).toMatchObject({
      exit: 130,
      result: { command: 'demo', outcome: 'interrupted', exit: 130, failure: { reason: 'interrupted' } },
    });
    expect(run.result['demo']).toBeUndefined();
  });
});
