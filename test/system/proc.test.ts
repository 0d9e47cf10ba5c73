import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  identify,
  identityOf,
  isAlive,
  pidsByProgram,
  procfs,
  readStat,
  sameProcess,
  signalProcess,
  sinceWalk,
  startedAt,
} from '../../src/system/proc.js';
import { waitUntil } from '../../src/system/clock.js';
import { PATIENCE } from '../support/limits.js';

const real = procfs();
let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'swap-pool-proc-'));
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A procfs with files of the test's own. */
const invented = (files: Readonly<Record<string, string>>): { root: string; bootId: string } => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { root, bootId: 'this-boot' };
};

/** proc(5): pid (comm) state ppid … starttime is the 22nd field. */
const stat = (pid: number, comm: string, state: string, start: number): string =>
  `${pid} (${comm}) ${state} 7 ${Array.from({ length: 17 }, (_, at) => 100 + at).join(' ')} ${start} 0 0\n`;

/** A process of the test's own; it lives until its stdin is closed. */
async function living(): Promise<{ readonly pid: number; readonly end: () => Promise<unknown> }> {
  const child = spawn('cat', { stdio: ['pipe', 'pipe', 'ignore'] });
  // it has called exec once it answers
  child.stdin.write('x');
  await once(child.stdout, 'data');
  return {
    pid: child.pid ?? -1,
    end: () => {
      const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
      child.stdin.end();
      return gone ?? Promise.resolve();
    },
  };
}

describe('the stat of a process', () => {
  it.each(['php-fpm8.2', 'a b', ') S 1 (', '(((', ')))', 'x) Z 0', ''])('whose name is %j', (comm) => {
    const fs = invented({ '12/stat': stat(12, comm, 'S', 4711) });
    expect(readStat(fs, 12)).toEqual({ pid: 12, comm, state: 'S', ppid: 7, session: 101, start: 4711 });
  });

  it.each(['', 'no parentheses', '12 (never closed S 1', ') before ( S'])('that is %j is none', (text) => {
    expect(readStat(invented({ '12/stat': text }), 12)).toBeNull();
  });

  it('begins behind the first parenthesis, wherever that stands', () => {
    expect(readStat(invented({ '12/stat': '(a) S 7' }), 12)).toMatchObject({
      comm: 'a',
      state: 'S',
      ppid: 7,
    });
    expect(readStat(invented({ '13/stat': ')(' }), 13)).toBeNull();
  });

  it('of nobody is none', () => {
    expect(readStat(invented({}), 12)).toBeNull();
    expect(identify(invented({}), 12)).toBeNull();
  });

  it('any bytes are a stat or none, never a throw', () => {
    const fs = invented({ '12/stat': '' });
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[()SZ 0-9]*$/)), (text) => {
        writeFileSync(join(root, '12/stat'), text);
        const found = readStat(fs, 12);
        expect(found === null || found.pid === 12).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('is that of the kernel', () => {
    const found = readStat(real, process.pid);
    expect(found).toMatchObject({ pid: process.pid, ppid: process.ppid });
    expect(found?.start).toBeGreaterThan(0);
  });
});

describe('who a process is', () => {
  it.each([
    ['R', true],
    ['S', true],
    ['D', true],
    ['T', true],
    ['t', true],
    ['I', true],
    ['Z', false],
    ['X', false],
    ['x', false],
  ])('in state %s it lives: %s', (state, lives) => {
    const fs = invented({ '12/stat': stat(12, 'php-fpm', state, 99) });
    const id = { boot: 'this-boot', pid: 12, start: 99 };
    expect(identify(fs, 12)).toEqual(lives ? id : null);
    expect(identityOf(fs, { pid: 12, comm: '', state, ppid: 1, session: 1, start: 99 })).toEqual(
      lives ? id : null,
    );
    expect(isAlive(fs, id)).toBe(lives);
  });

  it('another start time, another pid, another boot: another process', () => {
    const fs = invented({
      '12/stat': stat(12, 'php-fpm', 'S', 99),
      '13/stat': stat(13, 'php-fpm', 'S', 99),
    });
    const id = { boot: 'this-boot', pid: 12, start: 99 };
    expect(isAlive(fs, id)).toBe(true);
    for (const other of [
      { ...id, start: 98 },
      { ...id, pid: 14 },
      { ...id, boot: 'the last boot' },
    ]) {
      expect(isAlive(fs, other)).toBe(false);
      expect(sameProcess(id, other)).toBe(false);
      expect(sameProcess(other, id)).toBe(false);
    }
    expect(sameProcess(id, { ...id, pid: 13 })).toBe(false);
    expect(sameProcess(id, { ...id })).toBe(true);
  });

  it('the boot is the one that the kernel names', () => {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    expect(identify(real, process.pid)).toMatchObject({ boot, pid: process.pid });
    expect(procfs()).toMatchObject({ root: '/proc', bootId: boot });
    const fs = invented({ 'sys/kernel/random/boot_id': 'another\n' });
    expect(procfs(fs.root)).toMatchObject({ root: fs.root, bootId: 'another' });
    expect(() => procfs(join(root, 'none'))).toThrow();
  });

  it('it started when the kernel says that it did', async () => {
    const fs = invented({ stat: 'cpu 1 2 3\nbtime 1700000000\nprocesses 5\n' });
    expect(startedAt(fs, { boot: 'this-boot', pid: 12, start: 250 })).toBe(1_700_000_002_500);
    expect(startedAt(invented({ stat: 'cpu 1\nxbtime 5\n' }), { boot: '', pid: 1, start: 100 })).toBe(1000);
    const child = await living();
    try {
      const id = identify(real, child.pid);
      expect(id).not.toBeNull();
      // btime has a resolution of a second, and is computed anew when the clock is set
      if (id !== null) expect(Math.abs(startedAt(real, id) - Date.now())).toBeLessThan(PATIENCE);
    } finally {
      await child.end();
    }
  });
});

describe('a signal', () => {
  const gone = (pid: number): Promise<unknown> =>
    waitUntil(() => (readStat(real, pid) === null ? true : undefined), { deadline: PATIENCE });

  it('reaches the very process, and says so', async () => {
    const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] });
    const ended = once(child, 'exit');
    const id = identify(real, child.pid ?? -1);
    expect(id).not.toBeNull();
    if (id === null) return;
    expect(signalProcess(real, id, 'SIGTERM')).toBe(true);
    expect(await ended).toEqual([null, 'SIGTERM']);
    await gone(id.pid);
    expect(signalProcess(real, id, 'SIGTERM')).toBe(false);
  });

  it('is not sent to another life with the pid, nor to one of another boot', async () => {
    const child = await living();
    const id = identify(real, child.pid);
    try {
      expect(id).not.toBeNull();
      if (id === null) return;
      expect(signalProcess(real, { ...id, start: id.start - 1 }, 'SIGKILL')).toBe(false);
      expect(signalProcess(real, { ...id, boot: 'the last' }, 'SIGKILL')).toBe(false);
      expect(isAlive(real, id)).toBe(true);
    } finally {
      await child.end();
    }
  });

  it('is sent to no group, not to everybody and not to pid 1, whatever a file says that they are', () => {
    // 0: our own group; -1: everybody; 1: init. Each of them looks alive here, and as 0 the signal only asks
    const seen: unknown[] = [];
    const kill = process.kill.bind(process);
    process.kill = (...args) => {
      seen.push(args);
      return true;
    };
    try {
      for (const pid of [-1, 0, 1]) {
        const fs = invented({ [`${pid}/stat`]: stat(pid, 'init', 'S', 99) });
        expect(isAlive(fs, { boot: 'this-boot', pid, start: 99 })).toBe(true);
        expect(signalProcess(fs, { boot: 'this-boot', pid, start: 99 }, 'SIGTERM')).toBe(false);
      }
      expect(seen).toEqual([]);
      const fs = invented({ '2/stat': stat(2, 'x', 'S', 99) });
      expect(signalProcess(fs, { boot: 'this-boot', pid: 2, start: 99 }, 'SIGTERM')).toBe(true);
      expect(seen).toEqual([[2, 'SIGTERM']]);
    } finally {
      process.kill = kill;
    }
  });

  it('to one that ends between the look and the signal is no failure; one that may not be sent is a throw', () => {
    const fs = invented({ '12/stat': stat(12, 'x', 'S', 99) });
    const kill = process.kill.bind(process);
    const refusing = (code: string) => () => {
      throw Object.assign(new Error(code), { code });
    };
    try {
      process.kill = refusing('ESRCH');
      expect(signalProcess(fs, { boot: 'this-boot', pid: 12, start: 99 }, 'SIGTERM')).toBe(false);
      process.kill = refusing('EPERM');
      expect(() => signalProcess(fs, { boot: 'this-boot', pid: 12, start: 99 }, 'SIGTERM')).toThrow('EPERM');
    } finally {
      process.kill = kill;
    }
  });
});

describe('a walk by the name of the program', () => {
  const isCat = (name: string): boolean => name === 'cat';

  it('finds who runs it', async () => {
    const { pid, end } = await living();
    expect(pidsByProgram(real, isCat)).toContain(pid);
    await end();
    expect(pidsByProgram(real, isCat)).not.toContain(pid);
  });

  // a thread cannot become somebody else
  it.runIf(process.geteuid?.() === 0 && isMainThread)(
    'finds them for somebody, too, who may not read whose program it is',
    async () => {
      const { pid, end } = await living();
      process.seteuid?.(65534);
      try {
        expect(pidsByProgram(real, isCat)).toContain(pid);
      } finally {
        process.seteuid?.(0);
        await end();
      }
    },
  );

  it('passes over who has no program, as a thread of the kernel and what is not a process', () => {
    mkdirSync(join(root, '10'));
    symlinkSync('/usr/bin/cat', join(root, '10/exe'));
    expect(pidsByProgram(invented({ '7/comm': 'cat\n', 'self/comm': 'cat\n' }), isCat)).toEqual([10]);
  });

  it('takes who was there a moment ago for what it was then, if that is asked for, and looks at who has come', () => {
    invented({ 'sys/kernel/random/boot_id': 'this-boot' });
    const fs = procfs(root);
    const runs = (pid: number, program: string): void => {
      mkdirSync(join(root, String(pid)), { recursive: true });
      rmSync(join(root, String(pid), 'exe'), { force: true });
      symlinkSync(program, join(root, String(pid), 'exe'));
    };
    runs(11, '/bin/sh');
    runs(12, '/usr/bin/cat');
    // nobody has walked yet
    expect(pidsByProgram(sinceWalk(fs, 10_000), isCat)).toEqual([12]);
    runs(11, '/usr/bin/cat');
    runs(13, '/usr/bin/cat');
    expect(pidsByProgram(sinceWalk(fs, 10_000), isCat)).toEqual([12, 13]);
    // which was no walk through all of them
    expect(pidsByProgram(sinceWalk(fs, 10_000), isCat)).toEqual([12, 13]);
    expect(pidsByProgram(fs, isCat)).toEqual([11, 12, 13]);
    expect(pidsByProgram(sinceWalk(fs, 10_000), isCat)).toEqual([11, 12, 13]);
  });

  it('knows a program that was deleted since by its name', () => {
    mkdirSync(join(root, '9'));
    symlinkSync('/usr/bin/cat (deleted)', join(root, '9/exe'));
    expect(pidsByProgram({ root, bootId: 'this-boot' }, isCat)).toEqual([9]);
  });
});
