/**
 * From a stock Debian site to deploys, by `init` and by the very commands that it prints, under load: who
 * starts the slots is systemd or a SysV script, and both ways to switch.
 */
import { describe, expect } from 'vitest';
import type { Run } from '../support/command.js';
import { onHost, type Host } from './host.js';
import { APPLICATION, putStockSite, stockPool, stockService } from './site.js';

describe.each([
  ['systemd', 'rewrite'],
  ['init', 'rewrite'],
  ['systemd', 'symlink'],
  ['direct', 'symlink'],
] as const)('init for %s, switch by %s', (manager, by) => {
  onHost(
    'the move of a live site, deploys to and fro, and a reboot: nothing is cut',
    { timeout: 180_000 },
    async (host) => {
      await putStockSite(host);
      await host.load();
      const moved = await host.swapPool([
        ...['init', 'shop', '--from', stockPool(host), '--site', '/etc/nginx/sites-enabled/shop', '--yes'],
        ...['--manager', manager, '--switch', by, '--probe', `${APPLICATION}/public/health.php`],
      ]);
      expect(moved, moved.stdout + moved.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      await follow(host, moved);
      expect(host.answering()).toBe('blue');
      expect(host.trySh(`systemctl is-active ${stockService(host)}`).stdout.trim()).toBe('inactive');

      for (const to of ['green', 'blue', 'green']) {
        // as from a timer's oneshot unit: what stays in its control group ends with it
        const run = await host.swapPool(['deploy', 'shop'], { properties: { KillMode: 'control-group' } });
        expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { to, drain: { cut: 0 } } });
        expect(host.answering()).toBe(to);
      }
      expect(host.trySh('systemctl is-active shop-fpm@green').stdout.trim()).toBe(
        manager === 'systemd' ? 'active' : 'inactive',
      );
      await host.reboot();
      expect(host.answering()).toBe('green');
      expect(await host.swapPool(['status', 'shop'])).toMatchObject({
        exit: 0,
        result: {
          apps: [{ active: 'green', slots: { blue: { state: 'stopped' }, green: { state: 'running' } } }],
        },
      });
      await host.load();
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({
        exit: 0,
        result: { to: 'blue', drain: { cut: 0 } },
      });
    },
  );
});

/** Runs what `init` has printed, line by line, and what those lines print. */
async function follow(host: Host, run: Run): Promise<void> {
  for (const { command } of nextOf(run)) {
    const json = command.startsWith('swap-pool ');
    const line = await host.run(['/bin/sh', '-c', `${command}${json ? ' --json' : ''}`]);
    expect(line, `${command}\n${line.stdout}${line.stderr}`).toMatchObject({ exit: 0 });
    await follow(host, line);
  }
}

const nextOf = (run: Run): readonly { readonly command: string }[] =>
  (run.result['init'] as { next?: { command: string }[] } | undefined)?.next ?? [];
