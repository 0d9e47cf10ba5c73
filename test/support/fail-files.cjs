/**
 * Loaded before swap-pool (node --require): from its Nth call on that changes a file, the disk says no.
 * RIG_FAIL is `CODE:N`, or `CODE:N:once` for that call alone. With RIG_STEP calls are counted from the record
 * that announces this step to the one that ends it; with RIG_ONLY those of these names alone; with RIG_NOT not
 * those of files so named. What fails is what fails on such a disk: a full one takes no bytes and no names, but
 * lets go of them; of a folder without permission files that are open already go on. Its first failure is told on
 * stderr: `failed: `, what was asked, and of which file.
 */
const fs = require('node:fs');

const [code, number, once] = (process.env.RIG_FAIL ?? '').split(':');
const { RIG_STEP: step, RIG_ONLY: only, RIG_NOT: not } = process.env;
const { writeSync } = fs;
const MAKES = fs.constants.O_CREAT;
const WRITES = fs.constants.O_WRONLY | fs.constants.O_RDWR;
let calls = 0;
let failed = false;
/** What each open file was opened as. */
const paths = new Map();
/** Whether calls are counted: `last` is the one that makes the step's end durable. */
let counts = step === undefined ? 'yes' : 'no';

const open = (act, args) => {
  const fd = act(...args);
  paths.set(fd, args[0]);
  return fd;
};
const isRecord = (type, name, args) =>
  name === 'writeSync' &&
  [`"type":"${type}"`, `"step":"${step}","revert":false`].every((part) => String(args[1]).includes(part));
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
    if (opens && (typeof flags !== 'number' || (flags & (MAKES | WRITES)) === 0)) return open(act, args);
    if (String(first).startsWith('/dev/') || (typeof first === 'number' && first <= 2)) return act(...args);
    if (isRecord('intent', name, args)) counts = 'yes';
    if (isRecord('evidence', name, args)) counts = 'last';
    const of = String(paths.get(first) ?? first);
    const counted = counts !== 'no' && (not === undefined || !of.includes(not));
    if (counts === 'last' && name === 'fdatasyncSync') counts = 'no';
    const meant =
      meets(...args) && (counted || failed) && (only === undefined || only.split(',').includes(name));
    if (meant) calls += 1;
    if (!meant || calls < Number(number) || (once !== undefined && failed))
      return opens ? open(act, args) : act(...args);
    if (!failed) writeSync(2, `failed: ${name.replace('Sync', '')} ${of}\n`);
    failed = true;
    throw Object.assign(new Error(`${code}: ${name}`), { code });
  };
}
