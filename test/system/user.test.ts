import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { procfs } from '../../src/system/proc.js';
import { asUser, currentUser, nameOfUid, userByName, userOfProcess } from '../../src/system/user.js';

const root = process.geteuid?.() === 0;
const passwd = 'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/:\nalias:x:33:33::/:\n# note\n::7:\n';
const www = { uid: 33, gid: 33, groups: [33, 12345], name: 'www-data' };

let dir: string;
beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'swap-pool-user-'))));
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const whoAmI = (): unknown => [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];
const threads = (): string =>
  readFileSync('/proc/thread-self/status', 'utf8').replace(/[^]*?(Uid[^]*Groups.*)[^]*/, '$1');

describe.runIf(root)('as root', () => {
  it('inside the call the ids, effective ones alone, are the user’s, and afterwards ours again', () => {
    const before = [whoAmI(), threads()];
    const inside = asUser(www, () => [whoAmI(), process.getuid?.()]);
    expect(inside).toEqual([[33, 33, [33, 12345]], 0]);
    expect([whoAmI(), threads()]).toEqual(before);
  });

  it('a throw inside the call leaves the process unchanged', () => {
    const before = whoAmI();
    expect(() =>
      asUser(www, () => {
        throw new Error('inside');
      }),
    ).toThrow('inside');
    expect(whoAmI()).toEqual(before);
  });

  it('ids that are refused throw the refusal’s code and leave the process unchanged', () => {
    const before = whoAmI();
    const impossible = { ...www, uid: 0xffffffff };
    expect(() => asUser(impossible, () => 'never')).toThrow(
      expect.objectContaining({ code: 'ERR_UNKNOWN_CREDENTIAL' }),
    );
    expect(whoAmI()).toEqual(before);
  });

  it('root without the right to change groups is told so and stays root', () => {
    const { setgroups } = process;
    process.setgroups = () => {
      throw Object.assign(new Error('setgroups'), { code: 'EPERM' });
    };
    try {
      expect(() => asUser(www, () => 'never')).toThrow(expect.objectContaining({ code: 'EPERM' }));
      expect(process.geteuid?.()).toBe(0);
    } finally {
      if (setgroups) process.setgroups = setgroups;
    }
  });

  it('what cannot be undone throws without a code, so that nobody takes it for the user’s failure', () => {
    const { seteuid } = process;
    const groups = currentUser().groups;
    try {
      process.seteuid = (id) => {
        if (id === 0) throw Object.assign(new Error('EPERM'), { code: 'EPERM' });
      };
      const failing = (): unknown => asUser(www, () => 'done');
      expect(failing).toThrow(/become root again/);
      expect(failing).not.toThrow(expect.objectContaining({ code: expect.anything() as unknown }));
    } finally {
      if (seteuid) process.seteuid = seteuid;
      // The uid never left root here, so the rest could be put back by hand.
      process.setegid?.(0);
      process.setgroups?.(groups);
    }
  });

  it('a file of root’s cannot be read inside the call, and can be after it', () => {
    writeFileSync(join(dir, 'secret'), 'x', { mode: 0o600 });
    const look = (): string => readFileSync(join(dir, 'secret'), 'utf8');
    expect(() => asUser(www, look)).toThrow(expect.objectContaining({ code: 'EACCES' }));
    expect(look()).toBe('x');
  });

  it('the user of a process is its effective ids with all groups', async () => {
    const child = spawn('setpriv', ['--reuid=33', '--regid=33', '--groups=33,42', 'cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    try {
      // Its echo shows that setpriv has become cat.
      const echo = new Promise((resolve) => child.stdout.once('data', resolve));
      child.stdin.write('.');
      await echo;
      const file = join(dir, 'passwd');
      writeFileSync(file, passwd);
      expect(userOfProcess(procfs(), child.pid ?? 0, file)).toEqual({
        uid: 33,
        gid: 33,
        groups: [33, 42],
        name: 'www-data',
      });
    } finally {
      child.stdin.end();
      await ended;
    }
  });
});

it('nobody and root are run plainly', () => {
  const before = whoAmI();
  expect(asUser(null, whoAmI)).toEqual(before);
  expect(asUser({ uid: 0, gid: 0, groups: [1], name: 'root' }, whoAmI)).toEqual(before);
});

it('who is not root runs the call plainly', () => {
  const geteuid = process.geteuid;
  process.geteuid = () => 1000;
  try {
    expect(asUser(www, () => process.getegid?.())).toBe(process.getegid?.());
  } finally {
    if (geteuid) process.geteuid = geteuid;
  }
});

it('the user of a process under any proc root', () => {
  const fs = { root: dir, bootId: '' };
  mkdirSync(join(dir, '7'));
  writeFileSync(
    join(dir, '7', 'status'),
    'Name:\tUid: 9 9\nUmask:\t0022\nUid:\t0\t33\t0\t33\nGid:\t5\t6\t7\t8\nFDSize:\t64\nGroups:\t1 2 33 \n',
  );
  writeFileSync(join(dir, 'passwd'), passwd);
  expect(userOfProcess(fs, 7, join(dir, 'passwd'))).toEqual({
    uid: 33,
    gid: 6,
    groups: [1, 2, 33],
    name: 'www-data',
  });
  expect(userOfProcess(fs, 7, join(dir, 'none'))?.name).toBe('33');
  expect(userOfProcess(fs, 8)).toBeNull();
  mkdirSync(join(dir, '9'));
  writeFileSync(join(dir, '9', 'status'), 'Name:\tx\n');
  expect(userOfProcess(fs, 9)).toBeNull();
});

it('our own user has the ids the kernel shows for us', () => {
  expect(userOfProcess(procfs(), process.pid)).toEqual({
    ...currentUser(),
    uid: process.geteuid?.(),
    gid: process.getegid?.(),
  });
});

it('a uid has its first name, or its digits', () => {
  expect(nameOfUid(passwd, 33)).toBe('www-data');
  expect(nameOfUid(passwd, 0)).toBe('root');
  expect(nameOfUid(passwd, 7)).toBe('7');
  expect(nameOfUid('', 5)).toBe('5');
});

it('any text has a name for any uid, never a throw', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(), (text, uid) => {
      expect(nameOfUid(text, uid)).not.toBe('');
    }),
  );
});

it('a user by name has the first group that exists, and those that list it', () => {
  const files = { passwd: join(dir, 'passwd'), group: join(dir, 'group') };
  writeFileSync(files.passwd, passwd);
  writeFileSync(
    files.group,
    'www-data:x:33:\nnogroup:x:65534:\nssl:x:112:root,www-data\nnot:x:9:www-data2\n',
  );
  const found = (name: string, groups: string[]) => userByName(name, groups, files);
  expect(found('www-data', ['www-data'])).toEqual({ uid: 33, gid: 33, groups: [33, 112], name: 'www-data' });
  expect(found('alias', ['nobody', 'nogroup'])).toEqual({
    uid: 33,
    gid: 65534,
    groups: [65534],
    name: 'alias',
  });
  expect(found('nobody', ['nogroup'])).toBeNull();
  expect(found('alias', ['alias'])).toBeNull();
});
