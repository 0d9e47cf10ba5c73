/**
 * Loaded before swap-pool (node --require): ends it with SIGKILL at one exact point of its
 * journal. RIG_DIE is `written:N`, right after the Nth record is on the disk and before the act
 * that it announces, or `next:N`, right before record N+1 is written, when that act is done.
 * The journal's records are what swap-pool gives to fdatasync, one at a time.
 */
const fs = require('node:fs');

const [when, number] = (process.env.RIG_DIE ?? '').split(':');
const last = Number(number);
const { fdatasyncSync, writeSync } = fs;
let records = 0;
const die = () => process.kill(process.pid, 'SIGKILL');

fs.fdatasyncSync = (...args) => {
  const done = fdatasyncSync(...args);
  records += 1;
  if (when === 'written' && records === last) die();
  return done;
};
fs.writeSync = (...args) => {
  if (when === 'next' && records === last && /^\{"type":/.test(String(args[1]))) die();
  return writeSync(...args);
};
