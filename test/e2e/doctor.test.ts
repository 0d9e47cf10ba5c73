import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, it } from 'vitest';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import { children, identify, procfs } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import { editByHand, reloadByHand } from '../support/by-hand.js';
import { programOfNobody, type Run } from '../support/command.js';
import { findings, only, wrong, type Seen } from '../support/findings.js';
import { withRig, type Rig } from '../support/rig.js';
import { deadPid, listener, otherFpm } from '../support/strangers.js';

const isRoot = process.geteuid?.() === 0;

/** Doctor's look, which changes no file. */
async function look(rig: Rig, args: readonly string[] = []): Promise<Run> {
  const before = rig.contents();
  const run = await rig.run(['doctor', ...args]);
  expect(rig.contents()).toEqual(before);
  for (const one of run.exit === 2 ? [] : findings(run)) {
    expect(one).toMatchObject({ message: expect.any(String) as string, hint: expect.any(String) as string });
  }
  return run;
}

/** The connections that the standby holds. */
const accepted = (rig: Rig): number =>
  socketsAt(procfs(), { kind: 'unix', path: rig.site().address.green.slice('unix:'.length) }).connections
    .accepted;
const isLocked = (path: string): boolean => spawnSync('/usr/bin/flock', ['-n', path, 'true']).status === 1;

describe('a healthy site', () => {
  it('has no finding but advice, and exit 0', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      expect(await look(rig)).toMatchObject({ exit: 0, result: { command: 'doctor', examined: ['demo'] } });
      await rig.deploy();
      const run = await look(rig, ['demo']);
      expect({ exit: run.exit, wrong: wrong(run) }).toEqual({ exit: 0, wrong: [] });
      expect(findings(run).map(({ reason, app }) => [reason, app])).toEqual([
        ['shutdown-timeout-unset', null],
        ['reload-hits-idle', null],
      ]);
    }));

  it('with a symlink and a worker_shutdown_timeout has none at all, and doctor says so', () =>
    withRig({ switch: 'symlink', nginxMain: 'worker_shutdown_timeout 1m;' }, async (rig) => {
      await rig.deployed();
      const run = await rig.run(['doctor'], { json: false });
      expect(run).toMatchObject({ exit: 0, stdout: 'demo: nothing is wrong\n', stderr: '' });
      expect(await rig.run(['doctor', '-q'], { json: false })).toMatchObject({ stdout: '', stderr: '' });
    }));
});

// as a HUP does, too, where FPM is built so; elsewhere that reloads it
describe('a master that was killed', () => {
  it('leaves orphans that serve: named, left alone, and ended by the deploy that is named', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.signalPool('blue', 'SIGKILL');
      const run = await look(rig);
      expect(run.exit).toBe(1);
      expect(wrong(run)).toEqual(['error orphans', 'warning pidfile']);
      const orphans = only(run, 'orphans');
      expect(orphans).toMatchObject({
        app: 'demo',
        fixable: false,
        evidence: { slot: 'blue', serves: true },
      });
      expect((orphans.evidence['pids'] as number[]).length).toBe(16);
      expect(orphans.hint).toContain('`swap-pool deploy demo`');
      const plain = await rig.run(['doctor', '-q'], { json: false });
      expect(plain.stdout).toBe('');
      expect(plain.stderr).toContain(orphans.message);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      expect(await look(rig)).toMatchObject({ exit: 0 });
    }));

  it('leaves orphans in the standby that may be ended', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.sandbox.startPool('green');
      expect(wrong(await look(rig))).toEqual(['warning standby-running']);
      await rig.signalPool('green', 'SIGKILL');
      const run = await look(rig);
      expect(wrong(run)).toEqual(['error orphans', 'warning pidfile']);
      expect(only(run, 'orphans')).toMatchObject({
        fixable: true,
        evidence: { slot: 'green', serves: false },
      });
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      expect(await look(rig)).toMatchObject({ exit: 0 });
    }));
});

describe('who else is there', () => {
  it('a stranger at an address is named by pid, command and user', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const stranger = await listener(rig.site().address.green);
      try {
        const run = await look(rig);
        expect(wrong(run)).toEqual(['error slot-foreign']);
        const user = isRoot ? 'root' : (expect.any(String) as string);
        expect(only(run, 'slot-foreign').evidence['holder']).toEqual({
          pid: stranger.pid,
          command: expect.stringContaining('squatter') as string,
          user,
        });
      } finally {
        await stranger.end();
        rmSync(rig.site().address.green.slice('unix:'.length), { force: true });
      }
    }));

  it('a php-fpm with another configuration is named with it', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const other = await otherFpm({ listen: rig.site().address.green });
      try {
        const run = await look(rig);
        expect(wrong(run)).toEqual(['error master-of-other-config']);
        expect(only(run, 'master-of-other-config').evidence).toMatchObject({
          slot: 'green',
          master: { pid: other.pid },
          runs: expect.stringMatching(/other\.conf$/) as string,
          expected: rig.site().fpmConfig.green,
          serves: false,
        });
      } finally {
        await other.end();
      }
    }));

  it('two masters of one slot are told, with both pids', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const path = rig.site().address.green.slice('unix:'.length);
      await rig.sandbox.startPool('green');
      const first = rig.sandbox.poolMaster('green');
      // what makes FPM believe that nobody is there
      for (const file of [path, path.replace('.sock', '-status.sock'), rig.site().pidfile.green])
        rmSync(file);
      const nameless = await look(rig);
      expect(only(nameless, 'socket-nameless').evidence).toMatchObject({ pid: first, retired: false });
      await rig.sandbox.startPool('green');
      const run = await look(rig);
      expect(wrong(run)).toContain('error several-lives');
      const holders = only(run, 'several-lives').evidence['holders'] as { pid: number }[];
      expect(holders.map(({ pid }) => pid).sort()).toEqual([first, rig.sandbox.poolMaster('green')].sort());
      rig.allow.bothSlots = true;
      rig.allow.strays.push(/demo-green/);
    }));

  it.each(['blue', 'green'] as const)(
    'of two masters of %s the one that nobody can reach is ended as doctor tells, under load, 0 cut',
    (slot) =>
      withRig({}, async (rig) => {
        await rig.deployed();
        const path = rig.site().address[slot].slice('unix:'.length);
        if (slot === 'green') await rig.sandbox.startPool('green');
        const first = rig.sandbox.poolMaster(slot) ?? 0;
        const params = scriptParams({ file: rig.sandbox.path('www', 'slow.php'), uri: '/slow.php?ms=3000' });
        const slow = request({ address: rig.site().address[slot], params, timeoutMs: 20_000 });
        await rig.until(() => socketsAt(procfs(), { kind: 'unix', path }).connections.accepted === 1);
        for (const file of [path, path.replace('.sock', '-status.sock'), rig.site().pidfile[slot]])
          rmSync(file);
        await rig.sandbox.startPool(slot);
        const second = rig.sandbox.poolMaster(slot) ?? 0;
        await rig.load();
        const lives = async (): Promise<{
          readonly hint: string;
          readonly of: Record<string, unknown>[];
        }> => {
          const { hint, evidence } = only(await look(rig), 'several-lives');
          return { hint, of: evidence['holders'] as Record<string, unknown>[] };
        };
        const busy = await lives();
        expect(busy.of).toEqual(
          expect.arrayContaining([
            expect.objectContaining({ pid: first, reachable: false, accepted: 1, working: 1, idle: false }),
            expect.objectContaining({ pid: second, reachable: true }),
          ]),
        );
        expect(busy.hint).not.toContain('kill ');
        // what refuses to work there names no process as one to end
        for (const args of [
          ['deploy', 'demo'],
          ['pool', 'stop', 'green', 'demo', '--yes'],
        ]) {
          if (args[0] === 'pool' && slot === 'blue') continue;
          const refused = await rig.run(args);
          const failure = refused.result['failure'] as { reason: string; hint: string };
          expect(failure).toMatchObject({ reason: 'slot-foreign' });
          expect(failure.hint).not.toContain('End that process');
          expect(failure.hint).toContain('`swap-pool doctor demo`');
        }
        expect(await slow).toMatchObject({ ok: true });
        await rig.until(() => children(procfs(), first).length > 0);
        const { hint } = await lives();
        const commands = [...hint.matchAll(/`(kill [^`]*)`/g)].map(([, command = '']) => command);
        expect(commands).toEqual([`kill -STOP ${first}; pkill -KILL -P ${first}; kill -KILL ${first}`]);
        expect(spawnSync('/bin/sh', ['-c', commands.join('\n')]).status).toBe(0);
        await rig.until(() => identify(procfs(), first) === null);
        expect(rig.sandbox.poolMaster(slot)).toBe(second);
        const after = await look(rig);
        expect(wrong(after)).toEqual(slot === 'green' ? ['warning standby-running'] : []);
        expect(await rig.deploy()).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        expect(await look(rig)).toMatchObject({ exit: 0 });
      }),
  );

  it.runIf(isRoot)('a socket that nginx’s user cannot open is told with that user', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const path = rig.site().address.blue.slice('unix:'.length);
      chownSync(path, 0, 0);
      chmodSync(path, 0o600);
      const run = await look(rig);
      expect(wrong(run)).toEqual(['error probe-failed']);
      expect(only(run, 'probe-failed').evidence).toMatchObject({
        slot: 'blue',
        answer: { kind: 'permission' },
      });
      expect(only(run, 'probe-failed').hint).toContain('listen.group');
    }),
  );

  it('a pool that does not answer is a finding, and so is a site that nobody serves', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      rig.breakSlot('blue', 'hang');
      expect(wrong(await look(rig))).toEqual(['error probe-failed']);
      rig.breakSlot('blue', null);
      await rig.signalPool('blue', 'SIGTERM');
      const run = await look(rig);
      expect(wrong(run)).toEqual(['error not-served']);
      expect(only(run, 'not-served').hint).toContain('`swap-pool start demo`');
    }));

  it('several that hear nothing are waited for at once, and told in the order of their apps', () => {
    const names = ['one', 'two', 'three'];
    const sites = names.map((name) => ({ name, switch: 'rewrite' as const, workers: 1 }));
    return withRig({ sites }, async (rig) => {
      await rig.deployed();
      const pids = names.flatMap((name) => {
        const master = rig.sandbox.poolMaster('blue', name) ?? 0;
        return [...children(procfs(), master), master];
      });
      const queued = (): boolean =>
        names.every((name) => {
          const path = rig.site(name).address.blue.slice('unix:'.length);
          return socketsAt(procfs(), { kind: 'unix', path }).connections.queued > 0;
        });
      const all = (signal: NodeJS.Signals): void => {
        for (const pid of pids) process.kill(pid, signal);
      };
      all('SIGSTOP');
      try {
        const doctor = rig.spawn(['doctor']);
        await rig.until(queued);
        all('SIGCONT');
        // the first would have been given up before the last was asked
        const run = await doctor.end;
        expect({ exit: run.exit, wrong: wrong(run) }).toEqual({ exit: 0, wrong: [] });
        all('SIGSTOP');
        const silent = findings(await rig.run(['doctor'])).filter(({ reason }) => reason === 'probe-failed');
        expect(silent.map(({ app }) => app)).toEqual([...names].sort());
        // doctor has touched nothing, and nothing else was to be touched
        expect(silent[0]?.hint).not.toContain('not touched');
      } finally {
        all('SIGCONT');
      }
    });
  });
});

describe('a pool’s own file', () => {
  it('is told for what in it hurts, or will', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const { fpmConfig, config } = rig.site();
      const files = [...new Set([fpmConfig.blue, fpmConfig.green])];
      const set = (key: string, value: string | null) => (text: string) => {
        const line = new RegExp(`^${key.replaceAll('.', '\\.')} *=.*\\n`, 'm');
        expect(text).toMatch(key === 'listen.backlog' ? /^/ : line);
        const rest = text.replace(line, '');
        if (value === null) return rest;
        return key === 'pid' || key === 'process_control_timeout'
          ? rest.replace('[global]\n', `[global]\n${key} = ${value}\n`)
          : `${rest}${key} = ${value}\n`;
      };
      const run = rig.sandbox.path('run');
      const cases: readonly (readonly [edit: (text: string) => string, all: readonly string[]])[] = [
        [
          set('process_control_timeout', '0'),
          ['warning control-timeout-zero', 'warning control-timeout-zero'],
        ],
        [
          // status_listen alone makes one of `/`
          (text) => set('pm.status_listen', null)(set('pm.status_path', null)(text)),
          ['advice listens-elsewhere', 'advice no-status', 'advice no-status'],
        ],
        [
          set('pm.status_listen', null),
          ['advice listens-elsewhere', 'advice no-status-listen', 'advice no-status-listen'],
        ],
        [set('listen.backlog', '2000000000'), ['advice backlog-cut', 'advice backlog-cut']],
        // of both, though nothing but itself can be told of a pool that cannot be known
        [
          set('listen', `${run}/${'x'.repeat(108)}-\${SWAP_POOL_SLOT}`),
          ['error socket-path-long', 'error socket-path-long'],
        ],
        [
          set('listen', `${run}/link-\${SWAP_POOL_SLOT}.sock`),
          ['error listen-is-link', 'error listen-is-link'],
        ],
        [set('listen', `${run}/one.sock`), ['error slots-share']],
        [set('pid', `${run}/one.pid`), ['error slots-share']],
        [set('pm.status_listen', `${run}/one-status.sock`), ['error slots-share']],
      ];
      for (const slot of ['blue', 'green']) symlinkSync('elsewhere.sock', `${run}/link-${slot}.sock`);
      const always = ['advice reload-hits-idle', 'advice shutdown-timeout-unset'];
      for (const [edit, expected] of cases) {
        const before = files.map((file) => readFileSync(file, 'utf8'));
        files.forEach((file, at) => writeFileSync(file, edit(before[at] ?? '')));
        const found = await look(rig);
        files.forEach((file, at) => writeFileSync(file, before[at] ?? ''));
        const all = findings(found).map(({ severity, reason }) => `${severity} ${reason}`);
        expect(
          all.filter((one) => !always.includes(one)),
          String(expected),
        ).toEqual(expected);
        expect(found.exit).toBe(expected.some((one) => !one.startsWith('advice')) ? 1 : 0);
      }
      for (const slot of ['blue', 'green']) rmSync(`${run}/link-${slot}.sock`);

      // and nginx is looked at as well as it can be without the pools
      const before = files.map((file) => readFileSync(file, 'utf8'));
      const spoilt = rig.sandbox.path('sites', 'spoilt.conf');
      files.forEach((file, at) => writeFileSync(file, set('listen', `${run}/one.sock`)(before[at] ?? '')));
      writeFileSync(spoilt, 'no;\n');
      expect(wrong(await look(rig))).toEqual(
        expect.arrayContaining(['error slots-share', 'error nginx-config-broken']),
      );
      files.forEach((file, at) => writeFileSync(file, before[at] ?? ''));
      rmSync(spoilt);

      const app = readFileSync(config, 'utf8');
      writeFileSync(config, app.replace(/^probe:.*\n(?: .*\n)*/m, ''));
      expect(wrong(await look(rig))).toEqual(['warning no-probe-script']);
      writeFileSync(config, app);
    }));
});

describe('a pool whose file was edited under it', () => {
  const edit = (rig: Rig, ...edits: readonly (readonly [from: string, to: string])[]): (() => void) => {
    const file = rig.site().fpmConfig.blue;
    const before = readFileSync(file, 'utf8');
    const after = edits.reduce((text, [from, to]) => text.replace(from, to), before);
    expect(after).not.toBe(before);
    writeFileSync(file, after);
    return () => {
      writeFileSync(file, before);
    };
  };

  it.each(['rewrite', 'symlink'] as const)(
    'listens where its file no longer says: that is told, and not that nobody serves: %s',
    (by) =>
      withRig({ switch: by }, async (rig) => {
        await rig.deployed();
        const back = edit(
          rig,
          ['demo-${SWAP_POOL_SLOT}.sock', 'moved-${SWAP_POOL_SLOT}.sock'],
          ['demo-${SWAP_POOL_SLOT}-status.sock', 'moved-${SWAP_POOL_SLOT}-status.sock'],
        );
        const run = await look(rig);
        expect(await rig.answering()).toBe('blue');
        const reasons = findings(run).map(({ reason }) => reason);
        expect(reasons).not.toContain('not-served');
        expect(run.exit).toBe(1);
        const { blue } = rig.site().address;
        expect(only(run, 'listens-elsewhere').evidence).toMatchObject({
          master: { pid: rig.sandbox.poolMaster('blue') },
          slot: null,
          config: rig.site().fpmConfig.blue,
          addresses: expect.arrayContaining([blue, blue.replace('.sock', '-status.sock')]) as string[],
        });
        back();
        expect(await look(rig)).toMatchObject({ exit: 0 });
      }),
  );

  it('may have its status page where its file no longer says, until the next deploy', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      edit(rig, ['demo-${SWAP_POOL_SLOT}-status.sock', 'moved-${SWAP_POOL_SLOT}-status.sock']);
      const run = await look(rig);
      expect(run.exit).toBe(0);
      expect(only(run, 'listens-elsewhere').evidence).toMatchObject({ slot: 'blue' });
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
      expect(await look(rig)).toMatchObject({ exit: 0 });
    }));
});

describe('leftovers', () => {
  it('a stale pidfile is told, and what it names', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const pid = await deadPid();
      rig.writePidfile('green', `${pid}\n`);
      const run = await look(rig);
      expect(wrong(run)).toEqual(['warning pidfile']);
      expect(only(run, 'pidfile')).toMatchObject({ fixable: true, evidence: { state: 'dead', pid } });
      rmSync(rig.site().pidfile.green);
    }));

  it('a socket that a killed pool left is told, and --fix removes it', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const path = rig.site().address.green.slice('unix:'.length);
      const stranger = await listener(rig.site().address.green);
      await stranger.end();
      expect(existsSync(path)).toBe(true);
      const run = await look(rig);
      expect(wrong(run)).toEqual(['warning socket-file-stale']);
      expect(only(run, 'socket-file-stale')).toMatchObject({ fixable: true, evidence: { path } });
      expect(await rig.run(['doctor', '--fix', '--yes'])).toMatchObject({ exit: 0 });
      expect(existsSync(path)).toBe(false);
    }));

  it('fewer workers than are busy are told for the slot that is started next', () =>
    withRig({ site: { workers: 4 } }, async (rig) => {
      await rig.deployed();
      const held = await rig.occupy(3);
      const file = rig.site().fpmConfig.blue;
      const before = readFileSync(file, 'utf8');
      writeFileSync(file, before.replace(/^pm\.max_children = .*$/m, 'pm.max_children = 2'));
      const run = await look(rig);
      expect(wrong(run)).toEqual(['warning few-workers']);
      expect(only(run, 'few-workers').evidence).toMatchObject({ start: 2, busy: 3 });
      writeFileSync(file, before);
      await held.release();
    }));

  it('a deploy that died is told with its step, and what it left is no finding of its own', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.deploy([], { dieAt: { when: 'written', record: 6 } });
      const run = await look(rig);
      expect(run.exit).toBe(1);
      expect(wrong(run)).toEqual(['error deploy-left-open']);
      expect(only(run, 'deploy-left-open').hint).toContain('`swap-pool recover demo`');
      expect(await rig.run(['recover'])).toMatchObject({ result: { outcome: 'reverted' } });
      expect(await look(rig)).toMatchObject({ exit: 0 });
    }));

  it('an .oldbin without its master is left behind, one with it is an upgrade under way', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const path = rig.sandbox.path('run', 'nginx.pid.oldbin');
      writeFileSync(path, `${await deadPid()}\n`);
      expect(wrong(await look(rig))).toEqual(['warning oldbin-left']);
      writeFileSync(path, `${rig.sandbox.nginxMaster() ?? 0}\n`);
      const run = await look(rig);
      expect(wrong(run)).toEqual(['error upgrade-pending']);
      rmSync(path);
    }));
});

describe('nginx', () => {
  it('a reload that never took is told with the files', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      appendFileSync(rig.site().site, '# a change\n');
      const run = await look(rig);
      expect(wrong(run)).toEqual(['error reload-not-taken']);
      expect(only(run, 'reload-not-taken').evidence['files']).toContain(rig.site().site);
    }));

  it('a file that came since the last deploy is named alone, not those that the deploy itself has written', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      for (let round = 0; round < 2; round += 1) {
        expect(await rig.deploy()).toMatchObject({ exit: 0 });
        const added = rig.sandbox.path('sites', 'z.conf');
        writeFileSync(added, '# nothing\n');
        const found = only(await look(rig), 'reload-not-taken');
        expect(found).toMatchObject({ severity: 'error' });
        const files = [added, `${rig.sandbox.path('sites')}/`];
        expect([...(found.evidence['files'] as string[])].sort()).toEqual(files.sort());
        const { events } = await rig.deploy(['--dry-run']);
        const warned = events.map(
          ({ warning }) => warning as { reason: string; files: string[] } | undefined,
        );
        const differs = warned.find((one) => one?.reason === 'running-differs');
        expect([...(differs?.files ?? [])].sort()).toEqual(files);
        rmSync(added);
        expect(await rig.run(['nginx', 'reload'])).toMatchObject({ exit: 0 });
      }
    }));

  it('files that name a slot which is down are not to be reloaded, and no pool that may serve is called the standby', () =>
    withRig({}, async (rig) => {
      rig.allow.reloads = true;
      await rig.deployed();
      const down = { slot: 'green', otherRuns: true };
      // first with workers that are proven to lead to blue, then with those of a reload by hand
      for (const known of [true, false]) {
        if (!known) await reloadByHand(rig);
        const born = Date.now();
        await rig.until(() => Date.now() - born > 1_500);
        editByHand(rig, 'green');
        const run = await look(rig);
        expect(wrong(run)).toEqual(['error reload-not-taken']);
        const found = only(run, 'reload-not-taken');
        expect(found.evidence).toMatchObject({ down });
        expect(found.hint).not.toContain('nginx -s reload');
        expect(found.hint).toContain('`swap-pool pool start green demo` first');
        const status = await rig.run(['status'], { json: false });
        expect(status.stderr).not.toContain('nginx -s reload');
        expect(status.stderr).toContain('Do not reload nginx: its files lead to green');
        expect(status.exit).toBe(known ? 0 : 1);
        expect(await rig.answering()).toBe('blue');
        if (known) editByHand(rig, 'blue');
      }
      // as told
      expect(await rig.run(['pool', 'start', 'green', 'demo'])).toMatchObject({ exit: 0 });
      expect(await rig.run(['nginx', 'reload'])).toMatchObject({ exit: 0 });
      expect(await rig.answering()).toBe('green');
      expect(wrong(await look(rig))).toEqual(['warning standby-running']);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    }));

  it('a reload by hand right after an edit is no error: the workers may have read it, and a reload of ours proves it', () =>
    withRig({}, async (rig) => {
      rig.allow.reloads = true;
      await rig.deployed();
      const told = async (): Promise<unknown[]> => {
        const run = await look(rig);
        expect({ exit: run.exit, wrong: wrong(run) }).toEqual({ exit: 0, wrong: [] });
        return findings(run)
          .filter(({ reason }) => reason === 'reload-not-taken')
          .map(({ severity, evidence }) => [severity, evidence['surely']]);
      };
      const reloaded = async (): Promise<void> => {
        const before = children(procfs(), rig.sandbox.nginxMaster() ?? 0);
        await rig.signalNginx('SIGHUP');
        await rig.until(() => {
          const now = children(procfs(), rig.sandbox.nginxMaster() ?? 0);
          return now.length > 0 && now.every((pid) => !before.includes(pid));
        });
      };
      // these bytes were proven to run before
      await reloaded();
      expect(await told()).toEqual([]);
      appendFileSync(rig.site().site, '# a change\n');
      await reloaded();
      // none where the machine took seconds between the two
      for (const one of await told()) expect(one).toEqual(['advice', false]);
      expect(await rig.run(['nginx', 'reload'])).toMatchObject({ exit: 0 });
      expect(await told()).toEqual([]);
    }));

  it('broken files hide nothing else: the reload, the pools, the settings', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.signalPool('blue', 'SIGKILL');
      appendFileSync(rig.site().site, 'no_such_directive on;\n');
      await rig.signalNginx('SIGHUP');
      await rig.until(() => rig.read('log', 'nginx.log').includes('no_such_directive'));
      rig.allow.log.push(/no_such_directive/);
      const run = await look(rig);
      expect(wrong(run)).toEqual([
        'error nginx-config-broken',
        'error orphans',
        'error reload-not-taken',
        'warning pidfile',
      ]);
      expect(only(run, 'reload-not-taken').evidence['log']).toContain('no_such_directive');
      expect(only(run, 'orphans').evidence['serves']).toBeNull();
      expect(findings(run).map(({ reason }) => reason)).toContain('shutdown-timeout-unset');
      rig.allow.orphans = true;
      rig.allow.strays.push(/demo-blue/);
    }));

  it('one that does not run is a finding, and the pools are looked at all the same', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.sandbox.startPool('green');
      await rig.signalNginx('SIGQUIT', { gone: true });
      expect(wrong(await look(rig))).toEqual(['error nginx-not-running', 'warning standby-running']);
      rig.allow.bothSlots = true;
    }));

  it.each(['hash $request_uri', 'random'])('`%s` below a backup is told', (balancer) =>
    withRig(
      {
        prepare: ({ sites: [site] }) => {
          if (site === undefined) return;
          const text = readFileSync(site.upstream, 'utf8');
          // below the servers nginx takes it
          writeFileSync(site.upstream, text.replace(/\}\s*$/, `${balancer};\n}\n`));
        },
      },
      async (rig) => {
        await rig.deployed();
        const run = await look(rig);
        expect(wrong(run)).toEqual(['error backup-balancer']);
        const name = balancer.split(' ')[0];
        expect(only(run, 'backup-balancer').evidence).toMatchObject({ balancer: name });
      },
    ),
  );

  it('a balancer beside a backup, connections that are kept, a backup without max_fails', () =>
    withRig(
      {
        site: { locationLines: 'fastcgi_keep_conn on;' },
        prepare: ({ sites: [site] }) => {
          if (site === undefined) return;
          const text = readFileSync(site.upstream, 'utf8');
          // below the servers nginx takes it
          writeFileSync(site.upstream, text.replace(' max_fails=0;', ';').replace(/\}\s*$/, 'ip_hash;\n}\n'));
        },
      },
      async (rig) => {
        await rig.deployed();
        const run = await look(rig);
        expect(wrong(run)).toEqual(['error backup-balancer', 'warning backup-max-fails']);
        expect(only(run, 'backup-balancer').evidence).toMatchObject({ balancer: 'ip_hash' });
        expect(only(run, 'backup-max-fails').evidence['places']).toMatchObject([
          { file: rig.site().upstream },
        ]);
      },
    ));

  it('a symlink with fastcgi_keep_conn', () =>
    withRig({ switch: 'symlink', site: { locationLines: 'fastcgi_keep_conn on;' } }, async (rig) => {
      await rig.deployed();
      const run = await look(rig);
      expect(wrong(run)).toEqual(['warning keep-conn-symlink']);
      expect(only(run, 'keep-conn-symlink').evidence['places']).toMatchObject([{ file: rig.site().site }]);
    }));
});

describe('what is broken is a finding, and not the end', () => {
  it('a pool’s configuration', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      appendFileSync(rig.site().fpmConfig.blue, 'no_such_key = 1\n');
      // what runs is looked at as it was deployed
      await rig.signalPool('blue', 'SIGKILL');
      const run = await look(rig);
      expect(wrong(run)).toEqual(['error pool-config-invalid', 'error orphans', 'warning pidfile']);
      expect(findings(run).map(({ reason }) => reason)).toContain('shutdown-timeout-unset');
      rig.allow.orphans = true;
      rig.allow.strays.push(/demo-blue/);
    }));

  it('an app’s YAML, while another app is looked at', () =>
    withRig(
      {
        sites: [
          { name: 'one', switch: 'rewrite' },
          { name: 'two', switch: 'symlink' },
        ],
      },
      async (rig) => {
        await rig.deployed();
        await rig.signalPool('blue', 'SIGKILL', { name: 'two' });
        appendFileSync(rig.site('one').config, 'drian: { timeout: 1 }\n');
        const run = await look(rig);
        expect(wrong(run)).toEqual(['error config-invalid', 'error orphans', 'warning pidfile']);
        expect(run.result['examined']).toEqual(['one', 'two']);
        expect([only(run, 'config-invalid').app, only(run, 'orphans').app]).toEqual(['one', 'two']);
        // nor does a file that is none hide the others
        const stray = rig.sandbox.path('config', 'three.yml');
        writeFileSync(stray, '');
        expect(wrong(await look(rig, ['two']))).toEqual(['error orphans', 'warning pidfile']);
        expect(wrong(await look(rig))).toEqual([
          'error config-invalid',
          'error config-invalid',
          ...wrong(run).slice(1),
        ]);
        rmSync(stray);
        rig.allow.orphans = true;
        rig.allow.strays.push(/two-blue/);
      },
    ));

  it('the state folder', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const env = { SWAP_POOL_STATE_DIR: rig.sandbox.path('nginx.conf', 'state') };
      const run = await rig.run(['doctor'], { env });
      expect(wrong(run)).toContain('error state-unwritable');
      expect(only(run, 'state-unwritable').evidence).toMatchObject({ code: 'ENOTDIR' });
      expect(findings(run).map(({ reason }) => reason)).toContain('shutdown-timeout-unset');
    }));

  it.runIf(isRoot)('a state folder of somebody else’s, and processes that may not be looked at', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const program = programOfNobody(rig.sandbox.path('work', 'program'));
      const run = await rig.run(['doctor'], { program });
      expect(run.exit).toBe(1);
      expect(wrong(run)).toEqual(expect.arrayContaining(['error state-unwritable', 'error unobservable']));
      expect(findings(run).map(({ evidence }) => evidence['path'])).toContain(
        rig.sandbox.path('state', 'demo'),
      );
    }),
  );

  it('an app that there is not is a wrong command line', () =>
    withRig({}, async (rig) => {
      expect(await rig.run(['doctor', 'nobody'])).toMatchObject({ exit: 2 });
    }));
});

describe('what comes to no end', () => {
  /** A FIFO that nobody else has open. */
  const fifo = (rig: Rig, name: string): string => {
    const path = rig.sandbox.path('work', name);
    expect(spawnSync('/usr/bin/mkfifo', [path]).status).toBe(0);
    return path;
  };
  /** Whoever tests nginx's files now waits for somebody to read this log. */
  const hangTests = (rig: Rig): (() => void) => {
    const spoilt = rig.sandbox.path('sites', 'spoilt.conf');
    const path = fifo(rig, 'log');
    writeFileSync(spoilt, `server { listen 127.0.0.1:1; access_log ${path}; }\n`);
    return () => {
      rmSync(spoilt);
      rmSync(path);
    };
  };
  /** Less than any of these programs is given elsewhere, and much more than what is asked for here takes. */
  const SOON = 20_000;
  const soon = async (rig: Rig, args: readonly string[] = []): Promise<Run> => {
    const began = performance.now();
    const run = await look(rig, args);
    expect(performance.now() - began).toBeLessThan(SOON);
    return run;
  };

  it('a test of nginx’s files is no broken configuration, for whoever asked for it', () =>
    withRig({ site: { yamlNginx: 'reload-timeout: 1500ms' } }, async (rig) => {
      await rig.deployed();
      const back = hangTests(rig);
      const run = await soon(rig);
      expect(wrong(run)).toEqual(['error nginx-test-timeout', 'error reload-not-taken']);
      expect(only(run, 'nginx-test-timeout').evidence).toMatchObject({ ms: 1500 });
      const refused = { exit: 1, result: { failure: { reason: 'nginx-test-timeout' } } };
      for (const args of [
        ['nginx', 'test'],
        ['nginx', 'reload'],
        ['deploy', 'demo'],
      ])
        expect(await rig.run(args)).toMatchObject(refused);
      expect(await rig.answering()).toBe('blue');
      back();
    }));

  it('a test of nginx’s files holds up no look at several apps, nor one at slots that share a value', () => {
    const sites = ['one', 'two', 'three'].map((name) => ({ name, switch: 'rewrite' as const, workers: 1 }));
    return withRig({ sites }, async (rig) => {
      await rig.deployed();
      const { fpmConfig } = rig.site('two');
      const before = readFileSync(fpmConfig.blue, 'utf8');
      writeFileSync(
        fpmConfig.blue,
        before.replace(/^pid = .*$/m, `pid = ${rig.sandbox.path('run')}/two.pid`),
      );
      const back = hangTests(rig);
      const found = findings(await soon(rig));
      const told = (reason: string): unknown[] =>
        found.filter((one) => one.reason === reason).map(({ app }) => app);
      expect(told('nginx-test-timeout')).toEqual(['one', 'three', 'two']);
      expect(told('slots-share')).toEqual(['two']);
      back();
      writeFileSync(fpmConfig.blue, before);
    });
  });

  it('a php-fpm that says nothing is no broken configuration, and what runs is looked at all the same', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const { config } = rig.site();
      const yaml = readFileSync(config, 'utf8');
      const fpm = /binary: "(.*fpm.*)"/.exec(yaml)?.[1] ?? '';
      const hanging = rig.sandbox.path('work', 'php-fpm-hangs');
      writeFileSync(hanging, `#!/bin/sh\ncase "$1" in -t*) exec sleep 600;; esac\nexec ${fpm} "$@"\n`, {
        mode: 0o755,
      });
      writeFileSync(config, yaml.replace(fpm, hanging));
      const run = await soon(rig);
      expect(wrong(run)).toEqual(['error pool-test-timeout']);
      expect(only(run, 'pool-test-timeout').evidence).toMatchObject({ file: rig.site().fpmConfig.blue });
      writeFileSync(config, yaml);
      rmSync(hanging);
    }));

  it('a FIFO among the files of a pool or of nginx is told, and neither doctor nor a deploy waits for it', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      const path = fifo(rig, 'fifo.conf');
      for (const [file, line, reason] of [
        [rig.site().fpmConfig.blue, `include = ${path}\n`, 'pool-config-invalid'],
        [rig.site().site, `include ${path};\n`, 'nginx-include'],
      ] as const) {
        const before = readFileSync(file, 'utf8');
        writeFileSync(file, before + line);
        const run = await soon(rig);
        expect(wrong(run)).toContain(`error ${reason}`);
        expect(JSON.stringify(only(run, reason).evidence)).toContain(`is no file`);
        expect(findings(run).map((one) => one.reason)).toContain(
          reason === 'nginx-include' ? 'nginx-include' : 'shutdown-timeout-unset',
        );
        const began = performance.now();
        expect(await rig.deploy()).toMatchObject({ exit: 1, result: { failure: { reason } } });
        expect(performance.now() - began).toBeLessThan(SOON);
        writeFileSync(file, before);
      }
      rmSync(path);
      expect(await rig.answering()).toBe('blue');
    }));
});

describe('--fix', () => {
  const mended = (run: Run): string[] => (run.result['mended'] as Seen[]).map(({ reason }) => reason);

  it('asks, and without anybody to ask it touches nothing: exit 2', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      rig.writePidfile('green', `${await deadPid()}\n`);
      const run = await look(rig, ['--fix']);
      expect(run).toMatchObject({ exit: 2, result: { failure: { reason: 'answer-needed' } } });
      const fixed = await rig.run(['doctor', '--fix', '--yes']);
      expect(fixed.exit).toBe(0);
      expect(mended(fixed)).toEqual(['pidfile']);
      expect(existsSync(rig.site().pidfile.green)).toBe(false);
      expect(await rig.run(['doctor', '--fix'])).toMatchObject({ exit: 0 });
    }));

  it.each(['rewrite', 'symlink'] as const)('ends the standby’s orphans, under load, 0 cut: %s', (by) =>
    withRig({ switch: by }, async (rig) => {
      await rig.deployed();
      await rig.load();
      await rig.sandbox.startPool('green');
      await rig.signalPool('green', 'SIGKILL');
      const run = await rig.run(['doctor', '--fix', '--yes']);
      expect({ exit: run.exit, mended: mended(run), wrong: wrong(run) }).toEqual({
        exit: 0,
        mended: ['orphans'],
        wrong: [],
      });
      expect(rig.isListening('green')).toBe(false);
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    }),
  );

  it('leaves orphans that serve to a deploy', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.signalPool('blue', 'SIGKILL');
      const run = await rig.run(['doctor', '--fix', '--yes']);
      expect(run.exit).toBe(1);
      expect(wrong(run)).toEqual(['error orphans', 'warning pidfile']);
      expect(await rig.answering()).toBe('blue');
      expect(await rig.deploy()).toMatchObject({ exit: 0 });
    }));

  it('leaves orphans that somebody is still served by', () =>
    withRig({ site: { yaml: 'drain: { timeout: 300ms, on-timeout: stop }' } }, async (rig) => {
      await rig.deployed();
      await rig.sandbox.startPool('green');
      const params = scriptParams({
        file: rig.sandbox.path('www', 'slow.php'),
        uri: '/slow.php?ms=2500',
      });
      const slow = request({ address: rig.site().address.green, params, timeoutMs: 20_000 });
      await rig.until(() => accepted(rig) === 1);
      await rig.signalPool('green', 'SIGKILL');
      const run = await rig.run(['doctor', '--fix', '--yes']);
      expect(run.exit).toBe(1);
      expect(only(run, 'orphans').evidence).toMatchObject({ connections: { accepted: 1 } });
      expect(rig.isListening('green')).toBe(true);
      expect(await slow).toMatchObject({ ok: true });
      expect(await rig.run(['doctor', '--fix', '--yes'])).toMatchObject({ exit: 0 });
    }));

  it('waits for nobody’s lock, and not while a deploy is unfinished', () =>
    withRig({}, async (rig) => {
      await rig.deployed();
      await rig.deploy([], { dieAt: { when: 'written', record: 1 } });
      rig.writePidfile('green', `${await deadPid()}\n`);
      const open = await rig.run(['doctor', '--fix', '--yes']);
      expect(open).toMatchObject({ exit: 1, result: { failure: { reason: 'deploy-open' } } });
      expect(existsSync(rig.site().pidfile.green)).toBe(true);
      // whoever holds the app's lock is at these very files
      const holder = spawn('/usr/bin/flock', [
        '--no-fork',
        rig.sandbox.path('run', 'demo.lock'),
        'sleep',
        '60',
      ]);
      try {
        await rig.until(() => isLocked(rig.sandbox.path('run', 'demo.lock')));
        const locked = await rig.run(['doctor', '--fix', '--yes']);
        expect(locked).toMatchObject({ exit: 3, result: { outcome: 'locked' } });
      } finally {
        holder.kill('SIGKILL');
      }
      expect(await rig.run(['recover'])).toMatchObject({ result: { outcome: 'reverted' } });
      expect(await rig.run(['doctor', '--fix', '--yes'])).toMatchObject({ exit: 0 });
    }));
});
