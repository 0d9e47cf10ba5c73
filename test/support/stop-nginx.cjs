/**
 * Loaded before swap-pool (node --require): when nginx has tested a configuration that is another one than at the
 * start (of the file RIG_FILE), its master, RIG_NGINX, is told to end, and gone before swap-pool hears of the test.
 */
const fs = require('node:fs');
const childProcess = require('node:child_process');

const { RIG_FILE: file, RIG_NGINX: master } = process.env;
const before = fs.readFileSync(file, 'utf8');
const { spawn } = childProcess;
const lives = () =>
  fs.existsSync(`/proc/${master}`) && !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${master}/status`, 'utf8'));

childProcess.spawn = (...args) => {
  const child = spawn(...args);
  if (args.flat().includes('-t') && fs.readFileSync(file, 'utf8') !== before) {
    child.prependOnceListener('exit', () => {
      process.kill(Number(master), 'SIGTERM');
      while (lives());
    });
  }
  return child;
};
