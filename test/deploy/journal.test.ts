import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JournalStore } from '../../src/deploy/journal.js';
import type { Closed, Opened } from '../../src/deploy/state.js';
import type { PoolLife } from '../../src/drivers.js';

const time = '2026-01-01T00:00:00.000Z';
const closed: Closed = { type: 'closed', time, outcome: 'done', reason: null, ms: {}, cut: 0, proof: null };

let folder: string;
let store: JournalStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'swap-pool-journal-'));
  store = new JournalStore(join(folder, 'shop'));
  const claimed = store.claim(configFile());
  expect(claimed.ok).toBe(true);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function configFile(): string {
  const path = join(folder, 'shop.yaml');
  writeFileSync(path, 'pool: {config: x}\n');
  return path;
}

function opened(deploy = store.nextId()): Opened {
  return {
    type: 'opened',
    schema: 1,
    time,
    deploy,
    app: 'shop',
    command: 'deploy',
    who: 'root',
    runner: { boot: 'b', pid: 1, start: 1 },
    from: 'blue',
    to: 'green',
    switch: 'rewrite',
    steps: ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop'],
    leaving: null,
    arriving: null,
    supersedes: null,
    fingerprint: null,
    proof: null,
  };
}

function begin(): { path: string; id: string } {
  const record = opened();
  const journal = store.begin(record);
  if (!journal.ok) throw new Error(journal.failure.reason);
  journal.value.write({ type: 'intent', time, step: 'start', revert: false });
  journal.value.leave();
  return { path: journal.value.path, id: record.deploy };
}

describe('a journal', () => {
  test('has all its room on the disk before the first act, and gives back what it did not need', () => {
    const record = opened();
    const journal = store.begin(record);
    if (!journal.ok) throw new Error(journal.failure.reason);
    expect(statSync(journal.value.path).size).toBeGreaterThanOrEqual(64 * 1024);
    expect(statSync(journal.value.path).mode & 0o777).toBe(0o600);
    journal.value.write(closed);
    expect(statSync(journal.value.path).size).toBeLessThan(2000);
    const open = store.open();
    expect(open.ok && open.value).toEqual([]);
  });

  test('that was cut anywhere in its last record is read without it, and can be gone on with', () => {
    const { path, id } = begin();
    const text = readFileSync(path, 'utf8').replace(/\n+$/, '\n');
    const lines = text.split('\n').filter(Boolean);
    const last = lines.at(-1) ?? '';
    for (let cut = 1; cut < last.length; cut += 7) {
      writeFileSync(path, `${lines[0] ?? ''}\n${last.slice(0, cut)}${'\n'.repeat(50)}`);
      const entries = store.read(id);
      expect(entries.ok && entries.value.length).toBe(1);
      const resumed = store.resume(id);
      if (!resumed.ok) throw new Error(resumed.failure.reason);
      resumed.value.write({ type: 'intent', time, step: 'start', revert: true });
      resumed.value.leave();
      const again = store.read(id);
      expect(again.ok && again.value.length).toBe(2);
    }
  });

  test('that is broken in the middle is an error that names the line, never a guess', () => {
    const { path, id } = begin();
    const text = readFileSync(path, 'utf8').replace(/\n+$/, '\n');
    writeFileSync(path, `not a record\n${text}`);
    const entries = store.read(id);
    expect(entries).toMatchObject({ ok: false, failure: { reason: 'journal-unreadable', detail: /line 1/ } });
  });

  test('whose first record never got through is as if it had never been', () => {
    const { path } = begin();
    // the room was there, and three bytes of the record in it
    writeFileSync(path, `{"t${'\n'.repeat(64 * 1024 - 3)}`);
    // who only looks leaves it: somebody may be about to write that record
    expect(store.open()).toEqual({ ok: true, value: [] });
    expect(store.ids()).toHaveLength(1);
    expect(store.open({ locked: true })).toEqual({ ok: true, value: [] });
    expect(store.ids()).toEqual([]);
  });

  test('of two hundred: who looks reads those that nobody finished, and back to the last finished one', () => {
    const finish = (): string => {
      const record = opened();
      const journal = store.begin(record);
      if (!journal.ok) throw new Error(journal.failure.reason);
      journal.value.write(closed);
      return journal.value.path;
    };
    const older = begin();
    // what is older than the last finished one, and finished itself, is not even read
    writeFileSync(finish(), 'not a record\n');
    const { path: damaged } = begin();
    writeFileSync(damaged, `not a record\n${readFileSync(damaged, 'utf8')}`);
    finish();
    const newest = begin();
    const ids = (states: readonly { readonly opened: Opened }[]): string[] =>
      states.map(({ opened: { deploy } }) => deploy);
    const { past, open, damaged: broken } = store.recent();
    expect(ids(past)).toEqual([newest.id, store.ids().at(-2)]);
    expect(open?.opened.deploy).toBe(newest.id);
    expect(broken.map(({ path }) => path)).toEqual([damaged]);
    rmSync(newest.path);
    expect(store.recent().open?.opened.deploy).toBe(older.id);
    // a deploy goes by all of them, and by none where one cannot be read
    expect(store.open().ok).toBe(false);
  });

  test('is numbered: a clock that was set back does not reorder history', () => {
    begin();
    begin();
    const ids = store.ids();
    expect(ids.map((id) => Number.parseInt(id, 10))).toEqual([1, 2]);
    expect(Number.parseInt(store.nextId(), 10)).toBe(3);
  });

  test('of another configuration file is refused', () => {
    const other = join(folder, 'other.yaml');
    writeFileSync(other, '');
    expect(store.claim(other)).toMatchObject({ ok: false, failure: { reason: 'state-of-another-config' } });
    expect(store.inspect(other)).toMatchObject({ ok: false, failure: { reason: 'state-of-another-config' } });
  });

  test('whose owner was lost by a power cut belongs to who comes first', () => {
    writeFileSync(join(folder, 'shop', 'owner'), '');
    expect(store.inspect(configFile())).toMatchObject({ ok: true });
    expect(store.claim(configFile())).toMatchObject({ ok: true });
    expect(readFileSync(join(folder, 'shop', 'owner'), 'utf8')).toBe(`${configFile()}\n`);
  });

  test('of pools with thousands of workers has its room, too', () => {
    const workers = Array.from({ length: 2000 }, (_, pid) => ({
      boot: 'b'.repeat(36),
      pid,
      start: 1_000_000,
    }));
    const life = { master: null, workers };
    const journal = store.begin({ ...opened(), leaving: life });
    if (!journal.ok) throw new Error(journal.failure.reason);
    const before = statSync(journal.value.path).size;
    journal.value.write({ type: 'evidence', time, step: 'start', revert: false, ms: 1, life });
    expect(statSync(journal.value.path).size).toBe(before);
  });

  test('is not written through a link that somebody planted', () => {
    const record = opened();
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(folder, 'shop', 'deploys', `${record.deploy}.ndjson`));
    expect(store.begin(record)).toMatchObject({ ok: false, failure: { reason: 'state-unwritable' } });
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });

  test('tells what the very pool was started with, however many deploys have come since', () => {
    const life = (pid: number): PoolLife => ({ master: { boot: 'b', pid, start: 7 }, workers: [] });
    for (const pid of [10, 20, 30]) {
      const journal = store.begin({ ...opened(), fingerprint: `print ${String(pid)}` });
      if (!journal.ok) throw new Error(journal.failure.reason);
      // the last one takes back what the first one started
      const start = { type: 'evidence', time, step: 'start', revert: false, ms: 1, life: life(pid) } as const;
      journal.value.write(pid === 30 ? { ...start, step: 'probe' } : start);
      journal.value.write(closed);
    }
    expect(store.startedWith({ boot: 'b', pid: 10, start: 7 })).toBe('print 10');
    expect(store.startedWith({ boot: 'b', pid: 20, start: 7 })).toBe('print 20');
    expect(store.startedWith({ boot: 'b', pid: 30, start: 7 })).toBeNull();
    // another life that was given the same pid, and the same pid after a reboot
    expect(store.startedWith({ boot: 'b', pid: 10, start: 8 })).toBeNull();
    expect(store.startedWith({ boot: 'c', pid: 10, start: 7 })).toBeNull();
  });

  test('history keeps the last 200, and open ones always', () => {
    const { id } = begin();
    for (let n = 0; n < 205; n += 1) {
      const journal = store.begin(opened());
      if (!journal.ok) throw new Error(journal.failure.reason);
      journal.value.write(closed);
    }
    store.prune();
    const ids = store.ids();
    expect(ids).toHaveLength(201);
    expect(ids[0]).toBe(id);
  });
});
