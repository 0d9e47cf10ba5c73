/**
 * node keep-compiled.cjs LAUNCHER COMMANDS: runs command lines (JSON, arrays of words) one after the other in this process, and
 * keeps what V8 has compiled by then of the launcher's files, the functions that were called included, where
 * it looks for it. Ends with the status of the first command that fails.
 */
const { renameSync, writeFileSync } = require('node:fs');
const { dirname } = require('node:path');
const vm = require('node:vm');

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
  for (const [text, script] of scripts) {
    const kept = `${dirname(launcher)}/${text.slice(2, 18)}-${process.version}-${process.arch}.compiled`;
    writeFileSync(`${kept}.new`, script.createCachedData());
    renameSync(`${kept}.new`, kept);
  }
}
