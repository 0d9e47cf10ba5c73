/**
 * Loaded before swap-pool (node --require): its wall clock is RIG_CLOCK ms off, ahead or behind; `N` with a `~`
 * before it: ahead and behind in turns, from record to record of its journal. Only this process's clock: files and
 * other processes keep the real one.
 */
const fs = require('node:fs');

const [, turns, number] = /^(~?)(-?\d+)$/.exec(process.env.RIG_CLOCK ?? '0');
const RealDate = Date;
const { now } = Date;
let offset = Number(number);

globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(now() + offset);
    else super(...args);
  }
  static now() {
    return now() + offset;
  }
};
if (turns !== '') {
  const { fdatasyncSync } = fs;
  fs.fdatasyncSync = (...args) => {
    offset = -offset;
    return fdatasyncSync(...args);
  };
}
