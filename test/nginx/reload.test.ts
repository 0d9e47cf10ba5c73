import { appendFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProcessId } from '../../src/event.js';
import { areOneBatch, generationsOf } from '../../src/nginx/generations.js';
import { logSince, logSize, reload, waitIdle } from '../../src/nginx/reload.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { blocked, identify, isAlive, procfs } from '../../src/system/proc.js';
import { PATIENCE } from '../support/limits.js';
import { withoutSyscall } from '../support/no-syscall.js';
import { Rig } from './rig.js';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(async () => {
  await rig.end();
});

const fs = procfs();
const idOf = (pid: number): ProcessId => {
  const id = identify(fs, pid);
  if (id === null) throw new Error(`${String(pid)} is gone`);
  return id;
};
const of = (master: ProcessId, timeout = PATIENCE) => ({ fs, master, expected: 2, errorLog: null, timeout });

describe('a reload', () => {
  it('is proven by workers that are all new, with those of before among the older or gone', async () => {
    const master = idOf(rig.start(rig.conf(rig.server('return 200 x;'))));
    const before = readWorkers(fs, master).serving;
    const done = await reload(of(master));
    if (!done.ok) throw new Error(done.failure.reason);
    expect(done.value.workers).toHaveLength(2);
    for (const id of done.value.workers) expect(before).not.toContainEqual(id);
    for (const id of before)
      expect(!isAlive(fs, id) || done.value.older.some((each) => each.pid === id.pid)).toBe(true);
  });

  it('of a generation whose size is not known is proven too', async () => {
    const master = idOf(rig.start(rig.conf(rig.server('return 200 x;'))));
    const done = await reload({ ...of(master), expected: null });
    expect(done).toMatchObject({ ok: true, value: { workers: [{}, {}] } });
  });

  it('of a process that is gone, or that was replaced under its pid, signals nobody', async () => {
    const sleeper = idOf(rig.run('/bin/sleep', ['600']));
    const other = { ...sleeper, start: sleeper.start - 1 };
    expect(await reload(of(other))).toMatchObject({
      ok: false,
      failure: { reason: 'nginx-gone', pid: other.pid },
    });
    expect(isAlive(fs, sleeper)).toBe(true);
  });

  it('is told from rest by wchan, where /proc/PID/syscall may not be read', async () => {
    const master = idOf(rig.start(rig.conf(rig.server('return 200 x;'))));
    const other = idOf(rig.run('/bin/sleep', ['600']));
    await withoutSyscall([master.pid, other.pid], async (denied) => {
      expect(blocked(denied, master.pid)).toMatchObject({ kind: 'function' });
      expect(await waitIdle({ ...of(master), fs: denied })).toMatchObject({ ok: true });
      expect(await waitIdle({ ...of(other, 50), fs: denied })).toMatchObject({
        ok: false,
        failure: { reason: 'reload-unproven' },
      });
    });
  });

  it('a master that is not idle in time is unproven, and was not signalled', async () => {
    // sleep(1) waits elsewhere than a master does
    const busy = idOf(rig.run('/bin/sleep', ['600']));
    expect(await waitIdle(of(busy, 50))).toMatchObject({
      ok: false,
      failure: { reason: 'reload-unproven', ms: 50 },
    });
    expect(await reload(of(busy, 50))).toMatchObject({ ok: false, failure: { reason: 'reload-unproven' } });
    expect(isAlive(fs, busy)).toBe(true);
  });
});

describe('one batch', () => {
  const born = (start: number): ProcessId => ({ boot: 'b', pid: start, start });

  it.each([
    [[], true],
    [[100], true],
    [[100, 100, 101], true],
    [[100, 108], true],
    [[100, 109], false],
    [[100, 101, 111, 112], false],
    [[112, 100, 101, 111], false],
  ])('%j: %j', (starts, one) => {
    expect(areOneBatch(starts.map(born))).toBe(one);
  });

  it('generations are told apart, the youngest first, and none is lost', () => {
    const starts = (ids: readonly ProcessId[]): number[] => ids.map(({ start }) => start);
    expect(generationsOf([111, 100, 112, 101, 300].map(born)).map(starts)).toEqual([
      [300],
      [111, 112],
      [100, 101],
    ]);
    expect(generationsOf([])).toEqual([]);
  });

  it('two generations, 100 ms apart, are never one', () => {
    const forks = fc.array(fc.nat(3), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(forks, forks, fc.integer({ min: 9, max: 500 }), (first, second, gap) => {
        const end = 1000 + Math.max(...first);
        const starts = [...first.map((at) => 1000 + at), ...second.map((at) => end + gap + at)];
        expect(areOneBatch(starts.map(born))).toBe(false);
      }),
    );
  });
});

describe('the error log', () => {
  it('what the master itself complained of since is given, and nobody else’s lines', () => {
    const log = rig.write('e.log', 'old [emerg] 5#5: before\n');
    const size = logSize(log);
    const lines = ['t [error] 6#6: a request', 't [emerg] 5#5: bind() failed', 't [notice] 5#5: signal 1'];
    appendFileSync(log, `${lines.join('\n')}\n`);
    expect(logSince(log, size, 5)).toBe('t [emerg] 5#5: bind() failed');
    expect(logSince(log, size, 7)).toBe('');
    expect(logSince(log, size, null)).toBe('t [error] 6#6: a request\nt [emerg] 5#5: bind() failed');
    writeFileSync(log, 't [emerg] 5#5: rotated\n');
    expect(logSince(log, size + 100, 5)).toBe('t [emerg] 5#5: rotated');
    expect(logSince(rig.path('none'), 0, 5)).toBe('');
  });
});
