/**
 * Loaded before swap-pool (node --require): after RIG_RECORDS records of its journal the disk takes no
 * more of it. The records are what it gives to fdatasync one at a time.
 */
const fs = require('node:fs');

const last = Number(process.env.RIG_RECORDS);
const { fdatasyncSync } = fs;
let records = 0;

fs.fdatasyncSync = (...args) => {
  records += 1;
  if (records > last) throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' });
  return fdatasyncSync(...args);
};
