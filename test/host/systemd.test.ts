/** Pools that are systemd units or SysV scripts, on a host: README's own files, under load. */
import { describe, expect } from 'vitest';
import { onHost, type Host } from './host.js';
import { readme } from '../support/readme.js';
import { manage, poolPid, startSite, startUnits } from './site.js';

const YAML = '/etc/swap-pool/shop.yaml';

const states = (host: Host): string[] =>
  ['blue', 'green'].map((slot) => host.trySh(`systemctl is-active shop-fpm@${slot}`).stdout.trim());

describe.each(['rewrite', 'symlink'] as const)('by %s', (by) => {
  onHost('the move from direct to units, and deploys of units, cut nothing', {}, async (host) => {
    await startUnits(host, by);
    await host.load();
    for (const [to, active] of [
      ['green', ['inactive', 'active']],
      ['blue', ['active', 'inactive']],
      ['green', ['inactive', 'active']],
    ] as const) {
      const run = await host.swapPool(['deploy', 'shop']);
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to } });
      expect(host.answering()).toBe(to);
      expect(states(host)).toEqual(active);
    }
    expect(host.sh('systemctl show -P MainPID shop-fpm@green')).toBe(String(poolPid(host, 'green')));
  });

  onHost('the move from direct to SysV scripts, and deploys by scripts, cut nothing', {}, async (host) => {
    await startSite(host, by);
    const fpm = host.sh('ls /usr/sbin/php-fpm*').split('\n')[0] ?? '';
    for (const slot of ['blue', 'green']) {
      const script = readme('/etc/init.d/shop-fpm-blue').replaceAll('blue', slot);
      host.write(`/etc/init.d/shop-fpm-${slot}`, script.replace('/usr/sbin/php-fpm8.2', fpm), '755');
    }
    manage(host, ['manager: init', 'init: { script: "/etc/init.d/shop-fpm-{slot}" }']);
    await host.load();
    for (const to of ['green', 'blue', 'green'] as const) {
      const run = await host.swapPool(['deploy', 'shop']);
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to } });
      expect(host.answering()).toBe(to);
    }
    expect(host.trySh('/etc/init.d/shop-fpm-green status').status).toBe(0);
    expect(host.trySh('/etc/init.d/shop-fpm-blue status').status).toBe(3);
  });
});

onHost('what goes wrong with a unit is told, and cuts nothing', {}, async (host) => {
  await startUnits(host, 'symlink');
  await host.load();
  const dropIn = (text: string): void => {
    host.write('/etc/systemd/system/shop-fpm@green.service.d/x.conf', text);
    host.sh('systemctl daemon-reload');
  };
  const fails = async (failure: Record<string, unknown>): Promise<void> => {
    const run = await host.swapPool(['deploy', 'shop']);
    expect(run, run.stdout + run.stderr).toMatchObject({ result: { failure } });
    expect(host.answering()).toBe('blue');
  };
  const reasons = async (): Promise<unknown[]> => {
    const run = await host.swapPool(['deploy', 'shop', '--dry-run']);
    return run.events.flatMap(({ warning }) => (warning as { reason?: unknown } | undefined)?.reason ?? []);
  };

  dropIn('[Service]\nExecStartPre=/bin/sh -c "echo no disk today; exit 3"\n');
  const failed = await host.swapPool(['deploy', 'shop']);
  expect(failed).toMatchObject({
    exit: 1,
    result: { outcome: 'reverted', failure: { reason: 'start-failed' } },
  });
  expect(failed.stderr).toContain('no disk today');

  dropIn('[Service]\nEnvironment=SWAP_POOL_SLOT=blue\n');
  await fails({ reason: 'unit-invalid' });

  dropIn('[Service]\nType=simple\nExecStart=\nExecStart=/bin/sleep 1000\n');
  host.sh('systemctl start shop-fpm@green');
  await fails({ reason: 'unit-disagrees' });
  // it is nobody's of ours: it was left alone
  expect(states(host)).toEqual(['inactive', 'active']);
  host.sh('systemctl stop shop-fpm@green; systemctl reset-failed shop-fpm@green');

  dropIn('[Service]\nKillSignal=SIGTERM\n');
  expect(await reasons()).toContain('unit-kill-signal');
  host.sh('sed -i "s/^KillSignal.*/&\\nRuntimeDirectory=shop/" /etc/systemd/system/shop-fpm@.service');
  host.sh('systemctl daemon-reload');
  expect(await reasons()).toContain('unit-runtime-folder');

  host.sh('rm -r /etc/systemd/system/shop-fpm@green.service.d && systemctl mask shop-fpm@green');
  await fails({ reason: 'unit-invalid' });
  host.sh('systemctl unmask shop-fpm@green');

  const stock = host.sh('ls /lib/systemd/system | grep ^php.*-fpm.service').split('\n')[0] ?? '';
  host.write(YAML, host.read(YAML).replace('shop-fpm@{slot}.service', stock));
  await fails({ reason: 'config-invalid' });
});

onHost(
  'a unit that does not stop is told to, and a pool outlives the oneshot unit that deployed it',
  {},
  async (host) => {
    await startUnits(host, 'symlink');
    await host.load();
    const oneshot = { properties: { Type: 'oneshot', KillMode: 'control-group' } };
    expect(await host.swapPool(['deploy', 'shop'], oneshot)).toMatchObject({
      exit: 0,
      result: { to: 'green' },
    });
    expect(states(host)).toEqual(['inactive', 'active']);
    expect(host.answering()).toBe('green');

    host.write('/etc/systemd/system/shop-fpm@green.service.d/x.conf', '[Service]\nKillSignal=SIGCONT\n');
    host.write(YAML, `${host.read(YAML)}stop: { timeout: 1s }\n`);
    host.sh('systemctl daemon-reload');
    const run = await host.swapPool(['deploy', 'shop']);
    expect(run).toMatchObject({ exit: 0, result: { to: 'blue', drain: { cut: 0 } } });
    const told = run.events.flatMap(
      ({ warning }) => (warning as { reason?: unknown } | undefined)?.reason ?? [],
    );
    expect(told).toEqual(['stop-command-failed', 'stop-escalates']);
    host.allow.failedUnits.push(/^shop-fpm@green/);
  },
);

onHost(
  "pool's verbs of units cut nothing, and what they stop systemd does not start again",
  {},
  async (host) => {
    await startUnits(host, 'symlink');
    // every end but that of a stop
    host.write('/etc/systemd/system/shop-fpm@blue.service.d/x.conf', '[Service]\nRestart=always\n');
    host.sh('systemctl daemon-reload');
    const load = await host.load();
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
    const pool = async (verb: string, slot: 'blue' | 'green'): Promise<unknown[]> => {
      const run = await host.swapPool(['pool', verb, slot, 'shop']);
      expect(run, `${verb}\n${run.stdout}${run.stderr}`).toMatchObject({
        exit: 0,
        result: { outcome: 'done' },
      });
      await load.answered();
      return run.events.flatMap(({ warning }) => (warning as { reason?: unknown } | undefined)?.reason ?? []);
    };
    const main = (slot: string): string => host.sh(`systemctl show -P MainPID shop-fpm@${slot}`);

    await pool('start', 'blue');
    expect(states(host)).toEqual(['active', 'active']);
    const first = main('blue');
    await pool('restart', 'blue');
    expect(main('blue')).not.toBe(first);
    const second = main('green');
    await pool('reload', 'green');
    await pool('reopen-logs', 'green');
    expect([main('green'), states(host)]).toEqual([second, ['active', 'active']]);
    await pool('stop', 'blue');
    expect(states(host)).toEqual(['inactive', 'active']);

    await pool('start', 'blue');
    expect(await pool('force-stop', 'blue')).toEqual([]);
    expect(states(host)).toEqual(['inactive', 'active']);
    expect(await host.swapPool(['pool', 'status', 'blue', 'shop'])).toMatchObject({ exit: 3 });
    expect(host.sh('systemctl show -P NRestarts shop-fpm@blue')).toBe('0');
    expect(host.answering()).toBe('green');
  },
);
