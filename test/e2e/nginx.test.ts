/** What may go wrong between a file and the nginx that is to follow it, under load. */
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { otherSlot, type Slot } from '../../src/event.js';
import { children, identify, isAlive, procfs } from '../../src/system/proc.js';
import type { Command, Run } from '../support/command.js';
import { SHORT, withRig, type Rig } from '../support/rig.js';

const fs = procfs();
const SITE = { workers: 8 };
const BRIEF: LoadPlan = {
  fast: { rate: 60 },
  post: { clients: 2, takes: 5 },
  slow: { every: 300, takes: 600 },
};

/** As somebody else's reload does. */
const hangUp = (rig: Rig): void => {
  const master = rig.sandbox.nginxMaster();
  if (master === null) throw new Error('nginx has no master');
  process.kill(master, 'SIGHUP');
};

/** nginx's workers, but not those that are on their way out. */
const workers = (rig: Rig): readonly number[] => children(fs, rig.sandbox.nginxMaster() ?? 0);

/** Everything a deploy may touch, as it is now. */
const everything = (rig: Rig): readonly unknown[] => [
  rig.read('nginx.conf'),
  rig.read('upstreams', 'demo.conf'),
  rig.read('sites', 'demo.conf'),
  rig.sandbox.poolMaster('blue'),
  rig.sandbox.poolMaster('green'),
  workers(rig),
];

/** Names one slot alone, so that nothing answers for a pool that nginx should not ask. */
const alone = (sandbox: Sandbox): void => {
  const { address, upstream, name } = sandbox.site();
  writeFileSync(upstream, `upstream ${name} {\n    server ${address.blue};\n}\n`);
};

const refused = (run: Run, reason: string): void => {
  expect(run.result, run.stdout).toMatchObject({ outcome: 'refused', exit: 1, failure: { reason } });
};
const reverted = (run: Run, reason: string): void => {
  expect(run.result, run.stdout).toMatchObject({ outcome: 'reverted', exit: 1, failure: { reason } });
};
const done = (run: Run): void => {
  expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0 });
};

/** A port that this process listens on, so that nginx cannot. */
async function withTakenPort(act: (port: number) => Promise<void>): Promise<void> {
  const server: Server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await act((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

/** Does something to files once a deploy has looked at them, and before its switch. */
async function meddle(rig: Rig, act: () => void): Promise<Command> {
  const command = rig.spawnDeploy();
  await command.untilStep('start');
  act();
  return command;
}

it('a swallowed reload is noticed, and reverted by the files alone', async () => {
  await withRig({ site: SITE }, async (rig) => {
    rig.allow.log.push(/\[emerg\].*(bind\(\) to|still could not bind)/);
    rig.allow.strays.push(/^sites\/taken.conf$/);
    await rig.deployed();
    await rig.load(BRIEF);
    await withTakenPort(async (port) => {
      const before = everything(rig);
      const command = await meddle(rig, () => {
        rig.append(`server { listen 127.0.0.1:${port}; }\n`, 'sites', 'taken.conf');
      });
      const run = await command.end;
      reverted(run, 'reload-swallowed');
      expect(run.stderr).toMatch(/bind\(\) to \S+ failed/);
      // nobody was told to go: the very workers from before serve on
      expect(everything(rig)).toEqual(before);
      expect(rig.isListening('green')).toBe(false);
    });
    rmSync(rig.sandbox.path('sites', 'taken.conf'));
    done(await rig.deploy());
    expect(await rig.answering()).toBe('green');
  });
});

it('a person’s edit during a swallowed reload outlives its revert', async () => {
  await withRig({ site: SITE }, async (rig) => {
    rig.allow.log.push(/\[emerg\].*(bind\(\) to|still could not bind)/);
    await rig.deployed();
    await rig.load(BRIEF);
    const before = rig.read('upstreams', 'demo.conf');
    const taken = rig.sandbox.path('sites', 'taken.conf');
    await withTakenPort(async (port) => {
      const command = await meddle(rig, () => {
        writeFileSync(taken, `server { listen 127.0.0.1:${port}; }\n`);
      });
      // nginx tries to bind for two seconds and a half; meanwhile the file names the other slot
      await rig.until(() => rig.read('upstreams', 'demo.conf') !== before);
      rig.append('# mine\n', 'upstreams', 'demo.conf');
      reverted(await command.end, 'reload-swallowed');
    });
    expect(rig.read('upstreams', 'demo.conf')).toBe(`${before}# mine\n`);
    rmSync(taken);
  });
});

it('a configuration that was broken before is refused, and nothing touched', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    await rig.load(BRIEF);
    rig.append('no_such_directive on;\n', 'sites', 'demo.conf');
    const before = everything(rig);
    const run = await rig.deploy();
    refused(run, 'nginx-config-broken');
    expect(run.stderr).toMatch(/no_such_directive/);
    expect(everything(rig)).toEqual(before);
  });
});

it('a configuration that breaks in the middle is not reloaded, and the edit taken back', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    await rig.load(BRIEF);
    const dropped = rig.sandbox.path('sites', 'dropped.conf');
    const before = everything(rig);
    const command = await meddle(rig, () => {
      writeFileSync(dropped, 'no_such_directive on;\n');
    });
    const run = await command.end;
    reverted(run, 'edit-rejected');
    expect(run.stderr).toMatch(/no_such_directive/);
    expect(everything(rig)).toEqual(before);
    rmSync(dropped);
  });
});

it('a person’s edit between our reading and our writing is never overwritten', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    await rig.load(BRIEF);
    const before = rig.read('upstreams', 'demo.conf');
    const command = rig.spawnDeploy();
    await command.untilStep('switch');
    // a master at work on somebody else's reload is waited for: by then the deploy has read, and written beside
    await rig.until(() => {
      hangUp(rig);
      return readdirSync(rig.sandbox.path('upstreams')).length > 1;
    });
    rig.append('# mine\n', 'upstreams', 'demo.conf');
    reverted(await command.end, 'config-changed');
    expect(rig.read('upstreams', 'demo.conf')).toBe(`${before}# mine\n`);
    expect(rig.isListening('green')).toBe(false);
  });
});

it('during a binary upgrade a deploy is refused, and after it goes through', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    const load = await rig.load(BRIEF);
    const old = identify(fs, rig.sandbox.nginxMaster() ?? 0);
    const named = rig.read('upstreams', 'demo.conf');
    await rig.signalNginx('SIGUSR2');
    await rig.until(() => existsSync(rig.sandbox.path('run', 'nginx.pid.oldbin')));
    await rig.until(() => (rig.sandbox.nginxMaster() ?? old?.pid) !== old?.pid && workers(rig).length === 2);
    refused(await rig.deploy(), 'upgrade-pending');
    expect(rig.read('upstreams', 'demo.conf')).toBe(named);
    expect(rig.isListening('green')).toBe(false);
    // the old master's workers are told to go, as by any reload
    if (old !== null) process.kill(old.pid, 'SIGQUIT');
    await rig.until(() => old === null || !isAlive(fs, old));
    done(await rig.deploy());
    expect(load.underWay()).toBeGreaterThan(0);
    expect(await rig.answering()).toBe('green');
  });
});

it('somebody else’s reloads in the middle of ours fool nobody', async () => {
  await withRig({ site: SITE, prepare: alone }, async (rig) => {
    await rig.deployed();
    await rig.load({ fast: { rate: 60 }, post: { clients: 1, takes: 5 } });
    let active: Slot = 'blue';
    for (let round = 0; round < 16; round += 1) {
      const command = rig.spawnDeploy();
      await command.untilStep('probe');
      // some before our HUP and some after it, further apart from round to round: workers of theirs read either file
      const gap = 5 + round * 8;
      let left = 8;
      let next = 0;
      await rig.until(() => {
        if (performance.now() < next) return false;
        hangUp(rig);
        next = performance.now() + gap;
        left -= 1;
        return left === 0;
      });
      active = otherSlot(active);
      expect((await command.end).result, command.stdout).toMatchObject({ outcome: 'done', to: active });
      expect(await rig.answering()).toBe(active);
    }
  });
});

it('a file edited but not reloaded is put live first, and said so', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    done(await rig.deploy());
    await rig.load(BRIEF);
    rig.append('# edited\n', 'sites', 'demo.conf');
    const run = await rig.deploy();
    done(run);
    const warning = run.events.find((line) => line.type === 'warning');
    expect(warning?.['warning']).toMatchObject({
      reason: 'running-differs',
      files: expect.arrayContaining([rig.sandbox.path('sites', 'demo.conf')]) as string[],
    });
  });
});

/** As a person would: the two addresses exchanged, nothing reloaded. */
function exchangeByHand(rig: Rig): void {
  const { address, upstream } = rig.sandbox.site();
  const text = readFileSync(upstream, 'utf8');
  const swapped = text.replace(/unix:[^\s;]+/g, (one) =>
    one === address.blue ? address.green : address.blue,
  );
  expect(swapped).not.toBe(text);
  writeFileSync(upstream, swapped);
}

it('a file that names the dead slot while the other serves is refused, and nothing touched', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    await rig.load(BRIEF);
    exchangeByHand(rig);
    const before = everything(rig);
    const run = await rig.deploy();
    refused(run, 'disk-differs-from-running');
    expect(run.stderr).toContain(rig.sandbox.site().upstream);
    expect(everything(rig)).toEqual(before);
    exchangeByHand(rig);
    done(await rig.deploy());
  });
});

it('a file that names the other slot, alive, is put live; the slot that served is drained like any', async () => {
  await withRig({ site: SITE }, async (rig) => {
    await rig.deployed();
    await rig.load(SHORT);
    await rig.sandbox.startPool('green');
    exchangeByHand(rig);
    const run = await rig.deploy();
    expect(run.result, run.stdout).toMatchObject({ outcome: 'done', from: 'green', to: 'blue' });
    expect(await rig.answering()).toBe('blue');
  });
});

it('with nothing alive nginx is made to follow its files, and then serves', async () => {
  await withRig({ site: SITE, prepare: alone }, async (rig) => {
    exchangeByHand(rig);
    done(await rig.deploy());
    expect(await rig.answering()).toBe('green');
  });
});

it('two apps in one file deploy at once, and neither edit is lost', async () => {
  const sites = ['a', 'b'].map((name) => ({ name, switch: 'rewrite' as const, workers: 4 }));
  // both upstreams in a's file
  const prepare = (sandbox: Sandbox): void => {
    const [a, b] = [sandbox.site('a').upstream, sandbox.site('b').upstream];
    appendFileSync(a, readFileSync(b));
    rmSync(b);
  };
  await withRig({ sites, prepare }, async (rig) => {
    await rig.deployed();
    for (const name of ['a', 'b'])
      await rig.load({ fast: { rate: 30 }, post: { clients: 1, takes: 5 } }, name);
    let active: Slot = 'blue';
    for (let round = 0; round < 8; round += 1) {
      const runs = await Promise.all([rig.deploy(['a']), rig.deploy(['b'])]);
      active = otherSlot(active);
      for (const run of runs) expect(run.result, run.stdout).toMatchObject({ outcome: 'done', to: active });
      expect([await rig.answering('a'), await rig.answering('b')]).toEqual([active, active]);
    }
  });
});
