/** FPM files with several [pool]s: one of them is switched, and all end with their master. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { freePort } from '../../src/demo/machine.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { Slot, SwitchKind } from '../../src/event.js';
import { children, procfs } from '../../src/system/proc.js';
import type { Run } from '../support/command.js';
import { deathAt, numberOf, reasonOf } from '../support/deaths.js';
import { withRig, type Rig } from '../support/rig.js';

const fs = procfs();
const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];

/** A second pool `admin` in the FPM file of `demo`, for both of its slots. */
const second = (sandbox: Sandbox): void => {
  const { fpmConfig } = sandbox.site();
  const text = readFileSync(fpmConfig.blue, 'utf8');
  const pool = text.slice(text.indexOf('[demo]')).replace('[demo]', '[admin]').replaceAll('demo-', 'admin-');
  writeFileSync(fpmConfig.blue, `${text}\n${pool}`);
};

interface Admin {
  readonly port: number;
  /** Lets nginx name a socket of the sandbox in a site of its own, without telling it. */
  readonly write: (socket: string) => void;
  readonly answer: () => Promise<string>;
}

/** A site beside the app's. */
async function admin(of: () => Sandbox): Promise<Admin> {
  const port = await freePort();
  return {
    port,
    write: (socket) => {
      const location = `include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:${of().path('run', socket)};`;
      const server = `server {\n    listen 127.0.0.1:${port}; root ${of().path('www')};\n    location / {\n        ${location}\n    }\n}\n`;
      writeFileSync(of().path('sites', 'admin.conf'), server);
    },
    answer: async () => {
      const url = `http://127.0.0.1:${port}/whoami.php`;
      const response = await fetch(url, { headers: { connection: 'close' } });
      return response.status === 200 ? (await response.text()).trim() : String(response.status);
    },
  };
}

/** A rig whose FPM file has two pools, and a site `admin` that asks `socket`. */
async function withSecond(
  by: SwitchKind,
  socket: string,
  act: (rig: Rig, admin: Admin) => Promise<void>,
): Promise<void> {
  let sandbox: Sandbox | null = null;
  const site = await admin(() => sandbox ?? expect.fail('no sandbox'));
  const prepare = (made: Sandbox): void => {
    sandbox = made;
    second(made);
    site.write(socket);
  };
  const options = { workers: 4, yamlPool: 'section: demo' };
  await withRig({ switch: by, site: options, prepare }, async (rig) => {
    rig.allow.reloads = true;
    rig.allow.strays.push(/^run\/admin-/, /^sites\/admin.conf$/);
    await act(rig, site);
  });
}

/** Everything that a deploy may touch. */
const everything = (rig: Rig): readonly unknown[] => [
  rig.sandbox.poolMaster('blue'),
  rig.sandbox.poolMaster('green'),
  children(fs, rig.sandbox.nginxMaster() ?? 0),
  rig.read('upstreams', 'demo.conf'),
  rig.journals(),
];

/** nginx is told, and the site answers as it should now. */
async function reloaded(rig: Rig, seen: () => Promise<boolean>): Promise<void> {
  await rig.signalNginx('SIGHUP');
  while (!(await seen()));
}

const refused = (run: Run, slot: Slot): void => {
  expect(run.result, `${run.stdout}${run.stderr}`).toMatchObject({
    outcome: 'refused',
    exit: 1,
    failure: { reason: 'master-shared' },
  });
  expect(run.stderr).toMatch(new RegExp(`sites/admin.conf:6:\\d+.*admin-${slot}.sock`));
};

const reasons = (run: Run): unknown[] => run.events.map(({ warning }) => reasonOf(warning)).filter(Boolean);

describe.each(BOTH)('another pool of the master (%s)', (by) => {
  it('is not stopped while nginx names it: what would stop it is refused, untouched', async () => {
    await withSecond(by, 'admin-blue.sock', async (rig, site) => {
      // what only starts stops nobody, and says what is to come
      const first = await rig.deploy();
      expect(first, first.stderr).toMatchObject({ exit: 0 });
      expect(reasons(first)).toContain('master-shared');
      await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });
      const before = everything(rig);
      refused(await rig.deploy(), 'blue');
      refused(await rig.deploy(['--dry-run']), 'blue');
      for (const verb of ['stop', 'restart']) refused(await rig.run(['pool', verb, 'blue']), 'blue');
      expect(everything(rig)).toEqual(before);
      expect(await site.answer()).toBe('blue');

      // a status page is the pool's own: it comes and goes with its master
      site.write('demo-blue-status.sock');
      await reloaded(rig, async () => (await site.answer()) !== 'blue');
      expect(await rig.deploy()).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'green' } });

      // the other slot's counts as well, and what is on the disk before nginx has read it
      site.write('admin-green.sock');
      const after = everything(rig);
      refused(await rig.run(['rollback', 'demo']), 'green');
      expect(everything(rig)).toEqual(after);
      await reloaded(rig, async () => (await site.answer()) === 'green');
      refused(await rig.run(['rollback', 'demo']), 'green');
      expect(await site.answer()).toBe('green');
    });
  });

  it('does not strand a deploy that is past its pivot, and the next one is refused', async () => {
    await withSecond(by, 'demo-blue-status.sock', async (rig, site) => {
      await rig.deployed();
      const record = numberOf('evidence verify');
      await deathAt({ when: 'written', record }, (dieAt) => rig.deploy([], { dieAt }));
      site.write('admin-green.sock');
      await reloaded(rig, async () => (await site.answer()) === 'green');
      const run = await rig.run(['recover', 'demo']);
      expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      refused(await rig.deploy(), 'green');
      expect(await site.answer()).toBe('green');
    });
  });

  it('ends with its pool when they have lost their master, and the slot can be used again', async () => {
    await withSecond(by, 'demo-blue-status.sock', async (rig) => {
      await rig.deployed();
      await rig.load({ fast: { rate: 40 } });
      // once there, the status page of green was asked, and its worker lives
      for (const lost of ['blue', 'green'] as const) {
        await rig.signalPool(lost, 'SIGKILL');
        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { outcome: 'done', from: lost } });
        expect(await rig.disorder()).toEqual([]);
      }
    });
  });
});
