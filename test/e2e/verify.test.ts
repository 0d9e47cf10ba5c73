/** What stands between a broken pool and the site: the probe before the switch, the verification after it. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { SiteOptions } from '../../src/demo/site.js';
import type { SwitchKind } from '../../src/event.js';
import { procfs } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import { across, moment, slotsOf } from '../support/moments.js';
import { SHORT, withRig, type Rig, type RigOptions } from '../support/rig.js';

const SWITCHES = ['rewrite', 'symlink'] as const;

/** Replaces text of a file that has to be there. */
function edit(path: string, ...edits: readonly (readonly [from: string | RegExp, to: string])[]): void {
  writeFileSync(
    path,
    edits.reduce(
      (text, [from, to]) => {
        expect(text).toMatch(from);
        return text.replace(from, to);
      },
      readFileSync(path, 'utf8'),
    ),
  );
}

/** Gives the green slot a file of its own: FPM's, with some lines otherwise. */
function greenWith(sandbox: Sandbox, ...edits: Parameters<typeof edit>[1][]): void {
  const { fpmConfig, config } = sandbox.site();
  const own = sandbox.path('pools', 'green.conf');
  writeFileSync(own, readFileSync(fpmConfig.green));
  edit(own, ...edits);
  appendFileSync(config, `\nslots: { green: { config: ${own} } }\n`);
}

/** The probe gives up soon. */
const impatient = (sandbox: Sandbox): void => {
  edit(sandbox.site().config, [/^probe:$/m, 'probe:\n  timeout: 3s\n  interval: 100ms']);
};

interface Broken {
  readonly site?: Partial<SiteOptions>;
  readonly prepare?: (sandbox: Sandbox) => void;
  /** How the health script of the standby is broken. */
  readonly health?: Parameters<Rig['breakSlot']>[1];
  /** Done to the pool while it is probed. */
  readonly during?: (rig: Rig) => Promise<void>;
  readonly reason: string;
  /** Part of what is said of it. */
  readonly says: RegExp;
  /** Part of FPM's own log, or of what it wrote at its start. */
  readonly log: RegExp;
}

const READY = /\| .*ready to handle connections/;
/** What FPM gives a worker that does not end: the standby's questions need not be waited for. */
const HASTY = { fpmGlobal: 'process_control_timeout = 1s' };

const BROKEN: Readonly<Record<string, Broken>> = {
  'that does not start': {
    // the test of a configuration does not see that FPM cannot write there
    prepare: (sandbox) => {
      greenWith(sandbox, [/^error_log = .*$/m, 'error_log = /proc/self/no-such-file']);
    },
    reason: 'start-failed',
    says: /did not start/,
    log: /failed to open error_log/,
  },
  'that dies while it is asked': {
    health: 'hang',
    during: (rig) => rig.signalPool('green', 'SIGTERM'),
    reason: 'pool-died',
    says: /The green pool died/,
    log: /\| .*Terminating/,
  },
  'whose workers alone are left to answer': {
    prepare: (sandbox) => {
      edit(sandbox.path('www', 'health.php'), ["reply.php';", "reply.php';\nwork(2000);"]);
    },
    during: (rig) => rig.signalPool('green', 'SIGKILL'),
    reason: 'pool-died',
    says: /The green pool died/,
    log: READY,
  },
  'that hangs': {
    site: HASTY,
    prepare: impatient,
    health: 'hang',
    reason: 'probe-failed',
    says: /gave no answer within/,
    log: READY,
  },
  'that answers 500': {
    prepare: impatient,
    health: 'status',
    reason: 'probe-failed',
    says: /500/,
    log: READY,
  },
  'that prints a fatal error with status 200': {
    prepare: impatient,
    site: { fpmPool: 'php_flag[display_errors] = on\nphp_flag[log_errors] = off' },
    health: 'fatal',
    reason: 'probe-failed',
    says: /no_such_function/,
    log: READY,
  },
  'that answers something else': {
    prepare: impatient,
    health: 'body',
    reason: 'probe-failed',
    says: /wrong/,
    log: READY,
  },
  'whose workers die of every request': {
    prepare: impatient,
    health: 'exit',
    reason: 'probe-failed',
    says: /hung up before it had answered/,
    log: /\| .*exited on signal 9/,
  },
};

/** Deploys onto a standby that is broken; nothing of it may be felt. */
async function expectReverted(rig: Rig, { during, health = null, reason, says, log }: Broken): Promise<void> {
  await rig.deployed();
  const master = rig.sandbox.poolMaster('blue');
  const named = rig.read('upstreams', 'demo.conf');
  rig.breakSlot('green', health);
  const load = await rig.load(SHORT);
  await rig.until(() => load.underWay('slow') > 0 && load.underWay('upload') > 0);
  const command = rig.spawnDeploy();
  if (during !== undefined) {
    await command.untilStep('probe');
    await during(rig);
  }
  const run = await command.end;
  expect(run.result, run.stdout).toMatchObject({ outcome: 'reverted', exit: 1, failure: { reason } });
  expect(run.stderr).toMatch(says);
  expect(run.stderr).toMatch(log);
  expect(rig.sandbox.poolMaster('blue')).toBe(master);
  expect(rig.read('upstreams', 'demo.conf')).toBe(named);
  expect(run.events.filter((line) => line['step'] === 'switch')).toEqual([]);
  expect(rig.isListening('green')).toBe(false);
  expect(slotsOf(await load.stop())).toEqual(['blue']);
}

const rigged = (by: SwitchKind, { site, prepare }: Partial<Broken>): RigOptions => ({
  switch: by,
  site: { workers: 6, ...site },
  ...(prepare === undefined ? {} : { prepare }),
});

describe.each(SWITCHES)('by %s', (by) => {
  it.each(Object.entries(BROKEN))('a standby %s never gets traffic', async (_, broken) => {
    await withRig(rigged(by, broken), (rig) => expectReverted(rig, broken));
  });

  it('a verification that fails cuts nothing, also of what had begun on the new pool', async () => {
    // three wrong answers, 700 ms each: long enough for requests to begin that nobody may cut
    const prepare = (sandbox: Sandbox): void => {
      edit(sandbox.path('www', 'verify.php'), ["reply.php';", "reply.php';\nwork(700);"]);
    };
    await withRig(rigged(by, { prepare, site: { workers: 24 } }), async (rig) => {
      await rig.deployed();
      rig.breakVerify('green');
      const master = rig.sandbox.poolMaster('blue');
      await rig.load({ fast: { rate: 60 }, post: { clients: 2, takes: 5 } });
      const command = rig.spawnDeploy();
      await command.untilStep('verify');
      const long = await rig.load({
        slow: { every: 200, takes: 8_000 },
        upload: { every: 200, takes: 4_000, bytes: 100_000 },
        finish: { every: 200, takes: 3_000 },
      });
      await command.until((line) => line['step'] === 'switch' && line['revert'] === true);
      const records = await long.stop();
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'reverted',
        exit: 1,
        failure: { reason: 'verify-failed' },
        drain: { cut: 0 },
      });
      // they ended on the pool that was on its way out, after it had lost the site
      const reverted = moment(run, 'step-done', 'switch', true);
      const there = across(records, 'slow', reverted, reverted).filter(({ by }) => by?.startsWith('green/'));
      expect(there.length).toBeGreaterThan(2);
      expect(moment(run, 'step-done', 'start', true)).toBeGreaterThan(
        Math.max(...there.map(({ start, ms }) => start + ms)),
      );
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      expect(await rig.answering()).toBe('blue');
    });
  });
});

const asRoot = process.geteuid?.() === 0;

it.runIf(asRoot)('a socket that nginx’s workers may not open fails the probe', async () => {
  const broken: Broken = {
    prepare: (sandbox) => {
      greenWith(sandbox, [/^listen\.owner = .*$/m, 'listen.owner = root'], [/^listen\.group = .*$/m, '']);
    },
    reason: 'probe-failed',
    says: /cannot be reached by \S+, the user of nginx's workers: permission denied/,
    log: READY,
  };
  await withRig(rigged('rewrite', broken), (rig) => expectReverted(rig, broken));
});

it('a pool that never binds its address is not waited for for ever', async () => {
  const broken: Broken = {
    prepare: (sandbox) => {
      const fpm = /binary: "(\S+php-fpm\S*)"/.exec(readFileSync(sandbox.site().config, 'utf8'))?.[1] ?? '';
      const wrapper = sandbox.path('pools', 'sleeps');
      // asked what it is it is FPM itself, started it is nothing
      const script = `#!/bin/sh\ncase "$*" in *-D*) echo dreams; exec sleep 100;; esac\nexec ${fpm} "$@"\n`;
      writeFileSync(wrapper, script, { mode: 0o755 });
      appendFileSync(sandbox.site().config, `\nslots: { green: { binary: ${wrapper} } }\n`);
    },
    reason: 'start-timeout',
    says: /did not listen on unix:\S+demo-green.sock within 10 s/,
    log: /\| dreams/,
  };
  await withRig(rigged('rewrite', broken), (rig) => expectReverted(rig, broken));
});

it('a long backlog is waited for, and no reason to go back', async () => {
  const prepare = impatient;
  await withRig(rigged('symlink', { prepare, site: { workers: 4 } }), async (rig) => {
    await rig.deployed();
    const held = await rig.occupy(20, 4);
    await rig.until(() => queued(rig) === 16);
    const command = rig.spawnDeploy();
    await command.untilStep('drain', 'progress');
    expect(await held.release()).toEqual(Array.from({ length: 20 }, () => held.id));
    const run = await command.end;
    expect(run.result, run.stdout).toMatchObject({ outcome: 'done', drain: { accepted: 4, cut: 0 } });
    expect((run.result['drain'] as { queued: number }).queued).toBeGreaterThan(0);
  });
});

/** Connections that nobody has accepted yet; the kernel shows them without an inode. */
const queued = (rig: Rig): number =>
  socketsAt(procfs(), { kind: 'unix', path: rig.site().address.blue.slice(5) }).connections.queued;
