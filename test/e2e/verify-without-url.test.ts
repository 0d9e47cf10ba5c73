/** The pivot of an app that names no URL to ask: what the pools themselves are seen to do decides. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import type { Slot, SwitchKind } from '../../src/event.js';
import { procfs } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import type { CommandOptions, Run } from '../support/command.js';
import { HUNG, PATIENCE } from '../support/limits.js';
import { preloaded } from '../support/preload.js';
import { SHORT, withRig, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

/** Takes lines away that have to be there. */
function without(path: string, ...lines: readonly RegExp[]): void {
  for (const line of lines) {
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(line);
    writeFileSync(path, text.replace(line, ''));
  }
}
const withoutUrl = (sandbox: Sandbox): void => {
  without(sandbox.site().config, /^verify: .*\n/m);
};
/** Without a URL, and with little time for the old pool to become quiet. */
const impatient = (sandbox: Sandbox): void => {
  withoutUrl(sandbox);
  const { config } = sandbox.site();
  writeFileSync(config, readFileSync(config, 'utf8').replace(/^probe:$/m, 'probe:\n  timeout: 3s'));
};
/** FPM then keeps no count that anybody could read. */
const withoutStatus = (sandbox: Sandbox): void => {
  withoutUrl(sandbox);
  without(sandbox.site().fpmConfig.blue, /^pm\.status_path = .*\n/m, /^pm\.status_listen = .*\n/m);
};

const on = (by: SwitchKind, prepare = withoutUrl): RigOptions => ({
  switch: by,
  site: { workers: 8 },
  prepare,
});

/** By what the new pool was seen to serve. */
const seenBy = (run: Run): unknown =>
  run.events.find(({ type, step }) => type === 'step-done' && step === 'verify')?.['note'];

function moved(run: Run, to: Slot, by: string): void {
  expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to, drain: { cut: 0 } } });
  expect(seenBy(run)).toEqual({ kind: 'seen', by });
}

/** A deploy between two of whose looks at a pool somebody comes to `visited`, a port or a socket. */
const visiting = (rig: Rig, slot: Slot, visited: number | string): CommandOptions =>
  preloaded('visit-pool', {
    RIG_STATUS: rig.sandbox.path('run', `demo-${slot}-status.sock`),
    RIG_VISITED: String(visited),
  });

describe.each(BOTH)('a deploy without a url, by %s', (by) => {
  it('believes the pool’s count', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const load = await rig.load(SHORT);
      await rig.until(() => load.underWay('slow') > 0);
      for (const to of ['green', 'blue'] as const) {
        // of a load's requests none might come in the moment for which the pool is watched
        moved(await rig.deploy([], visiting(rig, to, rig.site().port)), to, 'count');
        expect(await rig.answering()).toBe(to);
      }
    });
  });

  it('believes the workers of a pool that has no status page', async () => {
    await withRig(on(by, withoutStatus), async (rig) => {
      await rig.deployed();
      const load = await rig.load(SHORT);
      await rig.until(() => load.underWay('slow') > 0);
      rig.breakSlot('green', 'status');
      const command = rig.spawnDeploy();
      await command.untilStep('probe');
      const held = await hold(rig, 'green');
      rig.breakSlot('green', null);
      moved(await command.end, 'green', 'activity');
      expect(await held.release()).toBe(true);
      expect(await rig.answering()).toBe('green');
    });
  });

  it('goes on where nobody comes, and says that there was nothing to see', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      for (const to of ['green', 'blue'] as const) {
        moved(await rig.deploy(), to, 'no-traffic');
        expect(await rig.answering()).toBe(to);
      }
    });
  });
});

/** Gives a worker of a pool, whoever nginx asks, something to work on until it is let go of. */
async function hold(rig: Rig, slot: Slot): Promise<{ readonly release: () => Promise<boolean> }> {
  const params = scriptParams({ file: rig.sandbox.path('www', 'held.php'), uri: '/held.php?id=direct' });
  const asked = request({ address: rig.site().address[slot], params, timeoutMs: HUNG });
  await rig.until(() => existsSync(rig.sandbox.path('work', 'direct-entered')));
  return {
    release: async () => {
      writeFileSync(rig.sandbox.path('work', 'direct-released'), '');
      return (await asked).ok;
    },
  };
}

describe('an old pool that somebody goes on asking past the proxy', () => {
  it('is not left: the deploy is reverted, and neither side’s requests are cut', async () => {
    await withRig(on('symlink', impatient), async (rig) => {
      await rig.deployed();
      const master = rig.sandbox.poolMaster('blue');
      await rig.load(SHORT);
      const others = ask(rig, 'blue');
      const { address } = rig.site();
      const run = await rig.deploy([], visiting(rig, 'blue', address.blue.slice('unix:'.length)));
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'reverted',
        exit: 1,
        failure: { reason: 'old-pool-still-used' },
        drain: { cut: 0 },
      });
      const told = run.events.find(({ type }) => type === 'failure')?.['failure'];
      expect(told).toMatchObject({ slot: 'blue', requests: expect.any(Number) as number });
      expect((told as { requests: number }).requests).toBeGreaterThan(1);
      expect(await others.stop()).toEqual(new Set(['200 blue']));
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      expect(rig.isListening('green')).toBe(false);
      expect(await rig.answering()).toBe('blue');
    });
  });

  it('is not left either while none of its workers is free to say how much it is asked', async () => {
    const prepare = (sandbox: Sandbox): void => {
      impatient(sandbox);
      // then a worker has to answer that, too
      without(sandbox.site().fpmConfig.blue, /^pm\.status_listen = .*\n/m);
    };
    await withRig(on('symlink', prepare), async (rig) => {
      await rig.deployed();
      const master = rig.sandbox.poolMaster('blue');
      const others = Array.from({ length: 24 }, () => ask(rig, 'blue', 'slow.php', 'ms=40&id=x'));
      await rig.until(() => connectionsTo(rig, 'blue').queued > 8);
      const run = await rig.deploy();
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'reverted',
        exit: 1,
        failure: { reason: 'old-pool-still-used' },
        drain: { cut: 0 },
      });
      for (const other of others) expect(await other.stop()).toEqual(new Set(['200 x']));
      expect(rig.sandbox.poolMaster('blue')).toBe(master);
      expect(await rig.answering()).toBe('blue');
    });
  });
});

const connectionsTo = (rig: Rig, slot: Slot): { readonly queued: number } =>
  socketsAt(procfs(), { kind: 'unix', path: rig.site().address[slot].slice('unix:'.length) }).connections;

/** A client of the pool's own socket, one request after the other; gives back what it was answered. */
function ask(
  rig: Rig,
  slot: Slot,
  script = 'whoami.php',
  query = '',
): { readonly stop: () => Promise<ReadonlySet<string>> } {
  const params = { ...scriptParams({ file: rig.sandbox.path('www', script) }), QUERY_STRING: query };
  const seen = new Set<string>();
  let stopped = false;
  const asking = (async () => {
    while (!stopped) {
      const reply = await request({ address: rig.site().address[slot], params, timeoutMs: PATIENCE });
      const { status, body } = reply.ok ? reply.value : { status: reply.wrong.kind, body: new Uint8Array() };
      seen.add(`${status} ${Buffer.from(body).toString().trim()}`);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await asking;
      return seen;
    },
  };
}
