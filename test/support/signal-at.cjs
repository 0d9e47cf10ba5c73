/**
 * Loaded before swap-pool (node --require): once N records of its journal are on the disk it gets signals.
 * RIG_SIGNALS is `N:SIGINT`, or more of them, with commas; more such points, with semicolons. It heeds them when
 * it next waits for something, SIGSTOP at once.
 */
const fs = require('node:fs');

const points = new Map((process.env.RIG_SIGNALS ?? '').split(';').map((point) => point.split(':')));
const { fdatasyncSync } = fs;
let records = 0;

fs.fdatasyncSync = (...args) => {
  const done = fdatasyncSync(...args);
  records += 1;
  for (const name of points.get(String(records))?.split(',') ?? []) process.kill(process.pid, name);
  return done;
};
