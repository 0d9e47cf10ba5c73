import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { children, procfs } from '../../src/system/proc.js';
import { drained, moveOver, swap } from './bare-swap.js';
import { Command } from './command.js';
import { Rig, SHORT, withRig, type RigOptions } from './rig.js';

const SYMLINK: RigOptions = { switch: 'symlink', site: { workers: 6 } };

/** Runs a rig whose test goes wrong on purpose, and gives back what the rig found. */
async function findings(act: (rig: Rig) => Promise<void> | void, options = SYMLINK): Promise<string> {
  const rig = await Rig.open(options);
  try {
    await moveOver(rig.sandbox);
    rig.allow.patience = 1_500;
    await act(rig);
    return (await rig.finish()).join('\n');
  } finally {
    await rig.close();
    expect(existsSync(rig.sandbox.folder)).toBe(false);
  }
}

describe('at the end of a test the rig finds', () => {
  it('nothing, when a swap went well under load', async () => {
    const found = await findings(async (rig) => {
      const load = await rig.load(SHORT);
      await rig.until(() => load.underWay('slow') > 0);
      await swap(rig.sandbox);
      expect(await rig.answering()).toBe('green');
    });
    expect(found).toBe('');
  });

  it('requests that were cut', async () => {
    const found = await findings(async (rig) => {
      const load = await rig.load({ ...SHORT, slow: { every: 60_000, takes: 50_000 } });
      await rig.until(() => load.underWay('slow') > 0 && load.records.length > 20);
      await moveOver(rig.sandbox);
      await rig.signalPool('blue', 'SIGTERM');
    });
    // TERM cuts the slow one for sure, and a short one that happens to be on its way
    expect(found).toMatch(/^\d of \d+ requests cut: (.*; )?slow-\d+ after \d+ ms by nobody: status 502/s);
  });

  it('a class of a load of which nothing was sent', async () => {
    const found = await findings(async (rig) => {
      const load = await rig.load({ fast: { rate: 40 } });
      Object.defineProperty(load, 'plan', { value: { ...load.plan, slow: { every: 500, takes: 100 } } });
      await rig.until(() => load.records.length > 0);
    });
    expect(found).toBe('no request of the class slow was sent');
  });

  it('work that was cut after its request was answered', async () => {
    const found = await findings(async (rig) => {
      const load = await rig.load({ finish: { every: 60_000, takes: 50_000 } });
      await rig.until(() => load.records.length === 1);
      await moveOver(rig.sandbox);
      await drained(rig.sandbox, 'blue');
      await rig.signalPool('blue', 'SIGTERM');
    });
    expect(found).toBe('work cut after fastcgi_finish_request: finish-1');
  });

  it('orphaned workers', async () => {
    const found = await findings(async (rig) => {
      const workers = (): number =>
        rig.sandbox.residents().filter(({ command }) => command === 'php-fpm: pool demo').length;
      await rig.until(() => workers() === 6);
      await rig.signalPool('blue', 'SIGKILL');
    });
    expect(found).toMatch(/^(orphaned process \d+: php-fpm: pool demo\n?){6}$/);
  });

  it('a pool that still runs beside the one that serves', async () => {
    const found = await findings(async (rig) => {
      await moveOver(rig.sandbox);
    });
    expect(found).toBe('both slots of demo run');
  });

  it('a process that nobody expects', async () => {
    const rig = await Rig.open(SYMLINK);
    const tail = spawn('/usr/bin/tail', ['-f', rig.sandbox.path('nginx.conf')], { stdio: 'ignore' });
    try {
      rig.allow.patience = 100;
      const found = await rig.finish();
      expect(found).toEqual([
        `unexpected process ${tail.pid ?? 0}: /usr/bin/tail -f ${rig.sandbox.path('nginx.conf')}`,
      ]);
      // no nginx and no pool: the rig leaves it alone, and says so
      await expect(rig.close()).rejects.toThrow(/left behind: process \d+: \/usr\/bin\/tail/);
      expect(tail.exitCode).toBeNull();
    } finally {
      tail.kill();
      await once(tail, 'exit');
    }
  });

  it('an alert of nginx', async () => {
    const found = await findings(async (rig) => {
      const [worker = 0] = children(procfs(), rig.sandbox.nginxMaster() ?? 0);
      process.kill(worker, 'SIGKILL');
      await rig.until(() => rig.read('log', 'nginx.log').includes('exited on signal 9'));
    });
    expect(found).toMatch(/^nginx.log: .* \[alert\] .* worker process \d+ exited on signal 9$/);
  });

  it.each([
    ['a temporary file', ['upstreams', '.demo.conf.swap-pool-ab12'], 'upstreams/.demo.conf.swap-pool-ab12'],
    [
      'a retired name',
      ['run', '.demo-green.sock.swap-pool-retired'],
      'run/.demo-green.sock.swap-pool-retired',
    ],
    ['a new file in the configuration', ['sites', 'demo.conf.bak'], 'sites/demo.conf.bak'],
    ['the pidfile of a slot that does not run', ['run', 'demo-green.pid'], 'run/demo-green.pid'],
    ['the socket of a slot that does not run', ['run', 'demo-green.sock'], 'run/demo-green.sock'],
  ])('%s', async (_, path, stray) => {
    expect(await findings((rig) => rig.append('', ...path))).toBe(`stray file ${stray}`);
  });

  it('a deploy that nobody finished, its torn last record left out', async () => {
    const found = await findings((rig) => {
      mkdirSync(rig.sandbox.path('state', 'demo', 'deploys'), { recursive: true });
      rig.append('{"type":"opened"}\n{"type":"inte', 'state', 'demo', 'deploys', '000001-x.ndjson');
      rig.append('{"type":"opened"}\n{"type":"closed"}\n', 'state', 'demo', 'deploys', '000002-x.ndjson');
    });
    expect(found).toBe('state/demo/deploys/000001-x.ndjson is not closed: {"type":"opened"}');
  });

  it('a swap-pool that still runs', async () => {
    const found = await findings((rig) => {
      rig.spawn(['-e', 'setInterval(() => {}, 1000)'], { program: [process.execPath], json: false });
    });
    expect(found).toMatch(/^swap-pool still runs: \d+\nunexpected process \d+: .*node -e/);
  });

  it('nothing that the test said it expects', async () => {
    const found = await findings(async (rig) => {
      Object.assign(rig.allow, { bothSlots: true, openJournal: true, strays: [/^sites\/new$/] });
      rig.allow.log.push(/exited on signal 9/);
      rig.append('', 'sites', 'new');
      await moveOver(rig.sandbox);
    });
    expect(found).toBe('');
  });
});

describe('withRig', () => {
  it('fails a test that has nothing but a finding', async () => {
    const failing = withRig(SYMLINK, (rig) => {
      rig.append('', 'sites', '.x.swap-pool-1');
      return Promise.resolve();
    });
    await expect(failing).rejects.toThrow('at the end of the test:\n  stray file sites/.x.swap-pool-1');
  });

  it.each([
    ['throws', () => Promise.reject(new Error('on purpose')), 'on purpose'],
    ['never ends', () => new Promise<void>(() => undefined), 'the test took longer than 500 ms'],
  ])('cleans up after a test that %s, and tells its story', async (_, act, message) => {
    let rig: Rig | undefined;
    const failing = withRig({ ...SYMLINK, timeout: 500 }, async (opened) => {
      rig = opened;
      await moveOver(opened.sandbox);
      await opened.load(SHORT);
      await act();
    });
    await expect(failing).rejects.toThrow(
      new RegExp(`^${message}[^]*--- demo-blue.fpm.log\\n.*fpm is running`),
    );
    expect(rig?.sandbox.residents()).toEqual([]);
    expect(existsSync(rig?.sandbox.folder ?? '')).toBe(false);
  });
});

it('a link that is moved and a pool over TCP are seen by their sockets', async () => {
  await withRig({ site: { transport: 'tcp', workers: 2 } }, async (rig) => {
    expect(rig.isListening('blue')).toBe(false);
    await rig.sandbox.startPool('blue');
    expect([rig.isListening('blue'), rig.isListening('green')]).toEqual([true, false]);
    expect(await rig.answering()).toBe('blue');
  });
});

describe('a command', () => {
  it('runs in a session of its own, with the environment it is given and no other', async () => {
    const script = `
      const stat = require('fs').readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ');
      console.log('no JSON');
      console.log(JSON.stringify({ type: 'result', leader: Number(stat[3]) === process.pid, env: process.env }));`;
    const command = new Command(['-e', script], {
      program: [process.execPath],
      json: false,
      env: { A: '1' },
    });
    const { exit, result, events } = await command.end;
    expect(exit).toBe(0);
    expect(events).toHaveLength(1);
    expect(result).toEqual({
      type: 'result',
      leader: true,
      env: { A: '1', PATH: '/usr/bin:/bin', LANG: 'C.UTF-8' },
    });
  });

  it.each([
    ['written', 2, '{"type":"a"}\n{"type":"b"}\n', 'a b'],
    ['next', 2, '{"type":"a"}\n{"type":"b"}\n', 'a b c'],
  ] as const)('dies at its journal’s point %s:%i', async (when, record, journal, acts) => {
    const dir = mkdtempSync(join(tmpdir(), 'swap-pool-die-'));
    try {
      const script = join(dir, 'journal.cjs');
      writeFileSync(
        script,
        `const fs = require('fs');
         const fd = fs.openSync('${join(dir, 'journal')}', 'w');
         for (const type of ['a', 'b', 'c']) {
           fs.appendFileSync('${join(dir, 'acts')}', type + ' ');
           fs.writeSync(fd, Buffer.from(JSON.stringify({ type }) + '\\n'));
           fs.fdatasyncSync(fd);
         }
         setInterval(() => {}, 10);`,
      );
      const command = new Command([script], {
        program: [process.execPath, '--require', resolve('test/support/die-at.cjs')],
        json: false,
        env: { RIG_DIE: `${when}:${record}` },
      });
      expect(await command.end).toMatchObject({ exit: null, signal: 'SIGKILL' });
      expect(readFileSync(join(dir, 'journal'), 'utf8')).toBe(journal);
      expect(readFileSync(join(dir, 'acts'), 'utf8').trim()).toBe(acts);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
