/** A disk that loses records of the journal: one, and then the deploy that it was of dies; or all that come. */
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROGRAM } from '../support/command.js';
import { expectClean, expectNoCut, nameOf, numberOf, reasonOf, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const on = (by: 'symlink' | 'rewrite'): RigOptions => ({ switch: by, site: { workers: 8 } });

/** A deploy whose start's evidence gets lost, and that dies after the record so many. */
async function deadWithoutEvidence(rig: Rig, record: number, takes: number): Promise<void> {
  const program = [
    process.execPath,
    ...['lose-record', 'die-at'].flatMap((name) => ['--require', resolve(`test/support/${name}.cjs`)]),
    PROGRAM,
  ];
  const env = {
    RIG_LOSE: '"type":"evidence","time":',
    RIG_TAKES: String(takes),
    RIG_DIE: `written:${String(record)}`,
  };
  const run = await rig.deploy([], { program, env });
  expect(run.signal, run.stderr).toBe('SIGKILL');
  expect(run.events.map(({ warning }) => reasonOf(warning))).toContain('journal-write-failed');
}

describe.each(['symlink', 'rewrite'] as const)('a deploy of whose start no record is left: %s', (by) => {
  it.each([
    ['evidence switch', 6],
    ['intent verify', 7],
  ] as const)('goes on with the pool that is there when it died at %s', async (name, record) => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      await deadWithoutEvidence(rig, record, 0);
      expect(rig.journals().at(-1)?.records.map(nameOf).at(-1)).toBe(name);
      const run = await rig.run(['recover']);
      expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'green' } });
      await expectClean(rig, 'green');
      expectNoCut(rig, load);
    });
  });

  it('takes the pool down that did not prove itself, and no request is cut', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const load = await rig.load(TRAFFIC);
      await deadWithoutEvidence(rig, 7, 0);
      rig.breakVerify('green');
      expect((await rig.run(['recover'])).result).toMatchObject({ outcome: 'reverted', from: 'blue' });
      await expectClean(rig, 'blue');
      expectNoCut(rig, load);
      rig.breakVerify('green', false);
    });
  });
});

it.each([
  ['nothing', 0],
  ['more than the next one takes', 200],
] as const)(
  'a record of which %s reached the disk is none, and the next one takes its place',
  async (_, takes) => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      await deadWithoutEvidence(rig, 4, takes);
      expect(rig.journals().at(-1)?.records.map(nameOf)).toEqual([
        'opened',
        'intent start',
        'intent probe',
        'evidence probe',
      ]);
      expect((await rig.run(['recover'])).result).toMatchObject({ outcome: 'reverted', from: 'blue' });
      await expectClean(rig, 'blue');
    });
  },
);

it('a disk that fails past the pivot does not lead back to the pool that is being taken down', async () => {
  const site = { workers: 4, fpmGlobal: 'process_control_timeout = 1s', yaml: 'drain: { timeout: 500ms }' };
  await withRig({ switch: 'symlink', site }, async (rig) => {
    await rig.deployed();
    const held = await rig.occupy();
    const last = String(numberOf('intent verify'));
    const run = await rig.deploy([], preloaded('fail-disk', { RIG_RECORDS: last }));
    expect(run, run.stderr).toMatchObject({ exit: 5, result: { outcome: 'draining' } });
    expect(run.events.map(({ warning }) => reasonOf(warning))).toContain('journal-write-failed');
    expect(await rig.answering()).toBe('green');
    expect(await held.release()).toEqual([held.id]);
    expect(await rig.run(['recover', 'demo'])).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    await expectClean(rig, 'green');
  });
});
