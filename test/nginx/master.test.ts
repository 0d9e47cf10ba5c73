import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createFinder } from '../../src/nginx/master.js';
import type { NginxKeys } from '../../src/nginx/master.js';
import { parseCompiled } from '../../src/nginx/installation.js';
import type { Procfs } from '../../src/system/proc.js';
import { pids, procfs, title } from '../../src/system/proc.js';
import { markSandbox } from '../../src/system/sandbox-mark.js';
import { PATIENCE } from '../support/limits.js';
import { NGINX, Rig, until } from './rig.js';

const root = process.geteuid?.() === 0;
let rig: Rig;
let other: Rig;
beforeEach(async () => {
  rig = await Rig.make();
  other = await Rig.make();
});
afterEach(async () => {
  await rig.end();
  await other.end();
});

const locate = (keys: NginxKeys, fs: Procfs = procfs()) =>
  createFinder({ fs, keys, root, timeout: PATIENCE }).locate();
const found = async (keys: NginxKeys, fs?: Procfs) => {
  const nginx = await locate(keys, fs);
  if (!nginx.ok) throw new Error(nginx.failure.reason);
  return nginx.value;
};
const pidFound = async (keys: NginxKeys, fs?: Procfs): Promise<number | null> =>
  (await found(keys, fs)).master?.pid ?? null;
const reason = async (keys: NginxKeys, fs?: Procfs): Promise<string> => {
  const nginx = await locate(keys, fs);
  return nginx.ok ? 'found' : nginx.failure.reason;
};
const simple = (of: Rig): string => of.conf(of.server('return 200 x;'));

describe('the master', () => {
  it('is found by its configuration, the pidfile missing', async () => {
    const pid = rig.start(simple(rig), '-g', 'daemon on; master_process on;');
    rmSync(rig.path('nginx.pid'));
    const nginx = await found({ config: rig.path('nginx.conf') });
    expect(nginx.master?.pid).toBe(pid);
    expect(nginx.binary).toBe(NGINX);
    expect(nginx.arguments).toEqual(['-c', rig.path('nginx.conf'), '-g', 'daemon on; master_process on;']);
  });

  it.each(['', 'garbage', '1', '4194304', '12\n13', '-5', '0'])(
    'is found by its configuration, whatever rubbish (%j) the pidfile holds',
    async (text) => {
      const pid = rig.start(simple(rig));
      other.start(simple(other));
      const pidfile = rig.write('rubbish.pid', text);
      expect(await pidFound({ config: rig.path('nginx.conf'), pidfile })).toBe(pid);
    },
  );

  it('a pidfile of somebody else’s program means that nginx does not run', async () => {
    const config = rig.write('nginx.conf', simple(rig));
    const pidfile = rig.write('stale.pid', `${String(rig.run('/bin/sleep', ['600']))}\n`);
    expect(await pidFound({ config, pidfile })).toBeNull();
  });

  it('a pidfile of another nginx is refused', async () => {
    const config = rig.write('nginx.conf', simple(rig));
    const pid = other.start(simple(other));
    const answer = await locate({ config, pidfile: other.path('nginx.pid') });
    expect(answer).toMatchObject({
      ok: false,
      failure: { reason: 'nginx-pidfile-wrong', path: other.path('nginx.pid') },
    });
    expect(await pidFound({ pidfile: other.path('nginx.pid') })).toBe(pid);
  });

  it('two masters are ambiguous, both named, until a key decides', async () => {
    const [one, two] = [rig.start(simple(rig)), other.start(simple(other))];
    const fs = rig.procOf(one, two);
    const answer = await locate({}, fs);
    if (answer.ok || answer.failure.reason !== 'nginx-ambiguous') throw new Error('not ambiguous');
    expect(answer.failure.masters.map(({ pid }) => pid).sort()).toEqual([one, two].sort());
    expect(answer.failure.masters[0]?.command).toMatch(/^nginx: master process .*nginx\.conf$/);
    expect(await pidFound({ config: other.path('nginx.conf') }, fs)).toBe(two);
    expect(await pidFound({ pidfile: rig.path('nginx.pid') }, fs)).toBe(one);
    expect(await pidFound({}, rig.procOf(one))).toBe(one);
  });

  it('a demo’s does not count, unless a key names it', async () => {
    const one = rig.start(simple(rig));
    const folder = other.path('swap-pool-0123456789');
    const config = other.write('swap-pool-0123456789/nginx.conf', simple(other));
    const demo = other.launch([NGINX, '-c', config]);
    const fs = rig.procOf(one, demo);
    expect(await reason({}, fs)).toBe('nginx-ambiguous');
    expect(markSandbox(procfs(), folder)).toMatchObject({ ok: true });
    expect(await pidFound({}, fs)).toBe(one);
    expect(await pidFound({ config }, fs)).toBe(demo);
    expect(await pidFound({ binary: NGINX }, rig.procOf(demo))).toBeNull();
    // whoever else may write there could say it of any nginx
    chmodSync(folder, 0o777);
    expect(await reason({}, fs)).toBe('nginx-ambiguous');
  });

  it('without one the configuration is the compiled default, the words those of the keys', async () => {
    const nginx = await found({ binary: NGINX }, rig.procOf());
    expect(nginx).toMatchObject({ master: null, config: '/etc/nginx/nginx.conf', binary: NGINX });
    const moved = await found({ binary: NGINX, arguments: ['-p', rig.dir, '-c', 'a.conf'] }, rig.procOf());
    expect(moved.config).toBe(rig.path('a.conf'));
    expect(await reason({ binary: '/nowhere/nginx' }, rig.procOf())).toBe('nginx-not-found');
  });

  it('a relative -c counts from -p, a relative -p from where nginx was started', async () => {
    rig.write('etc/site.conf', simple(rig));
    const pid = rig.launch([NGINX, '-p', 'etc', '-c', 'site.conf'], undefined, rig.dir);
    const nginx = await found({ config: rig.path('etc/site.conf') });
    expect(nginx.master?.pid).toBe(pid);
    expect(nginx.config).toBe(rig.path('etc/site.conf'));
  });

  it('a configuration reached through a link is the same', async () => {
    const pid = rig.start(simple(rig));
    spawnSync('/bin/ln', ['-s', rig.path('nginx.conf'), rig.path('link.conf')]);
    expect(await pidFound({ config: rig.path('link.conf') })).toBe(pid);
  });

  it('a title that an empty environment cut off is unclear, until the key gives the words', async () => {
    const conf = rig.write('nginx.conf', simple(rig));
    const pid = rig.launch([NGINX, '-c', conf, '-g', 'daemon on; master_process on;'], {});
    const fs = rig.procOf(pid);
    expect(await reason({}, fs)).toBe('nginx-arguments-unclear');
    expect(await reason({ config: conf }, fs)).toBe('nginx-arguments-unclear');
    const words = ['-c', conf, '-g', 'daemon on; master_process on;'];
    expect(await pidFound({ arguments: words }, fs)).toBe(pid);
    expect(await reason({ arguments: ['-c', '/etc/other.conf'] }, fs)).toBe('nginx-arguments-unclear');
  });

  it('a process that merely calls itself one is none', async () => {
    const config = rig.write('nginx.conf', simple(rig));
    const script = `process.title = 'nginx: master process ${NGINX} -c ${config}'; setInterval(() => {}, 1000)`;
    const pid = rig.run(process.execPath, ['-e', script, ' '.repeat(300)]);
    await until(() =>
      spawnSync('/bin/cat', [`/proc/${String(pid)}/cmdline`])
        .stdout.toString()
        .startsWith('nginx: master'),
    );
    expect(await pidFound({ config })).toBeNull();
  });

  it('a worker in the pidfile is no master', async () => {
    const pid = rig.start(simple(rig));
    const worker = spawnSync('/bin/cat', [`/proc/${String(pid)}/task/${String(pid)}/children`])
      .stdout.toString()
      .split(' ')[0];
    writeFileSync(rig.path('wrong.pid'), `${String(worker)}\n`);
    expect(await pidFound({ config: rig.path('nginx.conf'), pidfile: rig.path('wrong.pid') })).toBe(pid);
  });

  it.runIf(root)('one in another mount, pid or network namespace is not ours', async () => {
    for (const flags of [['-m'], ['-n'], ['-p', '-f']]) {
      const conf = rig.write('nginx.conf', simple(rig));
      const before = spawnSync('/usr/bin/unshare', [...flags, '/bin/true']);
      if (before.status !== 0) continue;
      if (flags[0] === '-p') {
        const shell = rig.run('/usr/bin/unshare', [
          ...flags,
          '--kill-child',
          '/bin/sh',
          '-c',
          `${NGINX} -c ${conf}; exec sleep 600`,
        ]);
        expect(shell).toBeGreaterThan(1);
        rig.pid('nginx.pid');
      } else {
        rig.launch(['/usr/bin/unshare', ...flags, NGINX, '-c', conf]);
      }
      const named = `nginx: master process ${NGINX} -c ${conf}`;
      await until(() => pids(procfs()).some((pid) => title(procfs(), pid).startsWith(named)));
      expect([flags, await pidFound({ config: conf })]).toEqual([flags, null]);
      await rig.end();
      rig = await Rig.make();
    }
  });

  it.runIf(root)('a program of another user’s is never run by root', async () => {
    const conf = rig.write('nginx.conf', simple(rig).replace('user root;', ''));
    const fake = rig.path('nginx');
    spawnSync('/bin/cp', [NGINX, fake]);
    spawnSync('/bin/chown', ['-R', '65534', rig.dir]);
    const as = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', fake];
    const pid = rig.launch([...as, '-c', conf]);
    expect(await reason({ config: conf })).toBe('unsafe-path');
    expect(await reason({ config: '/etc/nginx/nginx.conf' }, rig.procOf(pid))).toBe('found');
    expect(await pidFound({ config: '/etc/nginx/nginx.conf' }, rig.procOf(pid))).toBeNull();
    expect(await pidFound({}, rig.procOf(pid))).toBeNull();
  });

  it('during a binary upgrade the young one is given, and told as upgrading', async () => {
    const old = rig.start(simple(rig));
    process.kill(old, 'SIGUSR2');
    await until(
      () =>
        spawnSync('/bin/sh', ['-c', `test -s ${rig.path('nginx.pid.oldbin')} -a -s ${rig.path('nginx.pid')}`])
          .status === 0,
    );
    await until(() => rig.pid('nginx.pid') !== old);
    const young = rig.adopt(rig.pid('nginx.pid'));
    const nginx = await found({ config: rig.path('nginx.conf') });
    expect(nginx.master?.pid).toBe(young);
    expect(nginx.upgrading).toBe(true);
  });
});

describe('nginx -V', () => {
  it('defaults are those of nginx’s configure, relative ones under the prefix', () => {
    expect(
      parseCompiled('nginx version: nginx/1.27.4 (Ubuntu)\nconfigure arguments: --with-debug\n'),
    ).toEqual({
      prefix: '/usr/local/nginx',
      config: '/usr/local/nginx/conf/nginx.conf',
      pidfile: '/usr/local/nginx/logs/nginx.pid',
      errorLog: '/usr/local/nginx/logs/error.log',
      version: '1.27.4',
      user: { name: 'nobody', groups: ['nobody', 'nogroup'] },
    });
    expect(parseCompiled('configure arguments: --user=www')).toMatchObject({
      user: { name: 'www', groups: ['www'] },
    });
    expect(parseCompiled('configure arguments: --user=www --group=web')).toMatchObject({
      user: { name: 'www', groups: ['web'] },
    });
    expect(
      parseCompiled("configure arguments: --prefix='/a b' --conf-path=/c --error-log-path=stderr"),
    ).toMatchObject({
      prefix: '/a b',
      config: '/c',
      errorLog: 'stderr',
    });
    expect(parseCompiled('bash: no such thing')).toBeNull();
  });
});
