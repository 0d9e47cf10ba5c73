/**
 * Loaded before swap-pool (node --require): its temporary files all get one name, as if somebody had guessed it, and
 * right before one is made a link to RIG_VICTIM stands there, when nobody sweeps any more.
 */
const crypto = require('node:crypto');
const fs = require('node:fs');

const GUESSED = '0123456789ab';
const { randomBytes } = crypto;
const { openSync, symlinkSync } = fs;

crypto.randomBytes = (size, ...rest) =>
  size === GUESSED.length / 2 ? Buffer.from(GUESSED, 'hex') : randomBytes(size, ...rest);

const plant = (path) => {
  if (!String(path).endsWith(`.swap-pool-${GUESSED}`) || fs.existsSync(path)) return;
  symlinkSync(process.env.RIG_VICTIM, path);
  fs.writeSync(2, `planted: ${path}\n`);
};
fs.openSync = (path, ...rest) => {
  plant(path);
  return openSync(path, ...rest);
};
fs.symlinkSync = (target, path, ...rest) => {
  plant(path);
  return symlinkSync(target, path, ...rest);
};
