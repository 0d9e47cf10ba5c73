/** A new nginx binary under load: forward, back from wherever it fails, and after a death at every point. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { LoadPlan } from '../../src/demo/load.js';
import { freePort } from '../../src/demo/machine.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { ProcessId } from '../../src/event.js';
import { heirsOf } from '../../src/nginx/masters.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { identify, isAlive, procfs, signalProcess } from '../../src/system/proc.js';
import { withBinary, type Binary } from '../support/binary.js';
import type { DeathPoint, Line, Run } from '../support/command.js';
import { deathAt, expectNoCut, reasonOf } from '../support/deaths.js';
import type { Rig } from '../support/rig.js';

const fs = procfs();
const LOAD: LoadPlan = {
  fast: { rate: 60 },
  post: { clients: 2, takes: 5 },
  slow: { every: 300, takes: 400 },
  upload: { every: 300, takes: 300, bytes: 20_000 },
};
/** Every request is short, so that old workers leave at once. */
const BRIEF: LoadPlan = { fast: { rate: 60 }, post: { clients: 2, takes: 5 } };

const site = (yaml = '', yamlNginx = '') => ({ workers: 16, yaml, yamlNginx });

function master(rig: Rig): ProcessId {
  const id = identify(fs, rig.sandbox.nginxMaster() ?? 0);
  if (id === null) throw new Error('nginx does not run');
  return id;
}
const serving = (of: ProcessId): readonly ProcessId[] => readWorkers(fs, of).serving;
const everyWorker = (of: ProcessId): readonly ProcessId[] => {
  const { serving: at, retiring } = readWorkers(fs, of);
  return [...at, ...retiring];
};
const pidfile = (rig: Rig, end = ''): string => rig.sandbox.path('run', `nginx.pid${end}`);
const upgrade = (rig: Rig): Promise<Run> => rig.run(['nginx', 'upgrade']);
const signalled = (signal: string, to: string) => (line: Line) =>
  line.type === 'notice' &&
  (line['notice'] as { signal?: string; to?: string }).signal === signal &&
  (line['notice'] as { to?: string }).to === to;

const noticed =
  (kind: string) =>
  ({ notice }: Line): boolean =>
    (notice as { kind?: string } | undefined)?.kind === kind;
const renewing = (binary: Binary) => (): void => {
  binary.renew();
};

/** An upgrade that has come as far as a line that it says. A request is under way, and was before `renew`. */
async function upgrading(rig: Rig, renew: () => void, said: (line: Line) => boolean) {
  const old = master(rig);
  const slow = await rig.hold();
  renew();
  const command = rig.spawn(['nginx', 'upgrade']);
  await command.until(said);
  return { old, slow, command };
}

/** The same as far as WINCH: the old master has no worker any more that takes requests. */
async function winched(rig: Rig, binary: Binary) {
  const upgrade = await upgrading(rig, renewing(binary), signalled('SIGWINCH', 'old-nginx'));
  await rig.until(() => serving(upgrade.old).length === 0);
  return upgrade;
}

/** An upgrade that was killed as it had started the new master: both masters' workers serve. Gives the old one. */
async function abandoned(rig: Rig, binary: Binary): Promise<ProcessId> {
  const old = master(rig);
  binary.renew();
  const command = rig.spawn(['nginx', 'upgrade']);
  await command.until(signalled('SIGUSR2', 'old-nginx'));
  command.kill('SIGKILL');
  await command.end;
  await rig.until(() => heirsOf(fs, old).masters.some((id) => serving(id).length === 2));
  return old;
}

/** Its own workers serve, it stands in the pidfile, and there is no other master and nothing left of one. */
async function expectAlone(rig: Rig, of: ProcessId, what = ''): Promise<void> {
  // a process that ends has lost its title already
  await rig.until(() => readWorkers(fs, of).retiring.length === 0 && !heirsOf(fs, of).unborn);
  const { serving: workers, untitled } = readWorkers(fs, of);
  expect([workers.length, untitled.length], what).toEqual([2, 0]);
  expect(heirsOf(fs, of), what).toEqual({ masters: [], unborn: false, untitled: [] });
  expect(readFileSync(pidfile(rig), 'utf8').trim(), what).toBe(String(of.pid));
  expect(existsSync(pidfile(rig, '.oldbin')), what).toBe(false);
  const masters = rig.sandbox.residents().filter(({ command }) => command.startsWith('nginx: master'));
  expect(
    masters.map(({ id }) => id.pid),
    what,
  ).toEqual([of.pid]);
}

function expectBack(run: Run, at: string): void {
  expect(run.result, run.stdout + run.stderr).toMatchObject({
    command: 'nginx',
    verb: 'upgrade',
    outcome: 'reverted',
    exit: 1,
    failure: { reason: 'upgrade-failed' },
  });
  const told = run.events.find(({ type }) => type === 'failure')?.['failure'];
  expect(told).toMatchObject({ reason: 'upgrade-failed', at });
}

/** Addresses that are spoken to in ways of their own, or that nobody answers well: all are proven. */
const ADDRESSES = 8;
const manyAddresses = (ports: readonly number[]) => (sandbox: Sandbox) => {
  const [plain, secure, both, spoken, deferred, spread] = ports.map((port) => `127.0.0.1:${String(port)}`);
  const keys = [sandbox.path('key.pem'), sandbox.path('cert.pem')];
  const [key = '', cert = ''] = keys;
  const made = spawnSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout ${key} -out ${cert}`.split(
      ' ',
    ),
  );
  const tls =
    made.status === 0 ? `ssl_certificate ${cert}; ssl_certificate_key ${key};` : 'ssl_reject_handshake on;';
  writeFileSync(
    sandbox.path('sites', 'many.conf'),
    `server { listen ${plain} http2; return 444; }
     server { listen ${secure} ssl; ${tls} deny all; }
     server { listen ${both} ssl proxy_protocol; ${tls} ssl_verify_client optional_no_ca; return 301 /; }
     server { listen ${spoken} proxy_protocol; auth_basic x; auth_basic_user_file /nowhere; }
     server { listen ${deferred} deferred; return 204; }
     server { listen ${spread} reuseport; error_page 405 =200 /none; return 503; }
     server { listen unix:${sandbox.path('run', 'many.sock')}; return 204; }
    `,
  );
};

it('a new binary takes over under load, and another after it; deploys go on', async () => {
  const [added, ...ports] = await Promise.all(Array.from({ length: 7 }, freePort));
  await withBinary({ site: site(), prepare: manyAddresses(ports) }, async (rig, binary) => {
    rig.allow.strays.push(/^sites\/added\.conf$/);
    await rig.deployed();
    await rig.load(LOAD);
    for (const renew of [
      renewing(binary),
      () => {
        binary.renewBeside();
        // it takes the configuration on disk with it, addresses that were added included
        const text = `server { listen 127.0.0.1:${String(added)}; return 200 added; }\n`;
        writeFileSync(rig.sandbox.path('sites', 'added.conf'), text);
      },
    ]) {
      const { old, slow, command } = await upgrading(rig, renew, noticed('nginx-waits'));
      expect(isAlive(fs, old)).toBe(true);
      expect(await slow.finish()).toBe(200);
      const run = await command.end;
      expect(run.result, run.stdout + run.stderr).toMatchObject({ outcome: 'done', exit: 0 });
      const young = master(rig);
      expect(run.result).toMatchObject({ nginx: { pid: young.pid, state: 'running', upgrade: null } });
      const seen = run.events.filter(noticed('nginx-answers')).map(({ notice }) => notice);
      expect(seen).toMatchObject([{ more: ADDRESSES - 1 }, { more: ADDRESSES - 1 }]);
      expect(young.pid).not.toBe(old.pid);
      expect(isAlive(fs, old)).toBe(false);
      expect(statSync(`/proc/${young.pid}/exe`).ino).toBe(statSync(binary.path).ino);
      await expectAlone(rig, young);
      const deploy = await rig.deploy();
      expect(deploy.result, deploy.stdout).toMatchObject({ outcome: 'done' });
      expect(deploy.events.filter(({ warning }) => reasonOf(warning) === 'running-differs')).toEqual([]);
    }
    const answer = await fetch(`http://127.0.0.1:${String(added)}/`, { headers: { connection: 'close' } });
    expect(await answer.text()).toBe('added');
  });
});

it('whatever stands in the binary’s place, the old one serves on as before', async () => {
  const yaml = 'stop: { timeout: 500ms }';
  await withBinary({ site: site(yaml, 'reload-timeout: 3s') }, async (rig, binary) => {
    await rig.deployed();
    const load = await rig.load(LOAD);
    const old = master(rig);
    const workers = serving(old);
    const other = rig.sandbox.path('other.conf');
    rig.allow.strays.push(/^other\.conf$/);
    // those that had to be
    rig.allow.log.push(/new binary process \d+ exited on signal 9$/);
    rig.append(rig.read('nginx.conf').replace('worker_processes 2', 'worker_processes 0'), 'other.conf');

    binary.script('echo "nginx: [emerg] no such directive" >&2; exit 1');
    const rejected = await upgrade(rig);
    expect(rejected.result).toMatchObject({
      outcome: 'refused',
      failure: { reason: 'new-binary-rejects' },
    });
    expect(rejected.stderr).toContain('no such directive');

    binary.replace('exit 1');
    expectBack(await upgrade(rig), 'start');

    binary.replace(`exec ${binary.real} -c ${other}`);
    expectBack(await upgrade(rig), 'workers');

    // neither comes up nor ends, and does not hear a TERM
    binary.replace('kill -STOP $$');
    expectBack(await upgrade(rig), 'start');

    // the configuration on disk is not the one that runs: the new workers would not listen where the old ones do
    binary.renew();
    const text = rig.read('sites', 'demo.conf');
    const moved = text.replace(`:${rig.site().port};`, `:${await freePort()};`);
    expect(moved).not.toBe(text);
    writeFileSync(rig.site().site, moved);
    expectBack(await upgrade(rig), 'listeners');
    writeFileSync(rig.site().site, text);

    expect(serving(old)).toEqual(workers);
    await expectAlone(rig, old);
    expectNoCut(rig, load);
  });
});

/** Writing to a file beyond `ulimit -f` kills a process (SIGXFSZ): who writes this address's access log dies of each request. */
const deadly = (port: number) => (sandbox: Sandbox) => {
  const log = sandbox.path('log', 'deadly.log');
  const text = `server { listen 127.0.0.1:${String(port)}; access_log ${log}; deny all; }\n`;
  writeFileSync(sandbox.path('sites', 'deadly.conf'), text);
  writeFileSync(log, '');
  truncateSync(log, 64 * 1024 * 1024);
};
const DEADLY = 'ulimit -c 0; ulimit -f 65536';

it('a binary whose workers die of requests, be it at one address of many, goes back before it serves alone', async () => {
  await withBinary({ site: site(), prepare: deadly(await freePort()) }, async (rig, binary) => {
    rig.allow.log.push(/worker process \d+ exited on signal 25/);
    await rig.deployed();
    const old = master(rig);
    binary.replace(`${DEADLY}; exec ${binary.real} "$@"`);
    const run = await upgrade(rig);
    expectBack(run, 'crashed');
    expect(run.stderr).toMatch(/worker process \d+ exited on signal 25/);
    await expectAlone(rig, old);
    expect(await rig.answering()).toBe('blue');
  });
});

it('a binary that is broken hides no nginx that runs, nor an upgrade that is pending', async () => {
  await withBinary({ site: site() }, async (rig, binary) => {
    await rig.deployed();
    const old = await abandoned(rig, binary);

    binary.script('exit 127');
    const mended = await rig.run(['recover']);
    expect(mended.result, mended.stdout + mended.stderr).toMatchObject({ outcome: 'done', exit: 0 });
    await expectAlone(rig, old);
    const status = await rig.run(['nginx', 'status']);
    expect(status.result, status.stderr).toMatchObject({ exit: 0, nginx: { pid: old.pid } });
    expect((await rig.run(['status'])).result).toMatchObject({ exit: 0 });
    for (const verb of ['test', 'reload', 'reopen-logs']) {
      const run = await rig.run(['nginx', verb]);
      expect(run.result, run.stderr).toMatchObject({ verb, outcome: 'done', exit: 0 });
    }
    const deploy = await rig.deploy();
    expect(deploy.result, deploy.stderr).toMatchObject({ outcome: 'done' });
    expect((await upgrade(rig)).result).toMatchObject({
      outcome: 'refused',
      failure: { reason: 'new-binary-rejects' },
    });
    await expectAlone(rig, old);
  });
});

it('old workers that stay too long bring the old binary back; their request ends well', async () => {
  const yaml = 'drain: { timeout: 1s }';
  await withBinary({ site: site(yaml) }, async (rig, binary) => {
    await rig.deployed();
    const load = await rig.load(BRIEF);
    const old = master(rig);
    const before = serving(old);
    const slow = await rig.hold();
    binary.renew();
    const run = await upgrade(rig);
    expectBack(run, 'leave');
    const told = run.events.find(({ type }) => type === 'failure')?.['failure'] as { holders: unknown[] };
    expect(told.holders).toMatchObject([{ pid: expect.any(Number) as number, clients: 1 }]);
    // HUP beside a new binary starts workers anew
    expect(serving(old).filter((id) => before.some(({ pid }) => pid === id.pid))).toEqual([]);
    expect(serving(old)).toHaveLength(2);
    expect(await slow.finish()).toBe(200);
    await expectAlone(rig, old);
    expectNoCut(rig, load);
  });
});

it('a TERM while old workers leave goes back; a new master that dies then leaves nobody behind', async () => {
  await withBinary({ site: site() }, async (rig, binary) => {
    rig.allow.log.push(/new binary process \d+ exited on signal 9$/);
    await rig.deployed();
    const load = await rig.load(BRIEF);
    const old = master(rig);
    for (const how of ['interrupted', 'died'] as const) {
      const { slow, command } = await upgrading(rig, renewing(binary), noticed('nginx-answers'));
      if (how === 'interrupted') command.kill('SIGTERM');
      else {
        const [young] = heirsOf(fs, old).masters;
        if (young === undefined) throw new Error('no new master');
        signalProcess(fs, young, 'SIGKILL');
      }
      const run = await command.end;
      if (how === 'died') expectBack(run, 'died');
      else {
        expect(run.result).toMatchObject({ outcome: 'interrupted', exit: 143 });
        expect(run.stderr).toContain('Interrupted by SIGTERM before the new binary was in charge.');
      }
      expect(await slow.finish()).toBe(200);
      await expectAlone(rig, old, how);
      // the new master's workers had lost it, and were told to go as well
      const workers = rig.sandbox.residents().filter(({ command: line }) => line.startsWith('nginx: worker'));
      expect(workers.map(({ id }) => id.pid).sort()).toEqual(
        everyWorker(old)
          .map(({ pid }) => pid)
          .sort(),
      );
    }
    expectNoCut(rig, load);
  });
});

it('an old master that cannot come back leaves the new one serving, and recover goes on', async () => {
  const yaml = 'drain: { timeout: 1s }';
  await withBinary({ site: site(yaml, 'reload-timeout: 2s') }, async (rig, binary) => {
    await rig.deployed();
    const load = await rig.load(BRIEF);
    const { old, slow, command } = await winched(rig, binary);
    signalProcess(fs, old, 'SIGSTOP');
    const run = await command.end;
    expect(run.result, run.stdout).toMatchObject({ outcome: 'stranded', exit: 4 });
    expect(await rig.answering()).toBe('blue');
    expectNoCut(rig, load, 'while nobody can go on');
    expect((await rig.deploy()).result).toMatchObject({
      outcome: 'refused',
      failure: { reason: 'upgrade-pending' },
    });

    signalProcess(fs, old, 'SIGCONT');
    const mended = await rig.run(['recover']);
    expect(mended.result, mended.stdout + mended.stderr).toMatchObject({ outcome: 'done', exit: 0 });
    expect(await slow.finish()).toBe(200);
    await expectAlone(rig, old);
  });
});

it('a program that neither comes up nor ends is named, and recover goes on when it is gone', async () => {
  const yaml = 'stop: { timeout: 300ms }';
  await withBinary({ site: site(yaml, 'reload-timeout: 1s') }, async (rig, binary) => {
    await rig.deployed();
    const old = master(rig);
    rig.allow.log.push(/new binary process \d+ exited on signal 9$/);
    binary.replace('exec sleep 1000');
    const run = await upgrade(rig);
    expect(run.result, run.stdout).toMatchObject({ outcome: 'stranded', exit: 4 });
    const [hung] = heirsOf(fs, old).untitled;
    if (hung === undefined) throw new Error('it does not hang');
    expect(run.stderr).toContain(`pid ${String(hung.pid)} (sleep)`);
    signalProcess(fs, hung, 'SIGKILL');
    const mended = await rig.run(['recover']);
    expect(mended.result, mended.stdout).toMatchObject({ outcome: 'done', exit: 0 });
    await expectAlone(rig, old);
  });
});

it('an old master that was killed: recover ends the upgrade with the new one in charge', async () => {
  await withBinary({ site: site() }, async (rig, binary) => {
    await rig.deployed();
    const load = await rig.load(BRIEF);
    const { old, slow, command } = await winched(rig, binary);
    signalProcess(fs, old, 'SIGKILL');
    const run = await command.end;
    expect(run.result, run.stdout).toMatchObject({ outcome: 'stranded', exit: 4 });
    expect(run.stderr).toContain('swap-pool recover');
    const young = master(rig);
    const status = await rig.run(['nginx', 'status']);
    const upgrading = { old: null, new: young.pid, ours: true };
    expect(status.result).toMatchObject({ exit: 0, nginx: { pid: young.pid, upgrade: upgrading } });
    // the worker that finishes needs no master for it
    const mended = await rig.run(['recover']);
    expect(await slow.finish()).toBe(200);
    expect(mended.result, mended.stdout).toMatchObject({ outcome: 'done', exit: 0 });
    expect(mended.stdout + mended.stderr).not.toContain('Interrupted');
    await expectAlone(rig, young);
    expectNoCut(rig, load);
  });
});

it('with both masters killed nothing is called ended while workers serve', async () => {
  await withBinary({ site: site() }, async (rig, binary) => {
    rig.allow.log.push(/\[alert\].*open socket #\d+ left in connection/);
    await rig.deployed();
    const old = await abandoned(rig, binary);
    const [young] = heirsOf(fs, old).masters;
    if (young === undefined) throw new Error('no new master');
    const left = [...serving(old), ...serving(young)];
    // the old one first: it would clear up behind the other
    for (const id of [old, young]) signalProcess(fs, id, 'SIGKILL');
    await rig.until(() => !isAlive(fs, old) && !isAlive(fs, young));
    const recovered = await rig.run(['recover']);
    expect(recovered.result, recovered.stdout).toMatchObject({
      exit: 1,
      failure: { reason: 'nginx-orphaned' },
    });
    expect(await rig.run(['nginx', 'status'])).toMatchObject({
      exit: 4,
      result: { nginx: { state: 'orphaned', workers: 4 } },
    });
    expect((await rig.run(['nginx', 'force-stop'])).result).toMatchObject({ outcome: 'done', exit: 0 });
    expect(left.filter((id) => isAlive(fs, id))).toEqual([]);
    expect(existsSync(pidfile(rig, '.oldbin'))).toBe(false);
    expect((await rig.run(['recover'])).result).toMatchObject({ outcome: 'unchanged', exit: 0 });
    expect((await rig.sandbox.startNginx()).ok).toBe(true);
    await expectAlone(rig, master(rig));
  });
});

it('one that somebody else has begun is left to them', async () => {
  await withBinary({ site: site() }, async (rig, binary) => {
    await rig.deployed();
    await rig.load(BRIEF);
    const old = master(rig);
    binary.renew();
    signalProcess(fs, old, 'SIGUSR2');
    await rig.until(() => existsSync(pidfile(rig, '.oldbin')) && rig.sandbox.nginxMaster() !== null);
    await rig.until(() => heirsOf(fs, old).masters.some((id) => serving(id).length === 2));
    const young = master(rig);
    expect(young.pid).not.toBe(old.pid);
    const status = await rig.run(['nginx', 'status']);
    const pending = { old: old.pid, new: young.pid, ours: false };
    expect(status.result).toMatchObject({ exit: 0, nginx: { pid: young.pid, upgrade: pending } });
    for (const verb of ['upgrade', 'reload', 'stop']) {
      const run = await rig.run(['nginx', verb, ...(verb === 'stop' ? ['--yes'] : [])]);
      expect(run.result, verb).toMatchObject({ exit: 1, failure: { reason: 'upgrade-pending' } });
    }
    expect((await rig.run(['nginx', 'reopen-logs'])).result).toMatchObject({ outcome: 'done' });
    expect((await rig.run(['recover'])).result).toMatchObject({ outcome: 'unchanged', exit: 0 });
    expect(isAlive(fs, old)).toBe(true);
    signalProcess(fs, old, 'SIGQUIT');
    await rig.until(() => !isAlive(fs, old));
    await expectAlone(rig, young);
  });
});

/** Every upgrade is ended by a kill -9 one change to the world later than the one before, and then recovered. */
async function dieOnAndOn(
  rig: Rig,
  {
    from = 1,
    start,
    after,
  }: {
    readonly from?: number;
    readonly start: (at: DeathPoint) => Promise<Run>;
    readonly after: (words: string) => Promise<void>;
  },
): Promise<number> {
  for (let change = from; ; change += 1) {
    const { run, words } = await deathAt({ when: 'act', record: 0, change }, start);
    if (words === null) {
      expect(run.exit, run.stdout + run.stderr).toBe(0);
      return change - 1;
    }
    if (existsSync(pidfile(rig, '.oldbin'))) {
      const refused = await rig.deploy();
      expect(refused.result, words).toMatchObject({
        outcome: 'refused',
        failure: { reason: 'upgrade-pending' },
      });
    }
    // the next upgrade ends it, too, before it begins
    const mended = await rig.run(change % 2 === 0 ? ['nginx', 'upgrade'] : ['recover']);
    expect(mended.result, `${words}\n${mended.stdout}${mended.stderr}`).toMatchObject({ exit: 0 });
    await expectAlone(rig, master(rig), words);
    await after(words);
  }
}

it('kill -9 at every point: recover and the next upgrade end it, after WINCH in favour of the new binary', async () => {
  await withBinary({ site: site() }, async (rig, binary) => {
    await rig.deployed();
    const load = await rig.load(BRIEF);
    let old = master(rig);
    let winched = false;
    const points = await dieOnAndOn(rig, {
      start: (dieAt) => {
        binary.renew();
        return rig.run(['nginx', 'upgrade'], { dieAt });
      },
      after: async (words) => {
        winched ||= words.startsWith('SIGWINCH');
        // a record that says WINCH may have been sent is as good as one
        const onward = master(rig).pid !== old.pid;
        if (winched) expect(onward, words).toBe(true);
        old = master(rig);
        expect(await rig.answering(), words).toBe('blue');
        expectNoCut(rig, load, words);
      },
    });
    expect(winched).toBe(true);
    expect(points).toBeGreaterThan(8);
  });
});

it('kill -9 on the way back: recover ends it', async () => {
  const yaml = 'drain: { timeout: 700ms }';
  await withBinary({ site: site(yaml) }, async (rig, binary) => {
    await rig.deployed();
    const load = await rig.load(BRIEF);
    const old = master(rig);
    const words: string[] = [];
    // from WINCH on: those before were tried above
    for (let change = 6; ; change += 1) {
      const slow = await rig.hold();
      binary.renew();
      const death = await deathAt({ when: 'act', record: 0, change }, (dieAt) =>
        rig.run(['nginx', 'upgrade'], { dieAt }),
      );
      if (death.words === null) {
        expectBack(death.run, 'leave');
        expect(await slow.finish()).toBe(200);
        break;
      }
      words.push(death.words);
      const mended = await rig.run(['recover']);
      const said = `${death.words}\n${mended.stdout}${mended.stderr}`;
      // the record goes last, when all is as it was
      const outcome = death.words.startsWith('unlink') ? 'unchanged' : 'done';
      expect(mended.result, said).toMatchObject({ exit: 0, outcome });
      expect(await slow.finish(), said).toBe(200);
      await expectAlone(rig, old, said);
      expectNoCut(rig, load, said);
    }
    expect(words.join()).toMatch(/SIGWINCH.*SIGHUP.*SIGQUIT/);
  });
});
