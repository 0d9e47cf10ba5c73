/**
 * Loaded before swap-pool (node --require): from its Nth call on that changes a file, the disk says no.
 * RIG_FAIL is `CODE:N`, or `CODE:N:once` for that call alone. What fails is what fails on such a disk: a
 * full one takes no bytes and no names, but lets go of them; of a folder without permission files that are
 * open already go on. Its first failure is told on stderr: `failed: ` and what was asked.
 */
const fs = require('node:fs');

const [code, number, once] = (process.env.RIG_FAIL ?? '').split(':');
const { writeSync } = fs;
const MAKES = fs.constants.O_CREAT;
const WRITES = fs.constants.O_WRONLY | fs.constants.O_RDWR;
let calls = 0;
let failed = false;

const makes = (path, flags) => typeof flags === 'number' && (flags & MAKES) !== 0 && !fs.existsSync(path);
const always = () => true;
const never = () => false;
/** Which calls each fault meets. */
const FAILS = {
  ENOSPC: {
    openSync: makes,
    writeSync: always,
    fsyncSync: always,
    fdatasyncSync: always,
    renameSync: always,
    linkSync: always,
    symlinkSync: always,
    mkdirSync: always,
  },
  EIO: { default: always },
  EROFS: { default: always, fsyncSync: never, fdatasyncSync: never },
  EACCES: {
    default: always,
    writeSync: never,
    fsyncSync: never,
    fdatasyncSync: never,
    ftruncateSync: never,
    fchmodSync: never,
    fchownSync: never,
  },
};
const NAMES = [
  'openSync',
  'writeSync',
  'fsyncSync',
  'fdatasyncSync',
  'ftruncateSync',
  'fchmodSync',
  'fchownSync',
  'chmodSync',
  'renameSync',
  'linkSync',
  'symlinkSync',
  'unlinkSync',
  'mkdirSync',
];

for (const name of NAMES) {
  const act = fs[name];
  const meets = FAILS[code][name] ?? FAILS[code].default ?? never;
  fs[name] = (...args) => {
    const [first, flags] = args;
    const opens = name === 'openSync';
    // what is only read, what stands in no file system, and what is said to people
    if (opens && (typeof flags !== 'number' || (flags & (MAKES | WRITES)) === 0)) return act(...args);
    if (String(first).startsWith('/dev/') || (typeof first === 'number' && first <= 2)) return act(...args);
    if (!meets(...args)) return act(...args);
    calls += 1;
    if (calls < Number(number) || (once !== undefined && failed)) return act(...args);
    if (!failed)
      writeSync(2, `failed: ${name.replace('Sync', '')} ${typeof first === 'number' ? 'a file' : first}\n`);
    failed = true;
    throw Object.assign(new Error(`${code}: ${name}`), { code });
  };
}
