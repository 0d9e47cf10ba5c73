/**
 * node keep-compiled.cjs LAUNCHER COMMANDS: runs command lines (JSON, arrays of words) one after the other in this process, and
 * keeps what V8 has compiled by then of the launcher's files, the functions that were called included, where
 * and as it looks for it. Ends with the status of the first command that fails.
 */
const { closeSync, fsyncSync, openSync, renameSync, writeSync } = require('node:fs');
const { dirname } = require('node:path');
const vm = require('node:vm');
const { crc32 } = require('node:zlib');

const [, , launcher, given] = process.argv;
const commands = JSON.parse(given);

/** By text: each is compiled once, however often it is run. */
const scripts = new Map();
const { Script } = vm;
vm.Script = function (text, { filename }) {
  if (!scripts.has(text)) scripts.set(text, new Script(text, { filename }));
  return scripts.get(text);
};

// nothing is left to do: the one before has ended
process.on('beforeExit', () => {
  if (process.exitCode) return;
  const words = commands.shift();
  if (words === undefined) return keep();
  process.argv = [process.execPath, launcher, ...words];
  delete require.cache[launcher];
  // a command may need no turn of the loop, after which nobody would come back here
  setImmediate(() => require(launcher));
});

function keep() {
  const node = crc32(JSON.stringify([process.versions, process.config]));
  for (const [text, script] of scripts) {
    const compiled = script.createCachedData();
    const kept = Buffer.concat([Buffer.alloc(8), compiled]);
    kept.writeUInt32LE(crc32(compiled, node));
    const path = `${dirname(launcher)}/${text.slice(2, 18)}-${process.version}-${process.arch}.compiled`;
    const fresh = `${path}.${process.pid}`;
    const fd = openSync(fresh, 'w');
    writeSync(fd, kept);
    fsyncSync(fd);
    closeSync(fd);
    renameSync(fresh, path);
  }
}
