/** `status`, `start` and `history` claim nothing that is not so: nobody is served by a pool that nobody can come to. */
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { children, procfs } from '../../src/system/proc.js';
import { programOfNobody, type Run } from '../support/command.js';
import { reloadByHand } from '../support/by-hand.js';
import { reasonOf } from '../support/deaths.js';
import { withRig, type Rig, type RigOptions } from '../support/rig.js';

const BOTH: readonly SwitchKind[] = ['rewrite', 'symlink'];
const on = (by: SwitchKind): RigOptions => ({ switch: by, site: { workers: 4 } });
const isRoot = process.geteuid?.() === 0;

const warned = (run: Run): unknown[] =>
  run.events.filter(({ type }) => type === 'warning').map(({ warning }) => reasonOf(warning));
const socketOf = (rig: Rig, slot: 'blue' | 'green'): string => rig.site().address[slot].slice('unix:'.length);

/** `status` says that nobody is served, why, and that in words, too. */
async function unserved(rig: Rig, reason: string, words: string): Promise<void> {
  const run = await rig.run(['status']);
  expect(run, run.stdout).toMatchObject({
    exit: 1,
    result: { failure: { reason }, apps: [{ served: false, failure: { reason } }] },
  });
  const plain = await rig.run(['status'], { json: false });
  expect(plain.stdout).toContain(words);
  expect(plain.stdout).not.toMatch(/(blue|green) serves/);
}

const served = async (rig: Rig, active: string): Promise<void> => {
  expect(await rig.run(['status'])).toMatchObject({ exit: 0, result: { apps: [{ active, served: true }] } });
};

/** Until a change of a file is surely later than the birth of nginx's workers, whose start times are known to a second. */
const laterThanBirth = (rig: Rig): Promise<void> => {
  const now = Date.now();
  return rig.until(() => Date.now() - now > 1_500);
};

describe.each(BOTH)('a pool whose socket file somebody removed: %s', { timeout: 60_000 }, (by) => {
  it('is not served, and start brings the other slot up and ends it, its last request answered', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const slow = fetch(`http://127.0.0.1:${rig.site().port}/slow.php?ms=2000`);
      const lost = rig.sandbox.poolMaster('blue');
      await busy(rig);
      rmSync(socketOf(rig, 'blue'));
      await unserved(rig, 'pool-unreachable', 'demo: not served');
      const run = await rig.run(['start']);
      expect(run, run.stderr).toMatchObject({
        exit: 0,
        result: { from: 'blue', to: 'green', outcome: 'done' },
      });
      expect(warned(run)).toContain('socket-file-gone');
      expect((await slow).status).toBe(200);
      expect(await rig.answering()).toBe('green');
      expect(rig.sandbox.residents().map(({ id }) => id.pid)).not.toContain(lost);
      await served(rig, 'green');
    });
  });

  it('is ended and started anew where nginx does not run, or runs other files', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.signalNginx('SIGQUIT', { gone: true });
      rmSync(socketOf(rig, 'blue'));
      expect(await rig.run(['start'])).toMatchObject({
        exit: 0,
        result: { from: null, to: 'blue', served: false },
      });
      expect((await rig.sandbox.startNginx()).ok).toBe(true);
      expect(await rig.answering()).toBe('blue');
      rig.append('# changed\n', 'nginx.conf');
      rmSync(socketOf(rig, 'blue'));
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { from: null, to: 'blue' } });
      await served(rig, 'blue');
    });
  });
});

async function busy(rig: Rig): Promise<void> {
  for (;;) {
    const { result } = await rig.run(['status']);
    const [app] = result['apps'] as [{ slots: { blue: { connections: { accepted: number } } } }];
    if (app.slots.blue.connections.accepted > 0) return;
  }
}

describe.each(BOTH)('while nginx does not run: %s', (by) => {
  it('nobody is served, and start says that its pool is up and nobody is sent there', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      await rig.signalNginx('SIGQUIT', { gone: true });
      await unserved(rig, 'nginx-not-running', 'nginx: not running');
      const run = await rig.run(['start']);
      expect(run).toMatchObject({ exit: 0, result: { outcome: 'unchanged', served: false } });
      expect(warned(run)).toEqual(['proxy-stopped']);
      expect((await rig.run(['start'], { json: false })).stdout).not.toContain('serves');
    });
  });
});

describe.runIf(isRoot)('a socket that nginx’s user may not open', () => {
  it('is not served, and start refuses', async () => {
    await withRig(on('rewrite'), async (rig) => {
      await rig.deployed();
      const socket = socketOf(rig, 'blue');
      const { uid, gid } = statSync(socket);
      chownSync(socket, 0, 0);
      await unserved(rig, 'pool-unreachable', 'permission denied on its socket');
      expect(await rig.run(['start'])).toMatchObject({
        exit: 1,
        result: { outcome: 'refused', failure: { reason: 'pool-unreachable' } },
      });
      chownSync(socket, uid, gid);
      await served(rig, 'blue');
    });
  });

  it('is found by the probe before nginx runs, too: its `user` says whom to ask as', async () => {
    const fpmPool = 'listen.owner = root\nlisten.group = root';
    await withRig({ switch: 'rewrite', site: { workers: 4, fpmPool } }, async (rig) => {
      await rig.signalNginx('SIGQUIT', { gone: true });
      expect(await rig.run(['start'])).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', failure: { reason: 'probe-failed' } },
      });
      expect(rig.isListening('blue')).toBe(false);
    });
  });
});

describe.each(BOTH)('a site that was sent elsewhere: %s', (by) => {
  it('is served as before until nginx is told, then not; a start and a deploy warn', async () => {
    await withRig(on(by), async (rig) => {
      await rig.deployed();
      const { site } = rig.site();
      const text = readFileSync(site, 'utf8');
      writeFileSync(site, text.replace('fastcgi_pass demo;', 'fastcgi_pass 127.0.0.1:9;'));
      const before = await rig.run(['status']);
      expect(before).toMatchObject({ exit: 0, result: { apps: [{ active: 'blue', served: true }] } });
      expect(warned(before)).toEqual(['running-differs']);
      await reloadByHand(rig);
      await unserved(rig, 'reference-unused', 'demo: not served');
      const start = await rig.run(['start']);
      expect(start).toMatchObject({ exit: 0, result: { outcome: 'unchanged', served: false } });
      expect(warned(start)).toContain('reference-unused');
      expect(warned(await rig.deploy(['--dry-run']))).toContain('reference-unused');
      writeFileSync(site, text);
      await reloadByHand(rig);
      expect(await rig.run(['status'])).toMatchObject({ exit: 0, result: { apps: [{ served: true }] } });
    });
  });

  it('was brought up before nginx’s site was written: not served until nginx has read it', async () => {
    await withRig(on(by), async (rig) => {
      const { site } = rig.site();
      const text = readFileSync(site, 'utf8');
      writeFileSync(site, text.replace('fastcgi_pass demo;', 'fastcgi_pass 127.0.0.1:9;'));
      // verify would go through nginx; a start has none
      const start = await rig.run(['start']);
      expect(start).toMatchObject({ exit: 0, result: { to: 'blue', served: false } });
      expect(warned(start)).toContain('reference-unused');
      await unserved(rig, 'reference-unused', 'demo: not served');
      await laterThanBirth(rig);
      writeFileSync(site, text);
      await unserved(rig, 'files-unread', 'demo: cannot be told');
      await reloadByHand(rig);
      expect(await rig.run(['status'])).toMatchObject({ exit: 0, result: { apps: [{ served: true }] } });
    });
  });
});

it('files that somebody else’s reload has read are read, whoever owns them since; written anew they are not', async () => {
  await withRig(on('rewrite'), async (rig) => {
    await rig.deployed();
    const { upstream } = rig.site();
    const text = readFileSync(upstream, 'utf8');
    await reloadByHand(rig);
    await laterThanBirth(rig);
    chmodSync(upstream, 0o640);
    const run = await rig.run(['status']);
    expect(run, run.stderr).toMatchObject({ exit: 0, result: { apps: [{ active: 'blue', served: true }] } });
    expect(warned(run)).toEqual(['running-differs']);
    // other bytes were put live, and taken back in the file alone: what it says is true of the disk only
    writeFileSync(upstream, 'upstream demo { server 127.0.0.1:9; }\n');
    await reloadByHand(rig);
    await laterThanBirth(rig);
    writeFileSync(upstream, text);
    await unserved(rig, 'files-unread', 'demo: cannot be told');
    // before anything is started or stopped, what the file says becomes true
    const deploy = await rig.deploy();
    expect(deploy).toMatchObject({ exit: 0, result: { from: 'blue', to: 'green' } });
    expect(warned(deploy)).toContain('running-differs');
  });
});

it('a deploy that died before its switch, and an upstream that somebody spoiled: status says who serves', async () => {
  await withRig(on('rewrite'), async (rig) => {
    await rig.deployed();
    // opened, start, start, probe, probe: the sixth is the switch's intent
    await rig.deploy([], { dieAt: { when: 'written', record: 6 } });
    const { upstream } = rig.site();
    const text = readFileSync(upstream, 'utf8');
    writeFileSync(upstream, 'upstream demo { server 127.0.0.1:9; }\n');
    expect(await rig.run(['recover'])).toMatchObject({ exit: 4 });
    const run = await rig.run(['status']);
    expect(run, run.stdout).toMatchObject({ exit: 0, result: { apps: [{ active: 'blue', served: true }] } });
    await reloadByHand(rig);
    const after = await rig.run(['status']);
    expect(after).toMatchObject({ exit: 1, result: { failure: { reason: 'reference-missing' } } });
    expect(after.stderr).not.toContain('swap-pool start');
    writeFileSync(upstream, text);
    await reloadByHand(rig);
    expect(await rig.run(['recover'])).toMatchObject({ exit: 1 });
    await served(rig, 'blue');
  });
});

describe('what cannot be told is not called stopped', () => {
  it('a broken configuration: every problem, exit 2', async () => {
    await withRig(on('rewrite'), async (rig) => {
      const { config } = rig.site();
      const text = readFileSync(config, 'utf8');
      writeFileSync(config, `${text}\nno-such-key: 1\nnor-this: 2\n`);
      const run = await rig.run(['status'], { json: false });
      expect(run.exit).toBe(2);
      expect(run.stderr).toContain('no-such-key');
      expect(run.stderr).toContain('nor-this');
      expect(`${run.stdout}${run.stderr}`).not.toMatch(/not served|not running|swap-pool start/i);
      const missing = await rig.run(['status', '-c', rig.sandbox.path('config', 'other.yaml')]);
      expect(missing).toMatchObject({ exit: 2, result: { failure: { reason: 'config-invalid' } } });
      writeFileSync(config, text);
    });
  });

  it('two nginx run, and no key says which one is meant', async () => {
    await withRig({ switch: 'rewrite', site: { workers: 2 } }, async (other) => {
      await withRig({ switch: 'symlink', site: { workers: 2 } }, async (rig) => {
        await rig.deployed();
        // a demo's nginx does not count, and both are like one
        for (const each of [rig, other]) rmSync(each.sandbox.path('sandbox.json'));
        const { config } = rig.site();
        const text = readFileSync(config, 'utf8');
        writeFileSync(config, text.replace(/^ +config: .*nginx\.conf.*\n/m, ''));
        const run = await rig.run(['status']);
        expect(run).toMatchObject({
          exit: 1,
          result: { failure: { reason: 'nginx-ambiguous' }, apps: [{ served: false }], nginx: null },
        });
        const plain = await rig.run(['status'], { json: false });
        expect(`${plain.stdout}${plain.stderr}`).not.toMatch(/not served|not running/i);
        expect(plain.stderr).toContain('nginx.config');
        writeFileSync(config, text);
        expect(other.sandbox.nginxMaster()).not.toBeNull();
      });
    });
  });
});

it('a misnamed file keeps no app from its turn: started, the error said, exit 2', async () => {
  await withRig(on('symlink'), async (rig) => {
    const stray = rig.sandbox.path('config', 'other.yml');
    writeFileSync(stray, '');
    const run = await rig.run(['start']);
    expect(run).toMatchObject({ exit: 2, result: { exit: 2, failure: { reason: 'config-invalid' } } });
    expect(run.stderr).toContain('other.yml');
    expect(await rig.answering()).toBe('blue');
    const status = await rig.run(['status']);
    expect(status).toMatchObject({ exit: 2, result: { apps: [{ app: 'demo', served: true }] } });
    rmSync(stray);
  });
});

describe.runIf(isRoot)('to somebody who may not look', () => {
  it('status says that it cannot be told, history that it may not be read, and neither denies what is', async () => {
    await withRig(on('symlink'), async (rig) => {
      await rig.deployed();
      const status = asNobody(rig, 'status');
      expect(status.status).toBe(1);
      expect(status.stdout).toContain('demo: cannot be told');
      expect(`${status.stdout}${status.stderr}`).not.toMatch(/not served|not running/i);
      const history = asNobody(rig, 'history');
      expect(history.stderr).toContain('permission denied');
      expect(history.stdout).not.toContain('No deploy yet');
      expect(history.status).toBe(1);
    });
  });
});

function asNobody(rig: Rig, verb: string): SpawnSyncReturns<string> {
  const [file = '', ...words] = programOfNobody(rig.sandbox.path('work', 'program'));
  return spawnSync(file, [...words, verb], {
    env: { PATH: '/usr/bin:/bin', ...rig.sandbox.env },
    encoding: 'utf8',
    cwd: '/',
  });
}

describe('files that somebody is still editing', () => {
  const edited = async (rig: Rig): Promise<number[]> => {
    await rig.deployed();
    expect(await rig.deploy()).toMatchObject({ exit: 0 });
    expect(await rig.deploy()).toMatchObject({ exit: 0 });
    await laterThanBirth(rig);
    rig.append('# half of an edit\n', 'nginx.conf');
    return nginxWorkers(rig);
  };
  const nginxWorkers = (rig: Rig): number[] => children(procfs(), rig.sandbox.nginxMaster() ?? -1);

  it.each(BOTH)('are not put live by those who have nothing to do: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      const workers = await edited(rig);
      expect(await rig.deploy(['--if-changed', '--quiet'], { json: false })).toMatchObject({
        exit: 0,
        stdout: '',
        stderr: '',
      });
      expect(await rig.run(['start'])).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
      expect(await rig.run(['rollback'])).toMatchObject({ exit: 0 });
      expect(nginxWorkers(rig)).not.toEqual(workers);
      rig.append('# the other half\n', 'nginx.conf');
      await laterThanBirth(rig);
      const again = nginxWorkers(rig);
      expect(await rig.run(['rollback'])).toMatchObject({
        exit: 1,
        result: { failure: { reason: 'nothing-to-roll-back' } },
      });
      expect(nginxWorkers(rig)).toEqual(again);
    });
  });

  it.each(BOTH)('are in the plan of who would put them live: %s', async (by) => {
    await withRig(on(by), async (rig) => {
      const workers = await edited(rig);
      const run = await rig.deploy(['--dry-run']);
      const plan = run.events.find(({ type }) => type === 'plan')?.['plan'] as {
        signals: { signal: string }[];
      };
      const hups = plan.signals.filter(({ signal }) => signal === 'SIGHUP');
      expect(hups).toHaveLength(by === 'rewrite' ? 2 : 1);
      expect(warned(run).filter((reason) => reason === 'running-differs')).toHaveLength(1);
      const unchanged = await rig.deploy(['--dry-run', '--if-changed']);
      expect(unchanged.events.map(({ type }) => type)).toEqual(['result']);
      expect(nginxWorkers(rig)).toEqual(workers);
    });
  });
});
