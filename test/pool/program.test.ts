/** Whose a session is, by its number alone: a procfs of the test's own tells of numbers that were used again. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownSession } from '../../src/pool/program.js';
import type { Procfs } from '../../src/system/proc.js';

const LEADER = 4000;

describe('the session of a program', () => {
  let fs: Procfs;
  beforeEach(() => {
    fs = { root: mkdtempSync(join(tmpdir(), 'swap-pool-proc-')), bootId: 'a' };
  });
  afterEach(() => {
    rmSync(fs.root, { recursive: true });
  });

  /** Somebody who is in the session of that number. */
  const born = (pid: number, start: number, session = LEADER): void => {
    mkdirSync(join(fs.root, String(pid)), { recursive: true });
    const rest = Array.from({ length: 15 }, () => '0').join(' ');
    writeFileSync(
      join(fs.root, String(pid), 'stat'),
      `${pid} (sh) S 1 ${session} ${session} ${rest} ${start} 0 0`,
    );
  };
  const died = (pid: number): void => {
    rmSync(join(fs.root, String(pid)), { recursive: true });
  };
  const members = (session: ReturnType<typeof ownSession>): number[] =>
    session.members().map(({ pid }) => pid);

  it('is-everyones-who-is-in-it-while-its-leader-is-not-reaped', () => {
    born(LEADER, 100);
    born(4001, 101);
    born(4002, 101, 77);
    expect(members(ownSession(fs, LEADER))).toEqual([LEADER, 4001]);
  });

  it('is-nobodys-once-all-of-it-have-gone-and-its-number-is-used-again', () => {
    born(LEADER, 100);
    const session = ownSession(fs, LEADER);
    died(LEADER);
    session.leaderEnded(true);
    expect(members(session)).toEqual([]);
    born(LEADER, 900);
    born(4005, 901);
    expect(members(session)).toEqual([]);
  });

  it('is-the-same-as-long-as-somebody-is-left-in-it-and-no-longer', () => {
    born(LEADER, 100);
    born(4001, 101);
    const session = ownSession(fs, LEADER);
    died(LEADER);
    session.leaderEnded(true);
    born(4003, 200);
    expect(members(session)).toEqual([4001, 4003]);
    died(4001);
    born(4004, 300);
    expect(members(session)).toEqual([4003, 4004]);
    died(4003);
    died(4004);
    // the same pids, other processes
    born(4003, 800);
    born(4004, 800);
    expect(members(session)).toEqual([]);
  });

  it('is-not-looked-at-where-a-program-leaves-nobody', () => {
    const session = ownSession(fs, LEADER);
    session.leaderEnded(false);
    born(LEADER, 900);
    expect(members(session)).toEqual([]);
    expect(members(ownSession(fs, null))).toEqual([]);
  });
});
