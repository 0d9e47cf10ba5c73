/**
 * Loaded before swap-pool (node --require): once N records of its journal are on the disk it gets signals.
 * RIG_SIGNALS is `N:SIGINT`, or more of them, with commas. It heeds them when it next waits for something.
 */
const fs = require('node:fs');

const [number, names] = (process.env.RIG_SIGNALS ?? '').split(':');
const { fdatasyncSync } = fs;
let records = 0;

fs.fdatasyncSync = (...args) => {
  const done = fdatasyncSync(...args);
  records += 1;
  if (records === Number(number)) for (const name of names.split(',')) process.kill(process.pid, name);
  return done;
};
