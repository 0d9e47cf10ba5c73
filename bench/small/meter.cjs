/**
 * Loaded before swap-pool (node --require): writes into the file METER, at its end, what the process has used:
 * CPU and memory, what it waited for the disk, and how many waits it began: one before each look.
 */
const fs = require('node:fs');

const seen = { fsyncs: 0, fsyncMs: 0, waits: 0 };

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
const { setTimeout } = globalThis;
globalThis.setTimeout = (...args) => {
  seen.waits += 1;
  return setTimeout(...args);
};

process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  const used = { ...seen, cpuMs: (user + system) / 1000, rss: process.resourceUsage().maxRSS * 1024 };
  fs.writeFileSync(process.env.METER, JSON.stringify(used));
});
