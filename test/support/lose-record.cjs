/**
 * Loaded before swap-pool (node --require): of one record of its journal the disk takes the first
 * RIG_TAKES bytes, and then says EIO; every other record it takes. RIG_LOSE is the beginning of the
 * record, or what stands in it. To be loaded before die-at.cjs, which counts what reached the disk.
 */
const fs = require('node:fs');

const lost = process.env.RIG_LOSE;
const takes = Number(process.env.RIG_TAKES ?? '0');
const { writeSync } = fs;
let failing = false;

fs.writeSync = (fd, ...args) => {
  const text = Buffer.isBuffer(args[0]) ? args[0].toString() : String(args[0]);
  if (failing || !/^\{"type":/.test(text) || !text.includes(lost)) return writeSync(fd, ...args);
  failing = true;
  if (takes > 0) writeSync(fd, args[0], 0, takes, args[3]);
  throw Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' });
};
