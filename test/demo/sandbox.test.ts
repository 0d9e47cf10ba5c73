import { execFile, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
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
import { temporaryFolder } from '../../src/demo/machine.js';
import { findPrograms } from '../../src/demo/programs.js';
import { Sandbox, type SandboxOptions } from '../../src/demo/sandbox.js';
import { cuts } from '../../src/demo/summary.js';
import { waitUntil } from '../../src/system/clock.js';
import { places, proxyLock, slotLock } from '../../src/system/places.js';
import { identify, procfs } from '../../src/system/proc.js';
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
      const long = { every: 2_000, takes: 6_000 };
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

it('a temporary folder whose name would need quotes is passed over', () => {
  const before = process.env['TMPDIR'];
  const folder = mkdtempSync('/tmp/swap pool-');
  try {
    process.env['TMPDIR'] = folder;
    expect(temporaryFolder(false)).toBe('/tmp');
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(folder, { recursive: true });
  }
});

describe('what a sandbox leaves whose owner was killed', { timeout: 60_000 }, () => {
  const programs = findPrograms();
  if (!programs.ok) throw new Error('no programs');

  it('is removed by the next one, with its processes and its locks', async () => {
    const parent = mkdtempSync('/tmp/swap-pool-dead-');
    try {
      chmodSync(parent, 0o755);
      const child = await opensOne(parent);
      const left = { pids: child.pids, locks: child.locks };
      const lives = (): boolean => left.pids.some((pid) => identify(procfs(), pid) !== null);
      for (const lock of left.locks) writeFileSync(lock, '');
      await Sandbox.removeDead(programs.value, [parent]);
      expect([lives(), existsSync(child.folder)]).toEqual([true, true]);
      await child.kill();
      // its parent may not have reaped it, but it runs no more
      await Sandbox.removeDead(programs.value, [parent]);
      expect([lives(), existsSync(child.folder)]).toEqual([false, false]);
      expect(left.locks.filter((lock) => existsSync(lock))).toEqual([]);
    } finally {
      rmSync(parent, { recursive: true });
    }
  });

  it('stays where it cannot be known for sure to be one', async () => {
    const parent = mkdtempSync('/tmp/swap-pool-dead-');
    try {
      const gone = { boot: procfs().bootId, pid: 2 ** 22 + 1, start: 1 };
      const mark = { owner: gone, namespace: readlinkSync('/proc/self/ns/pid') };
      const folder = (name: string, content: string | null): string => {
        const path = join(parent, name);
        mkdirSync(path);
        if (content !== null) writeFileSync(join(path, 'sandbox.json'), content);
        return path;
      };
      const json = JSON.stringify;
      const dead = folder('swap-pool-00000000aa', json(mark));
      const spared = [
        folder('swap-pool-00000000bb', null),
        folder('swap-pool-00000000cc', '{'),
        folder('swap-pool-00000000dd', json({ ...mark, owner: identify(procfs(), process.pid) })),
        folder('swap-pool-00000000ee', json({ ...mark, owner: { ...gone, boot: 'another' } })),
        folder('swap-pool-00000000ff', json({ ...mark, namespace: 'pid:[1]' })),
        folder('swap-pool-test-000000', json(mark)),
        folder('swap-pool-0000000001', json(mark)),
      ];
      chmodSync(spared.at(-1) ?? '', 0o777);
      if (process.geteuid?.() === 0) {
        spared.push(folder('swap-pool-0000000002', json(mark)));
        chownSync(spared.at(-1) ?? '', 65534, 65534);
      }
      await Sandbox.removeDead(programs.value, [parent, join(parent, 'none')]);
      expect(existsSync(dead)).toBe(false);
      expect(spared.filter((path) => !existsSync(path))).toEqual([]);
    } finally {
      rmSync(parent, { recursive: true });
    }
  });
});

/** A process that opens a sandbox below `parent` and starts a pool there, and then waits for its end. */
async function opensOne(parent: string): Promise<{
  readonly folder: string;
  readonly pids: readonly number[];
  readonly locks: readonly string[];
  kill(): Promise<void>;
}> {
  const file = join(parent, 'owner.cjs');
  await build({
    stdin: { contents: OWNER.replaceAll('SRC', resolve('src')), resolveDir: resolve('.') },
    outfile: file,
    bundle: true,
    platform: 'node',
    logLevel: 'error',
  });
  const child = spawn(process.execPath, [file, resolve('templates')], {
    env: { PATH: '/usr/bin:/bin', TMPDIR: parent },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = new Promise<void>((done) => child.once('close', () => done()));
  const line = await new Promise<string>((done) => {
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => {
      told += chunk.toString();
      if (told.endsWith('\n')) done(told);
    });
    child.once('close', () => done(told));
  });
  const opened = JSON.parse(line) as { folder: string; pids: number[] };
  const { locks } = places({}, process.getuid?.() ?? -1);
  mkdirSync(locks, { recursive: true, mode: process.getuid?.() === 0 ? 0o755 : 0o700 });
  const socket = join(opened.folder, 'run', 'demo-green.sock');
  return {
    ...opened,
    locks: [
      proxyLock(locks, join(opened.folder, 'nginx.conf')),
      slotLock(locks, { kind: 'unix', path: socket }),
    ],
    kill: async () => {
      child.kill('SIGKILL');
      await closed;
    },
  };
}

const OWNER = `
  import { findPrograms } from 'SRC/demo/programs.js';
  import { Sandbox } from 'SRC/demo/sandbox.js';
  async function main() {
    const opened = await Sandbox.open({
      templates: process.argv[2],
      programs: findPrograms().value,
      sites: [{ name: 'demo', switch: 'rewrite' }],
    });
    const sandbox = opened.value;
    await sandbox.startPool('blue');
    setInterval(() => undefined, 1000);
    console.log(JSON.stringify({ folder: sandbox.folder, pids: sandbox.residents().map(({ id }) => id.pid) }));
  }
  void main();
`;

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
