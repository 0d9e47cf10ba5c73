/** What test/faults/processes.test.ts runs in namespaces of their own: a whole rig. argv: `reuse`, or `deploy` and the switch. */
import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { identify, isAlive, procfs } from '../../src/system/proc.js';
import type { SwitchKind } from '../../src/event.js';
import { withRig } from './rig.js';
import { deployBothWays } from './unprivileged.js';

/** Records of a deploy up to the intent to stop the old pool. */
const BEFORE_STOP = 14;

/** swap-pool dies before it stops the old pool; that one dies, too, and its master's pid goes to somebody else. */
async function reuse(): Promise<void> {
  await withRig({ switch: 'symlink', site: { workers: 4 } }, async (rig) => {
    const fs = procfs();
    await rig.deployed();
    await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
    const died = await rig.deploy([], { dieAt: { when: 'written', record: BEFORE_STOP } });
    if (died.signal !== 'SIGKILL') throw new Error(`it lived:\n${died.stdout}${died.stderr}`);
    const pid = rig.sandbox.poolMaster('blue') ?? 0;
    await rig.signalPool('blue', 'SIGTERM');
    const stranger = heir(pid);
    const id = identify(fs, pid);
    if (id === null) throw new Error('nobody has it');
    const run = await rig.run(['recover', 'demo']);
    if (run.exit !== 0) throw new Error(`not recovered:\n${run.stdout}${run.stderr}`);
    if (!isAlive(fs, id)) throw new Error('somebody else was signalled');
    stranger.kill('SIGKILL');
    if ((await rig.answering()) !== 'green') throw new Error('green does not answer');
  });
}

/** Starts something under a pid: the kernel gives the next after the one it is told (pid_namespaces(7)). */
function heir(pid: number): ReturnType<typeof spawn> {
  for (let tries = 0; tries < 200; tries += 1) {
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(pid - 1));
    const child = spawn('/usr/bin/sleep', ['600'], { stdio: 'ignore' });
    if (child.pid === pid) return child;
    child.kill('SIGKILL');
  }
  throw new Error(`${pid} was not to be had`);
}

/** By somebody to whom others' processes are not even listed. */
async function hidden(by: SwitchKind): Promise<void> {
  if (existsSync('/proc/1')) throw new Error('root’s processes are there to be seen');
  await deployBothWays(by);
}

const [, , what, by] = process.argv;
(what === 'reuse' ? reuse() : hidden(by as SwitchKind)).catch((error: unknown) => {
  console.error((error as Error).stack);
  process.exitCode = 1;
});
