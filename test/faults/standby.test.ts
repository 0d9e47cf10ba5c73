/** A standby that comes up late, badly or not for long: it gets no request, and the site does not notice. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { waitUntil } from '../../src/system/clock.js';
import type { Command, Run } from '../support/command.js';
import { expectClean, TRAFFIC } from '../support/deaths.js';
import { byInit } from '../support/managed.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

/** PHP that stands in the health script before its answer; only green's is broken, and `$at` is a file of its own. */
const health =
  (php: string) =>
  (sandbox: Sandbox): void => {
    const path = sandbox.path('www', 'health.php');
    const broken = `reply.php';\n$at = '${sandbox.path('work', 'asked')}';\nif (getenv('SWAP_POOL_SLOT') === 'green') { ${php} }`;
    writeFileSync(path, readFileSync(path, 'utf8').replace("reply.php';", broken));
  };

/** Once green was asked for the first time, `$first` ms ago. */
const SINCE = `if (!file_exists($at)) touch($at) && file_put_contents($at, (string) microtime(true));
  $first = (microtime(true) - (float) file_get_contents($at)) * 1000;`;

const on = (prepare?: (sandbox: Sandbox) => void, timeout = '2s'): RigOptions => ({
  switch: 'symlink',
  site: { workers: 8, fpmGlobal: 'process_control_timeout = 1s' },
  prepare: (sandbox) => {
    const { config } = sandbox.site();
    writeFileSync(config, readFileSync(config, 'utf8').replace(/^probe:$/m, `probe:\n  timeout: ${timeout}`));
    prepare?.(sandbox);
  },
});

/** Under load: a deploy onto green; `during` is done to it. */
async function deployOnto(
  options: RigOptions,
  check: (rig: Rig, run: Run) => Promise<void>,
  during?: (rig: Rig, command: Command) => Promise<void>,
): Promise<void> {
  await withRig(options, async (rig) => {
    await rig.deployed();
    const load = await rig.load(TRAFFIC);
    await rig.until(() => load.underWay('slow') > 0);
    const command = rig.spawnDeploy();
    await during?.(rig, command);
    await check(rig, await command.end);
  });
}

const undone =
  (reason: string, says: RegExp) =>
  async (rig: Rig, run: Run): Promise<void> => {
    expect(run.result, run.stdout).toMatchObject({ outcome: 'reverted', exit: 1, failure: { reason } });
    expect(run.stderr).toMatch(says);
    expect(run.events.filter(({ step }) => step === 'switch')).toEqual([]);
    await expectClean(rig, 'blue');
  };

const done = async (rig: Rig, run: Run): Promise<void> => {
  expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, drain: { cut: 0 } });
  await expectClean(rig, 'green');
};

it.each([0, 50, 500])('that dies %i ms after it came up leaves no file behind', async (ms) => {
  const hangs = health('work(60_000);');
  await deployOnto(on(hangs, '30s'), undone('pool-died', /The green pool died/), async (rig, command) => {
    await rig.until(() => rig.sandbox.poolMaster('green') !== null);
    const master = rig.sandbox.poolMaster('green') ?? 0;
    const up = performance.now();
    await waitUntil(() => (performance.now() - up >= ms ? true : undefined), { deadline: 10_000 });
    expect(command.running).toBe(true);
    // it is the leader of a group of its own: master and workers at once, nobody cleans up after them
    process.kill(-master, 'SIGKILL');
  });
});

it('that binds late, while its start goes on, is waited for', async () => {
  const late = (sandbox: Sandbox): void => {
    const { config } = sandbox.site();
    const fpm = /binary: "(\S+)"/.exec(readFileSync(config, 'utf8'))?.[1] ?? '';
    const wrapper = sandbox.path('pools', 'late');
    const script = `#!/bin/sh\ncase "$*" in *-D*) sleep 3;; esac\nexec ${fpm} "$@"\n`;
    writeFileSync(wrapper, script, { mode: 0o755 });
    appendFileSync(config, `\nslots: { green: { binary: ${wrapper} } }\n`);
  };
  await deployOnto(on(late), done);
});

it('that binds late, after the script that starts it has said 0, is waited for', async () => {
  const { rig, processes } = byInit((script) => {
    const late = script.replace(/"\$DAEMON" --daemonize .*/, '(sleep 2; $&) >/dev/null 2>&1 &');
    expect(late).not.toBe(script);
    return late;
  });
  await deployOnto({ ...rig, switch: 'rewrite', site: { workers: 8 } }, done, (one) => {
    one.allow.processes.push(...processes);
    return Promise.resolve();
  });
});

it('that hangs on its first request, and on no other, is not trusted', async () => {
  const first = `if (!file_exists($at)) { touch($at); work(60_000); }`;
  await deployOnto(on(health(first)), undone('probe-failed', /gave no answer within/));
});

it('that answers with an empty page gets no request', async () => {
  await deployOnto(on(health(`reply(''); return;`)), undone('probe-failed', /without "ok" in its body/));
});

it('that answers with orders to a terminal gives none to ours', async () => {
  const orders = `reply("\\e[2J\\e]0;mine\\x07\\u{202e}\\x9b31mvisible"); return;`;
  await deployOnto(on(health(orders)), async (rig, run) => {
    await undone('probe-failed', /visible/)(rig, run);
    const plain = await rig.deploy([], { json: false });
    for (const text of [run.stdout, run.stderr, plain.stdout, plain.stderr]) {
      // eslint-disable-next-line no-control-regex
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    }
  });
});

it('that needs nine tenths of its time has them', async () => {
  const slow = health(`${SINCE} if ($first < 9_000) { reply('not yet', 503); return; }`);
  await deployOnto(on(slow, '10s'), done);
});
