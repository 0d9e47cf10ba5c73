/**
 * A node preload for the build: keeps what V8 has compiled of the program by the time it ends, the
 * functions that it called included, in the file that COMPILED names.
 */
const { renameSync, writeFileSync } = require('node:fs');
const vm = require('node:vm');

const { COMPILED } = process.env;
vm.Script = class extends vm.Script {
  constructor(...given) {
    super(...given);
    process.on('exit', () => {
      writeFileSync(`${COMPILED}.new`, this.createCachedData());
      renameSync(`${COMPILED}.new`, COMPILED);
    });
  }
};
