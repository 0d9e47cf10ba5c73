/** `nginx <verb>`: the proxy's control script, against a real nginx under load. */
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { ProcessId } from '../../src/event.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { appendedBy, identify, isAlive, procfs, signalProcess } from '../../src/system/proc.js';
import { programOfNobody } from '../support/command.js';
import { wrong } from '../support/findings.js';
import { withRig, type Rig } from '../support/rig.js';

const fs = procfs();
const BRIEF: LoadPlan = { fast: { rate: 60 }, post: { clients: 2, takes: 5 } };
const site = (yaml = '', yamlNginx = '') => ({ workers: 8, yaml, yamlNginx });

function master(rig: Rig): ProcessId {
  const id = identify(fs, rig.sandbox.nginxMaster() ?? 0);
  if (id === null) throw new Error('nginx does not run');
  return id;
}
const workers = (of: ProcessId): readonly ProcessId[] => readWorkers(fs, of).serving;
const pidfile = (rig: Rig): string => rig.sandbox.path('run', 'nginx.pid');

it('test and reload: a broken file is named with its line and changes nothing, a good one is proven to run', async () => {
  await withRig({ site: site() }, async (rig) => {
    rig.allow.strays.push(/^sites\/more\.conf$/);
    await rig.deployed();
    await rig.load(BRIEF);
    const more = rig.sandbox.path('sites', 'more.conf');
    expect((await rig.run(['nginx', 'test'])).result).toMatchObject({
      verb: 'test',
      outcome: 'done',
      exit: 0,
    });
    const before = workers(master(rig));

    writeFileSync(more, '\nserver { listen 127.0.0.1:1; nonsense; }\n');
    for (const verb of ['test', 'reload']) {
      const run = await rig.run(['nginx', verb]);
      expect(run.result, verb).toMatchObject({ exit: 1, failure: { reason: 'nginx-config-broken' } });
      expect(run.stderr).toMatch(/unknown directive "nonsense" in \S+\/more\.conf:2/);
    }
    expect(workers(master(rig))).toEqual(before);

    writeFileSync(more, '# nothing\n');
    const run = await rig.run(['nginx', 'reload']);
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'done',
      exit: 0,
      nginx: { state: 'running', workers: 2 },
    });
    expect(workers(master(rig)).filter(({ pid }) => before.some((id) => id.pid === pid))).toEqual([]);
    // what a reload has proven no deploy puts live again
    const deploy = await rig.deploy();
    expect(deploy.stdout).not.toContain('running-differs');
    expect(deploy.result).toMatchObject({ outcome: 'done' });
  });
});

it('a reload that nginx swallows says so, with what its log says', async () => {
  await withRig({ site: site() }, async (rig) => {
    rig.allow.log.push(/\[emerg\].*(bind\(\) to|still could not bind)/);
    rig.allow.strays.push(/^sites\/taken\.conf$/);
    await rig.deployed();
    await rig.load(BRIEF);
    const before = workers(master(rig));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      rig.append(`server { listen 127.0.0.1:${port}; }\n`, 'sites', 'taken.conf');
      const run = await rig.run(['nginx', 'reload']);
      expect(run.result, run.stdout).toMatchObject({ exit: 1, failure: { reason: 'reload-swallowed' } });
      expect(run.stderr).toMatch(/bind\(\) to 127\.0\.0\.1:\d+ failed/);
      expect(workers(master(rig))).toEqual(before);
    } finally {
      server.close();
    }
    rmSync(rig.sandbox.path('sites', 'taken.conf'));
    expect((await rig.run(['nginx', 'reload'])).result).toMatchObject({ outcome: 'done' });
  });
});

it('stop asks; waits for the last request; after the deadline it says who holds what, and kills nobody', async () => {
  await withRig({ site: site('drain: { timeout: 3s }') }, async (rig) => {
    await rig.deployed();
    const old = master(rig);
    const asked = await rig.run(['nginx', 'stop']);
    expect(asked.result).toMatchObject({ outcome: 'usage', exit: 2, failure: { reason: 'answer-needed' } });
    expect(asked.stderr).toContain('--yes');
    expect(isAlive(fs, old)).toBe(true);

    const slow = await rig.hold();
    const retired = workers(old);
    const run = await rig.run(['nginx', 'stop', '--yes']);
    expect(run.result, run.stdout).toMatchObject({ exit: 1, failure: { reason: 'nginx-busy' } });
    expect(run.result['outcome']).toBeUndefined();
    const told = run.events.find(({ type }) => type === 'failure')?.['failure'] as {
      holders: { pid: number }[];
    };
    expect(told.holders).toMatchObject([{ clients: 1, upstreams: 0 }]);
    expect(retired.map(({ pid }) => pid)).toContain(told.holders[0]?.pid);
    expect(await slow.finish()).toBe(200);
    await rig.until(() => !isAlive(fs, old));
    expect(existsSync(pidfile(rig))).toBe(false);
    expect((await rig.run(['nginx', 'stop', '--yes'])).result).toMatchObject({
      outcome: 'unchanged',
      exit: 0,
    });

    await rig.sandbox.startNginx();
    const again = master(rig);
    const last = await rig.hold();
    const command = rig.spawn(['nginx', 'stop', '--yes']);
    await command.until(({ type }) => type === 'notice');
    expect(await last.finish()).toBe(200);
    const stopped = await command.end;
    expect(stopped.result, stopped.stdout).toMatchObject({
      outcome: 'done',
      exit: 0,
      nginx: { state: 'stopped' },
    });
    expect(isAlive(fs, again)).toBe(false);
  });
});

it('force-stop ends also what hears no TERM, and leaves nothing that would keep nginx from starting', async () => {
  // a killed nginx leaves the file, and the next one could not bind it
  const prepare = (sandbox: Sandbox): void => {
    const text = readFileSync(sandbox.site().site, 'utf8');
    const more = `listen unix:${sandbox.path('run', 'web.sock')};`;
    writeFileSync(sandbox.site().site, text.replace('server_name', `${more} server_name`));
  };
  await withRig({ site: site('stop: { timeout: 500ms }'), prepare }, async (rig) => {
    await rig.deployed();
    const old = master(rig);
    const known = workers(old);
    expect(existsSync(rig.sandbox.path('run', 'web.sock'))).toBe(true);
    signalProcess(fs, old, 'SIGSTOP');
    for (const id of known) signalProcess(fs, id, 'SIGSTOP');
    const run = await rig.run(['nginx', 'force-stop']);
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'done',
      exit: 0,
      nginx: { state: 'stopped' },
    });
    expect([old, ...known].filter((id) => isAlive(fs, id))).toEqual([]);
    expect(existsSync(pidfile(rig))).toBe(false);
    expect((await rig.sandbox.startNginx()).ok).toBe(true);
    expect((await rig.run(['nginx', 'force-stop'])).result).toMatchObject({ outcome: 'done', exit: 0 });
    expect((await rig.run(['nginx', 'force-stop'])).result).toMatchObject({
      outcome: 'unchanged',
      exit: 0,
    });
    await rig.sandbox.startNginx();
  });
});

it.runIf(process.geteuid?.() === 0)('force-stop by who may not signal it says so, and ends nobody', () =>
  withRig({ site: site() }, async (rig) => {
    await rig.deployed();
    await rig.load(BRIEF);
    const all = [master(rig), ...workers(master(rig))];
    const program = programOfNobody(rig.sandbox.path('work', 'program'));
    const run = await rig.run(['nginx', 'force-stop'], { program });
    expect(run).toMatchObject({ exit: 1, result: { failure: { reason: 'nginx-unstoppable' } } });
    expect(run.stderr).toContain(`nginx may not be signalled: pid ${String(all[0]?.pid)}`);
    expect(run.stderr).toContain('as root');
    expect(all.filter((id) => isAlive(fs, id))).toEqual(all);
  }),
);

it('workers whose master was killed: every verb tells of them, stop lets them finish, force-stop does not wait', async () => {
  await withRig({ site: site('stop: { timeout: 5s }') }, async (rig) => {
    rig.allow.log.push(/\[alert\].*open socket #\d+ left in connection/);
    await rig.deployed();
    for (const how of ['stop', 'force-stop'] as const) {
      const of = master(rig);
      await rig.until(() => workers(of).length === 2);
      const left = workers(of);
      const slow = how === 'stop' ? await rig.hold() : null;
      await rig.signalNginx('SIGKILL', { gone: true });
      const pids = left.map(({ pid }) => pid).sort((a, b) => a - b);
      const told = { reason: 'nginx-orphaned' };

      const status = await rig.run(['nginx', 'status']);
      expect(status.result, status.stdout).toMatchObject({
        exit: 4,
        failure: told,
        nginx: { state: 'orphaned', pid: null, workers: 2, retiring: 0, pidfile: pidfile(rig) },
      });
      const { orphans } = status.result['nginx'] as { orphans: { workers: { pid: number }[] }[] };
      const seen = orphans.flatMap(({ workers: all }) => all.map(({ pid }) => pid));
      expect(seen.sort((a, b) => a - b)).toEqual(pids);
      for (const verb of ['reload', 'reopen-logs', 'upgrade']) {
        const run = await rig.run(['nginx', verb]);
        expect(run.result, verb).toMatchObject({ exit: 1, failure: told });
      }
      const doctor = await rig.run(['doctor']);
      const { findings } = doctor.result as unknown as { findings: { reason: string }[] };
      expect(findings.map(({ reason }) => reason)).toContain('nginx-orphaned');
      expect(findings.map(({ reason }) => reason)).not.toContain('nginx-not-running');
      // nobody could lead them to the other slot
      expect((await rig.deploy()).result).toMatchObject({ outcome: 'refused', failure: told });
      expect((await rig.run(['status'])).result).toMatchObject({ exit: 1, failure: told });
      expect(await rig.answering()).toBe('blue');

      if (how === 'stop') {
        expect((await rig.run(['nginx', 'stop'])).result).toMatchObject({
          failure: { reason: 'answer-needed' },
        });
      }
      const command = rig.spawn(['nginx', how, ...(how === 'stop' ? ['--yes'] : [])]);
      await command.until(({ type }) => type === 'notice');
      expect(await (slow?.finish() ?? 200)).toBe(200);
      const run = await command.end;
      expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0, nginx: { state: 'stopped' } });
      expect(left.filter((id) => isAlive(fs, id))).toEqual([]);
      expect(existsSync(pidfile(rig))).toBe(false);
      expect((await rig.sandbox.startNginx()).ok).toBe(true);
    }
  });
});

it('an nginx that was told to quit: every verb says so, and nothing blames its files or asks for a reload', async () => {
  await withRig({ site: site() }, async (rig) => {
    await rig.deployed();
    const of = master(rig);
    const slow = await rig.hold();
    await rig.signalNginx('SIGQUIT');
    await rig.until(() => workers(of).length === 0);
    const told = { reason: 'nginx-stopping' };
    const status = await rig.run(['nginx', 'status']);
    expect(status.result, status.stdout).toMatchObject({
      exit: 4,
      failure: told,
      nginx: { state: 'stopping', pid: of.pid, workers: 0, retiring: 1 },
    });
    const plain = await rig.run(['nginx', 'status'], { json: false });
    expect(plain.stdout).toContain('nginx: stopping');
    expect(plain.stderr).toContain('swap-pool nginx stop');
    for (const verb of ['reload', 'reopen-logs', 'upgrade']) {
      const run = await rig.run(['nginx', verb]);
      expect(run.result, verb).toMatchObject({ exit: 1, failure: told });
    }
    expect((await rig.deploy()).result).toMatchObject({ outcome: 'refused', failure: told });
    const look = await rig.run(['status']);
    expect(look.result).toMatchObject({ exit: 1, failure: told, apps: [{ served: false }] });
    expect((await rig.run(['status'], { json: false })).stdout).toContain('demo: not served');
    const doctor = await rig.run(['doctor']);
    expect(doctor.exit).toBe(1);
    expect(wrong(doctor)).toEqual(['error nginx-stopping']);
    // told again, it is waited for
    const end = rig.spawn(['nginx', 'stop', '--yes']);
    await end.until(({ type }) => type === 'notice');
    expect(await slow.finish()).toBe(200);
    expect((await end.end).result).toMatchObject({ outcome: 'done', nginx: { state: 'stopped' } });
    expect((await rig.sandbox.startNginx()).ok).toBe(true);
    expect((await rig.run(['nginx', 'status'])).exit).toBe(0);
    expect(await rig.deploy()).toMatchObject({ exit: 0 });
  });
});

it('reopen-logs: every process writes to the new file, those included that only finish', async () => {
  await withRig({ site: site() }, async (rig) => {
    rig.allow.strays.push(/^log\//);
    await rig.deployed();
    await rig.load(BRIEF);
    const of = master(rig);
    const slow = await rig.hold();
    expect((await rig.run(['nginx', 'reload'])).result).toMatchObject({ outcome: 'done' });
    const log = rig.sandbox.path('log', 'access.log');
    renameSync(log, `${log}.1`);
    const run = await rig.run(['nginx', 'reopen-logs']);
    expect(run.result, run.stdout).toMatchObject({ outcome: 'done', exit: 0 });
    const { serving, retiring } = readWorkers(fs, of);
    const old = statSync(`${log}.1`);
    for (const { pid } of [of, ...serving, ...retiring]) {
      const keys = (appendedBy(fs, pid) ?? []).map(({ key }) => key);
      expect([pid, keys.includes(`${old.dev}:${old.ino}`)]).toEqual([pid, false]);
    }
    expect(await slow.finish()).toBe(200);
    await rig.until(() => /id=held/.test(readFileSync(log, 'utf8')));
    // the account of the load is in both
    writeFileSync(log, readFileSync(`${log}.1`, 'utf8') + readFileSync(log, 'utf8'), { flag: 'r+' });
  });
});

it.runIf(process.geteuid?.() === 0)(
  'reopen-logs: workers that may not open the new file are told, not passed over',
  async () => {
    await withRig({ site: site('', 'reload-timeout: 1s') }, async (rig) => {
      rig.allow.log.push(/\[emerg\].*open\(\) .* failed \(13: Permission denied\)/);
      rig.allow.strays.push(/^log\//);
      const folder = rig.sandbox.path('log');
      const log = rig.sandbox.path('log', 'access.log');
      renameSync(log, `${log}.1`);
      chmodSync(folder, 0o700);
      const run = await rig.run(['nginx', 'reopen-logs']);
      expect(run.result, run.stdout).toMatchObject({ exit: 1, failure: { reason: 'logs-not-reopened' } });
      expect(run.stderr).toMatch(/Permission denied/);
      chmodSync(folder, 0o755);
      expect((await rig.run(['nginx', 'reopen-logs'])).result).toMatchObject({ outcome: 'done' });
    });
  },
);

it('reopen-logs: a master that takes no signal is told as that', async () => {
  await withRig({ site: site('', 'reload-timeout: 1s') }, async (rig) => {
    const { pid } = master(rig);
    process.kill(pid, 'SIGSTOP');
    const run = await rig.run(['nginx', 'reopen-logs']);
    process.kill(pid, 'SIGCONT');
    expect(run.result, run.stdout).toMatchObject({ exit: 1, failure: { reason: 'logs-not-reopened' } });
    expect(run.stderr).toContain('has not taken the signal');
    expect(run.stderr).not.toContain('owner of the files');
  });
});

it('status: LSB codes, generations with what they hold, no lock needed', async () => {
  await withRig({ site: site() }, async (rig) => {
    await rig.deployed();
    const of = master(rig);
    const before = workers(of).map(({ pid }) => pid);
    const slow = await rig.hold();
    const command = rig.spawn(['nginx', 'reload']);
    expect((await command.end).exit).toBe(0);
    const run = await rig.run(['nginx', 'status']);
    expect(run.result, run.stdout).toMatchObject({
      verb: 'status',
      exit: 0,
      nginx: { state: 'running', pid: of.pid, workers: 2, retiring: 1, pidfile: pidfile(rig), upgrade: null },
    });
    const { generations } = run.result['nginx'] as {
      generations: { retiring: boolean; workers: { pid: number; clients: number; upstreams: number }[] }[];
    };
    expect(generations.map(({ retiring, workers: all }) => [retiring, all.length])).toEqual([
      [false, 2],
      [true, 1],
    ]);
    const [held] = generations[1]?.workers ?? [];
    expect(held).toMatchObject({ clients: 1, upstreams: 0 });
    expect(before).toContain(held?.pid);
    const shown = await rig.run(['nginx', 'status'], { json: false });
    expect(shown.stdout).toMatch(
      /^nginx: running, pid \d+ since [^]*serving since [^]*retiring since [^]*\(1 client, 0 upstreams\)/,
    );
    expect(await slow.finish()).toBe(200);

    // a TERM in the middle of a worker's end makes it complain of the connection that it closes
    await rig.until(() => readWorkers(fs, of).retiring.length === 0);
    await rig.signalNginx('SIGTERM', { gone: true });
    expect(await rig.run(['nginx', 'status'])).toMatchObject({
      exit: 3,
      result: { nginx: { state: 'stopped' } },
    });
    writeFileSync(pidfile(rig), `${of.pid}\n`);
    expect(await rig.run(['nginx', 'status'])).toMatchObject({
      exit: 1,
      result: { nginx: { state: 'dead' } },
    });
    rmSync(pidfile(rig));
    // a test of an nginx that does not run leaves no empty pidfile
    expect((await rig.run(['nginx', 'test'])).result).toMatchObject({ outcome: 'done' });
    expect(existsSync(pidfile(rig))).toBe(false);
    for (const verb of ['reload', 'reopen-logs', 'upgrade']) {
      const refused = await rig.run(['nginx', verb]);
      expect(refused.result, verb).toMatchObject({ exit: 1, failure: { reason: 'nginx-not-running' } });
    }
    await rig.sandbox.startNginx();
  });
});

it('several apps behind one nginx name it once; apps that name two are asked which', async () => {
  const sites = ['a', 'b'].map((name) => ({ name, switch: 'rewrite' as const, workers: 2 }));
  await withRig({ sites }, async (rig) => {
    rig.allow.strays.push(/^(other\.conf|config\/c\.yaml)$/);
    const all = await rig.run(['nginx', 'reload']);
    expect(all.result, all.stdout).toMatchObject({ outcome: 'done', app: null });
    const other = rig.sandbox.path('other.conf');
    writeFileSync(other, 'events { }\n');
    const yaml = readFileSync(rig.site('b').config, 'utf8');
    writeFileSync(rig.site('b').config, yaml.replace(rig.sandbox.path('nginx.conf'), other));
    const run = await rig.run(['nginx', 'reload']);
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'usage',
      exit: 2,
      failure: { reason: 'proxies-differ' },
    });
    expect(run.stderr).toContain('-c FILE');
    // LSB has a code of its own for what cannot be told
    const unclear = await rig.run(['nginx', 'status']);
    expect(unclear).toMatchObject({
      exit: 4,
      result: { command: 'nginx', verb: 'status', failure: { reason: 'proxies-differ' } },
    });
    const one = await rig.run(['nginx', 'status', '-c', rig.site('a').config]);
    expect(one.result).toMatchObject({ exit: 0, nginx: { pid: rig.sandbox.nginxMaster() } });
    writeFileSync(rig.site('b').config, yaml);
    const broken = rig.sandbox.path('config', 'c.yaml');
    writeFileSync(broken, 'nonsense: 1\n');
    expect(await rig.run(['nginx', 'status', '-c', broken])).toMatchObject({
      exit: 4,
      result: { verb: 'status', failure: { reason: 'config-invalid' } },
    });
    expect(await rig.run(['nginx', 'reload', '-c', broken])).toMatchObject({
      exit: 2,
      result: { verb: 'reload', outcome: 'usage', failure: { reason: 'config-invalid' } },
    });
    rmSync(broken);
    expect(await rig.run(['nginx', 'frobnicate'])).toMatchObject({ exit: 2, result: { outcome: 'usage' } });
  });
});

it('an app that cannot be read, or a file that is none, keeps nobody from the nginx that the others name', async () => {
  const sites = ['a', 'b'].map((name) => ({ name, switch: 'rewrite' as const, workers: 2 }));
  await withRig({ sites }, async (rig) => {
    const misnamed = rig.sandbox.path('config', 'c.yml');
    writeFileSync(misnamed, '');
    const yaml = readFileSync(rig.site('b').config, 'utf8');
    writeFileSync(rig.site('b').config, 'drian: 1\n');
    const run = await rig.run(['nginx', 'reload']);
    expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    const told = run.events.filter(({ type }) => type === 'warning');
    expect(told).toMatchObject([
      { app: null, warning: { reason: 'app-left-out' } },
      { app: 'b', warning: { reason: 'app-left-out' } },
    ]);
    const plain = await rig.run(['nginx', 'status'], { json: false });
    expect(plain.exit).toBe(0);
    expect(plain.stderr).toContain('c.yml');
    expect(plain.stderr).toContain('drian');
    const only = await rig.run(['nginx', 'reload', '-c', rig.site('b').config]);
    expect(only).toMatchObject({ exit: 2, result: { failure: { reason: 'config-invalid' } } });
    writeFileSync(rig.site('b').config, yaml);
    rmSync(misnamed);
  });
});

it('a verb that changes something waits for nginx’s lock; quiet says nothing when all is well', async () => {
  await withRig({ site: site('drain: { timeout: 20s }', 'reload-timeout: 700ms') }, async (rig) => {
    await rig.deployed();
    const slow = await rig.hold();
    const stop = rig.spawn(['nginx', 'stop', '--yes']);
    await stop.until(({ type }) => type === 'notice');
    const run = await rig.run(['nginx', 'reopen-logs']);
    expect(run.result, run.stdout).toMatchObject({
      outcome: 'locked',
      exit: 3,
      failure: { reason: 'locked' },
    });
    // looks without the lock
    expect((await rig.run(['nginx', 'status'])).result).toMatchObject({
      exit: 4,
      nginx: { state: 'stopping' },
    });
    expect(await slow.finish()).toBe(200);
    expect((await stop.end).result).toMatchObject({ outcome: 'done' });
    await rig.sandbox.startNginx();
    expect(await rig.run(['-q', 'nginx', 'reload'], { json: false })).toMatchObject({
      exit: 0,
      stdout: '',
      stderr: '',
    });
  });
});
