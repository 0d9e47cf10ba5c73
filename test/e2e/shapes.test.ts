/** The shapes that a site's configuration may have, each switched back and forth under load. */
import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import { freePort } from '../../src/demo/machine.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { otherSlot, type Slot } from '../../src/event.js';
import { withRig, type Rig } from '../support/rig.js';

const LOAD: LoadPlan = {
  fast: { rate: 60 },
  post: { clients: 2, takes: 5 },
  slow: { every: 400, takes: 800 },
  upload: { every: 400, takes: 700, bytes: 50_000 },
  finish: { every: 500, takes: 500 },
};

/** Deploys so many times, and looks each time who answers. */
async function backAndForth(
  rig: Rig,
  times: number,
  also: (active: Slot) => Promise<void> | void = () => undefined,
): Promise<void> {
  let active: Slot = 'blue';
  for (let n = 0; n < times; n += 1) {
    const run = await rig.deploy();
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'done',
      exit: 0,
      from: active,
      to: otherSlot(active),
      drain: { cut: 0 },
    });
    active = otherSlot(active);
    expect(await rig.answering()).toBe(active);
    await also(active);
  }
}

it('connections that nginx keeps to a pool let go of it when the link has moved', async () => {
  const site = { workers: 16, locationLines: 'fastcgi_keep_conn on;' };
  const prepare = (sandbox: Sandbox): void => {
    const { upstream } = sandbox.site();
    const kept = readFileSync(upstream, 'utf8').replace(/(server unix:\S+;)/, '$1\n    keepalive 2;');
    expect(kept).toContain('keepalive');
    writeFileSync(upstream, kept);
  };
  await withRig({ switch: 'symlink', site, prepare }, async (rig) => {
    rig.allow.reloads = true;
    await rig.deployed();
    await rig.load(LOAD);
    await backAndForth(rig, 6);
  });
});

it('pools on TCP are exchanged, and old nginx workers waited for', async () => {
  await withRig({ site: { workers: 12, transport: 'tcp' } }, async (rig) => {
    await rig.deployed();
    await rig.load(LOAD);
    await backAndForth(rig, 4);
  });
});

it('every place is exchanged: quoted, in several files, behind a link, which stays one', async () => {
  const port = await freePort();
  const prepare = (sandbox: Sandbox): void => {
    const { address, upstream } = sandbox.site();
    const quoted = readFileSync(upstream, 'utf8').replace(address.blue, `"${address.blue}"`);
    writeFileSync(upstream, `# \u00fcber\r\n${quoted}`);
    mkdirSync(sandbox.path('available'));
    const shop = `# ${address.blue} stays\nserver {
    listen 127.0.0.1:${port}; root ${sandbox.path('www')};
    location ~ \\.php$ {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass
            # where it goes
            '${address.blue}' ;
    }
}\n`;
    writeFileSync(sandbox.path('available', 'shop'), shop);
    symlinkSync('../available/shop', sandbox.path('sites', 'shop.conf'));
  };
  await withRig({ site: { workers: 12 }, prepare }, async (rig) => {
    await rig.deployed();
    await rig.load(LOAD);
    const { address } = rig.site();
    const files = { shop: rig.read('available', 'shop'), upstream: rig.read('upstreams', 'demo.conf') };
    await backAndForth(rig, 5, async (active) => {
      const answer = await fetch(`http://127.0.0.1:${port}/whoami.php`, { headers: { connection: 'close' } });
      expect((await answer.text()).trim()).toBe(active);
      expect(lstatSync(rig.sandbox.path('sites', 'shop.conf')).isSymbolicLink()).toBe(true);
      // every byte but those of the two addresses is as it was
      const shop = files.shop.replace(`'${address.blue}'`, `'${address[active]}'`);
      expect(rig.read('available', 'shop')).toBe(shop);
      if (active === 'blue') expect(rig.read('upstreams', 'demo.conf')).toBe(files.upstream);
      else expect(rig.read('upstreams', 'demo.conf')).toContain(`server "${address.green}" max_fails=0;`);
    });
  });
});

it('a link cannot lead to pools on TCP: a problem of the configuration, told before anything is begun', async () => {
  await withRig({ switch: 'symlink', site: { transport: 'tcp' } }, async (rig) => {
    for (const words of [['deploy'], ['deploy', '--dry-run'], ['start']]) {
      const run = await rig.run([...words, 'demo', '--json']);
      expect(run.result, run.stdout).toMatchObject({
        outcome: 'usage',
        exit: 2,
        failure: { reason: 'symlink-needs-unix' },
      });
      expect(run.result).toHaveProperty('failure.message', expect.stringContaining('listens on 127.0.0.1:'));
      expect(run.events.filter(({ type }) => type === 'step-started')).toEqual([]);
    }
  });
});
