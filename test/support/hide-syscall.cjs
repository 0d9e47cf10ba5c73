/** Loaded before swap-pool (node --require): no /proc/PID/syscall may be read, as yama has it for others' processes. */
const fs = require('node:fs');

const { openSync } = fs;
fs.openSync = (path, ...args) => {
  if (/^\/proc\/.*\/syscall$/.test(String(path)))
    throw Object.assign(new Error(`EPERM: ${path}`), { code: 'EPERM' });
  return openSync(path, ...args);
};
