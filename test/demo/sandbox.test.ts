import { execFile } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { Load, type LoadPlan } from '../../src/demo/load.js';
import { findPrograms } from '../../src/demo/programs.js';
import { Sandbox, type SandboxOptions } from '../../src/demo/sandbox.js';
import { cuts } from '../../src/demo/summary.js';
import { waitUntil } from '../../src/system/clock.js';
import { end, moveOver, swap } from '../support/bare-swap.js';
import { PATIENCE } from '../support/limits.js';

async function withSandbox(
  options: Pick<SandboxOptions, 'sites' | 'nginxHttp'>,
  act: (sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  const programs = findPrograms();
  if (!programs.ok) throw new Error(JSON.stringify(programs.failure));
  const opened = await Sandbox.open({
    templates: resolve('templates'),
    programs: programs.value,
    ...options,
  });
  if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
  try {
    await act(opened.value);
  } finally {
    expect(await opened.value.close()).toEqual([]);
  }
}

const symlink = { sites: [{ name: 'demo', switch: 'symlink' }] } as const;
const EVERYTHING: LoadPlan = {
  fast: { rate: 40 },
  slow: { every: 500, takes: 1000 },
  upload: { every: 500, takes: 600, bytes: 50_000 },
  post: { clients: 2, takes: 5 },
  idle: { clients: 4, every: 300, delay: 25 },
  finish: { every: 500, takes: 1000 },
  burst: { every: 1500, takes: 150, requests: 12 },
};
const send = (sandbox: Sandbox, plan: LoadPlan): Promise<Load> =>
  Load.start({ port: sandbox.site().port, host: 'demo.test', plan });
const until = async (what: () => boolean): Promise<void> => {
  const seen = await waitUntil(() => (what() ? true : undefined), { deadline: PATIENCE });
  expect(seen.kind).toBe('seen');
};

describe('under load of every class', () => {
  it.each(['symlink', 'rewrite'] as const)('a careful swap by %s cuts nothing', async (by) => {
    await withSandbox({ sites: [{ name: 'demo', switch: by }] }, async (sandbox) => {
      if (by === 'symlink') await moveOver(sandbox);
      else await sandbox.startPool('blue');
      const load = await send(sandbox, EVERYTHING);
      for (let round = 0; round < 2; round += 1) {
        await until(() => load.underWay('slow') > 0 && load.underWay('upload') > 0);
        await swap(sandbox);
      }
      const records = await load.stop();
      expect(cuts(records, by, sandbox.account())).toEqual([]);
      expect(new Set(records.map((record) => record.class)).size).toBe(7);
      const answered = records.filter(({ cut }) => cut === null);
      expect(new Set(answered.map((record) => record.by?.split('/')[0]))).toEqual(new Set(['blue', 'green']));
      const finishing = records.filter((record) => record.class === 'finish').map(({ id }) => id);
      await until(() => sandbox.finished().length >= finishing.length);
      expect(sandbox.finished().sort()).toEqual(finishing.sort());
    });
  });

  it('a pool that is ended with TERM instead of being drained is found out', async () => {
    await withSandbox(symlink, async (sandbox) => {
      await moveOver(sandbox);
      const long = { every: 1_000, takes: 3_000 };
      const load = await send(sandbox, { ...EVERYTHING, slow: long, finish: long });
      // later requests were answered, so the first slow one has been with the old pool for a while
      await until(() => load.underWay('slow') > 0 && load.records.length > 20);
      await end(sandbox, await moveOver(sandbox), 'SIGTERM');
      const records = await load.stop();
      expect(cuts(records, 'symlink', sandbox.account()).map((record) => record.class)).toContain('slow');
      const finishing = (slot: string): string[] =>
        records
          .filter(({ class: kind, by }) => kind === 'finish' && by?.startsWith(slot))
          .map(({ id }) => id);
      await until(() => finishing('green').every((id) => sandbox.finished().includes(id)));
      expect(finishing('blue')).not.toEqual([]);
      expect(sandbox.finished()).not.toEqual(expect.arrayContaining(finishing('blue')));
    });
  });
});

it('what is queued behind a full pool is sent and counted', async () => {
  const sites = [{ name: 'demo', switch: 'symlink', workers: 2 }] as const;
  await withSandbox({ sites }, async (sandbox) => {
    await moveOver(sandbox);
    const load = await send(sandbox, { burst: { every: 60_000, takes: 100, requests: 10 } });
    await until(() => load.records.length === 10);
    const records = await load.stop();
    expect(cuts(records, 'symlink', sandbox.account())).toEqual([]);
    expect(Math.max(...records.map(({ ms }) => ms))).toBeGreaterThan(400);
  });
});

describe('the files', () => {
  it('nginx names both slots for a rewrite, the link alone for a symlink', async () => {
    const sites = [
      { name: 'one', switch: 'rewrite' },
      { name: 'two', switch: 'symlink' },
      { name: 'three', switch: 'rewrite', transport: 'tcp' },
    ] as const;
    await withSandbox({ sites }, async (sandbox) => {
      const [one, two, three] = sandbox.sites.map((site) => readFileSync(site.upstream, 'utf8'));
      expect(one).toContain(`server ${sandbox.site('one').address.blue} max_fails=0;`);
      expect(one).toContain(`server ${sandbox.site('one').address.green} max_fails=0 backup;`);
      expect(two).toContain(`server unix:${sandbox.site('two').link};`);
      expect(two).not.toMatch(/blue|green/);
      expect(three).toMatch(/server 127\.0\.0\.1:\d+ max_fails=0 backup;/);
      for (const name of ['one', 'three']) {
        for (const slot of ['blue', 'green'] as const) {
          expect(await sandbox.startPool(slot, name)).toEqual({ ok: true, value: undefined });
        }
        const answer = await fetch(`http://127.0.0.1:${sandbox.site(name).port}/whoami.php`);
        expect(await answer.text()).toBe('blue\n');
      }
      expect(statSync(sandbox.path('state')).mode & 0o777).toBe(0o700);
    });
  });

  it('lines of the caller’s own go in, and what nginx refuses is a failure that leaves nothing', async () => {
    const programs = findPrograms();
    if (!programs.ok) throw new Error('no programs');
    const folders: string[] = [];
    const opened = await Sandbox.open({
      templates: resolve('templates'),
      programs: programs.value,
      nginxHttp: 'no_such_directive on;',
      prepare: (sandbox) => folders.push(sandbox.folder),
      ...symlink,
    });
    expect(opened).toMatchObject({ ok: false, failure: { reason: 'nginx-config-broken' } });
    expect(!opened.ok && JSON.stringify(opened.failure)).toContain('no_such_directive');
    expect(folders.filter((folder) => existsSync(folder))).toEqual([]);
    expect(folders).toHaveLength(1);
  });
});

it('close() ends orphaned workers and a pool whose pidfile is gone', async () => {
  const sites = [{ name: 'demo', switch: 'rewrite', transport: 'tcp' }] as const;
  await withSandbox({ sites }, async (sandbox) => {
    await sandbox.startPool('blue');
    await sandbox.startPool('green');
    const workers = (): number =>
      sandbox.residents().filter(({ command }) => command.startsWith('php-fpm: pool')).length;
    await until(() => workers() === 16);
    await end(sandbox, 'blue', 'SIGKILL');
    rmSync(sandbox.site().pidfile.green);
    expect(workers()).toBe(16);
  });
});

describe.runIf(process.geteuid?.() === 0)('without root', () => {
  it('everything runs as the caller, and nothing is left', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'swap-pool-unprivileged-'));
    try {
      chmodSync(dir, 0o755);
      cpSync(resolve('templates'), join(dir, 'templates'), { recursive: true });
      writeFileSync(join(dir, 'main.ts'), MAIN.replaceAll('SRC', resolve('src')));
      await build({
        entryPoints: [join(dir, 'main.ts')],
        outfile: join(dir, 'main.cjs'),
        bundle: true,
        platform: 'node',
        nodePaths: [resolve('node_modules')],
        logLevel: 'error',
      });
      const { stdout } = await promisify(execFile)(process.execPath, [join(dir, 'main.cjs')], {
        cwd: dir,
        uid: 65534,
        gid: 65534,
      });
      expect(JSON.parse(stdout)).toEqual({ users: [65534], answer: 'blue\n', left: [] });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

const MAIN = `
  import { join } from 'node:path';
  import { findPrograms } from 'SRC/demo/programs.js';
  import { Sandbox } from 'SRC/demo/sandbox.js';
  import { procfs, readStatus } from 'SRC/system/proc.js';
  async function main() {
    const programs = findPrograms();
    const opened = await Sandbox.open({
      templates: join(process.cwd(), 'templates'),
      programs: programs.value,
      sites: [{ name: 'demo', switch: 'rewrite' }],
    });
    if (!opened.ok) throw new Error(JSON.stringify(opened.failure));
    const sandbox = opened.value;
    const started = await sandbox.startPool('blue');
    if (!started.ok) throw new Error(JSON.stringify(started.failure));
    const answer = await (await fetch('http://127.0.0.1:' + sandbox.site().port + '/whoami.php')).text();
    const users = [...new Set(sandbox.residents().map(({ id }) => readStatus(procfs(), id.pid).uid))];
    console.log(JSON.stringify({ users, answer, left: await sandbox.close() }));
  }
  void main();
`;
