/**
 * Loaded before swap-pool (node --require): ends it with SIGKILL at one exact point. RIG_DIE says
 * which one, counted by the records of its journal, which are what it gives to fdatasync one at a time:
 *
 *   written:N  right after the Nth record is on the disk, before the act that it announces
 *   act:N:K    after that record and the Kth change to the world that follows it (a file made, moved
 *              or removed, a signal, a pool's program started), or else as next:N
 *   next:N     right before record N+1 is written, when the act is done
 *
 * Its last words, on stderr, are `died: ` and what it had just done, or `next`. With RIG_FREEZE a
 * pool's program that it dies of is stopped first: it comes up when somebody tells it to go on.
 */
const fs = require('node:fs');
const childProcess = require('node:child_process');

const [when, number, nth] = (process.env.RIG_DIE ?? '').split(':');
const last = Number(number);
const { fdatasyncSync, openSync, writeSync } = fs;
const kill = process.kill.bind(process);
let records = 0;
let changes = 0;

const die = (of) => {
  writeSync(2, `died: ${of}\n`);
  kill(process.pid, 'SIGKILL');
};
const changed = (what) => {
  if (when !== 'act' || records !== last) return;
  changes += 1;
  if (changes === Number(nth)) die(what);
};

fs.fdatasyncSync = (...args) => {
  const done = fdatasyncSync(...args);
  records += 1;
  if (when === 'written' && records === last) die('written');
  return done;
};
fs.writeSync = (...args) => {
  if (when !== 'written' && records === last && /^\{"type":/.test(String(args[1]))) die('next');
  return writeSync(...args);
};
fs.openSync = (...args) => {
  const fd = openSync(...args);
  if ((args[1] & fs.constants.O_EXCL) !== 0) changed(`make ${args[0]}`);
  return fd;
};
for (const name of ['renameSync', 'linkSync', 'symlinkSync', 'unlinkSync']) {
  const act = fs[name];
  fs[name] = (...args) => {
    act(...args);
    changed(`${name.replace('Sync', '')} ${args.join(' ')}`);
  };
}
process.kill = (pid, signal) => {
  const sent = kill(pid, signal);
  if (signal !== 0) changed(`${signal} to ${pid}`);
  return sent;
};
const { spawn } = childProcess;
childProcess.spawn = (...args) => {
  const child = spawn(...args);
  const words = args.flat().filter((word) => typeof word === 'string');
  if (words.includes('-D')) {
    if (process.env.RIG_FREEZE !== undefined) kill(child.pid, 'SIGSTOP');
    changed(`run ${words.join(' ')}`);
  }
  return child;
};
