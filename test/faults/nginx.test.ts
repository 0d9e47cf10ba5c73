/** What may become of nginx in the midst of a switch. Where it is gone the site is; the pools must not go with it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { isAlive, procfs, signalProcess } from '../../src/system/proc.js';
import { expectClean, TRAFFIC } from '../support/deaths.js';
import { preloaded } from '../support/preload.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';
import { mountable, withTmpfs } from '../support/tmpfs.js';

const fs = procfs();
const SITE: RigOptions = { switch: 'rewrite', site: { workers: 8 } };

/** nginx names one slot alone, so that nothing answers for a pool that is gone. */
const alone = (sandbox: Sandbox): void => {
  const { address, upstream, name } = sandbox.site();
  writeFileSync(upstream, `upstream ${name} {\n    server ${address.blue};\n}\n`);
};

async function underLoad(rig: Rig): Promise<void> {
  await rig.deployed();
  await rig.load(TRAFFIC);
}

/** While nginx is away nobody is answered, and one that is told to go at once leaves alerts. */
function excuse(rig: Rig): void {
  rig.allow.cut = () => true;
  rig.allow.log.push(/\[alert\] .*(open socket #\d+ left|aborting)/);
}

it('stopped between its test and the HUP: the file is as before, and the old pool waits for it', async () => {
  await withRig({ ...SITE, prepare: alone }, async (rig) => {
    await underLoad(rig);
    excuse(rig);
    const before = rig.read('upstreams', 'demo.conf');
    const blue = rig.sandbox.poolMaster('blue');
    const env = { RIG_FILE: rig.site().upstream, RIG_NGINX: String(rig.sandbox.nginxMaster()) };
    const run = await rig.deploy([], preloaded('stop-nginx', env));
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'reverted',
      exit: 1,
      failure: { reason: 'nginx-gone' },
    });
    expect(run.stderr).toMatch(/nginx's master, pid \d+, is gone/);
    expect(rig.read('upstreams', 'demo.conf')).toBe(before);
    expect((await rig.sandbox.startNginx()).ok).toBe(true);
    expect(rig.sandbox.poolMaster('blue')).toBe(blue);
    await expectClean(rig, 'blue');
  });
});

/** A deploy whose nginx gets a signal when a worker of the new file is there. */
async function deployAndSignal(rig: Rig, signal: NodeJS.Signals): ReturnType<Rig['deploy']> {
  const logged = rig.read('log', 'nginx.log').length;
  const command = rig.spawnDeploy();
  await rig.until(() => /start worker process \d+$/m.test(rig.read('log', 'nginx.log').slice(logged)));
  await rig.signalNginx(signal, { gone: true });
  return command.end;
}

it('ended after the HUP: the deploy is undone, and its next start reads the old file', async () => {
  await withRig({ ...SITE, prepare: alone }, async (rig) => {
    await underLoad(rig);
    excuse(rig);
    const run = await deployAndSignal(rig, 'SIGTERM');
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'reverted',
      exit: 1,
      failure: { reason: 'nginx-gone' },
    });
    expect((await rig.sandbox.startNginx()).ok).toBe(true);
    await expectClean(rig, 'blue');
  });
});

it('its master killed after the HUP: workers of either file live on, and neither pool is stopped', async () => {
  await withRig({ ...SITE, prepare: alone }, async (rig) => {
    await underLoad(rig);
    const run = await deployAndSignal(rig, 'SIGKILL');
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'stranded',
      exit: 4,
      failure: { reason: 'stranded' },
    });
    expect(run.stderr).toMatch(/nginx has lost its master, and its workers serve on/);
    // whoever is asked answers; and a recovery that can tell no more than that stops nobody either
    const again = await rig.run(['recover', 'demo']);
    expect(again.result, again.stdout).toMatchObject({ outcome: 'stranded', exit: 4 });
    expect([rig.isListening('blue'), rig.isListening('green')]).toEqual([true, true]);
    expect(await rig.answering()).toMatch(/blue|green/);
    // as a person does, told so
    const served = performance.now();
    rig.allow.cut = ({ start, ms }) => start + ms >= served;
    rig.allow.log.push(/\[alert\] .*(open socket #\d+ left|aborting)/);
    const workers = rig.sandbox.residents().filter(({ command }) => command.startsWith('nginx: worker'));
    for (const { id } of workers) signalProcess(fs, id, 'SIGTERM');
    await rig.until(() => workers.every(({ id }) => !isAlive(fs, id)));
    expect((await rig.sandbox.startNginx()).ok).toBe(true);
    const recovered = await rig.run(['recover', 'demo']);
    expect(recovered.exit, recovered.stdout).toBeOneOf([0, 1]);
    await expectClean(rig, 'blue');
  });
});

if (!mountable) console.warn('SKIPPED, it takes root and the right to mount: nginx’s log on a full disk');

it.skipIf(!mountable)('its log stands on a full disk: deploys go on', () =>
  withTmpfs('size=8k', async (full) => {
    const prepare = (sandbox: Sandbox): void => {
      const conf = sandbox.path('nginx.conf');
      const text = readFileSync(conf, 'utf8').replace(
        /^error_log .*$/m,
        `error_log ${full}/error.log info;\n$&`,
      );
      writeFileSync(conf, text);
    };
    await withRig({ ...SITE, prepare }, async (rig) => {
      expect(() => {
        writeFileSync(join(full, 'filler'), Buffer.alloc(8192));
      }).toThrow('ENOSPC');
      await underLoad(rig);
      for (const to of ['green', 'blue']) {
        const run = await rig.deploy();
        expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, to });
      }
    });
  }),
);
