/**
 * Loaded before swap-pool (node --require): writes into the file METER, at its end, what the process has used:
 * CPU and memory, what it waited for the disk, and how often it looked at the kernel's table of unix sockets.
 */
const fs = require('node:fs');

const { openSync } = fs;
const seen = { fsyncs: 0, fsyncMs: 0, looks: 0 };

for (const name of ['fsyncSync', 'fdatasyncSync']) {
  const original = fs[name];
  fs[name] = (...args) => {
    const began = performance.now();
    try {
      return original(...args);
    } finally {
      seen.fsyncs += 1;
      seen.fsyncMs += performance.now() - began;
    }
  };
}
fs.openSync = (path, ...rest) => {
  if (String(path).endsWith('/net/unix')) seen.looks += 1;
  return openSync(path, ...rest);
};

process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  const used = { ...seen, cpuMs: (user + system) / 1000, rss: process.resourceUsage().maxRSS * 1024 };
  fs.writeFileSync(process.env.METER, JSON.stringify(used));
});
