/** What hosts are booted by, on a machine that runs systemd itself: a host is one. */
import { resolve } from 'node:path';
import { expect, inject, it } from 'vitest';
import { Machine } from './machine.js';

const ingredients = inject('host');

it.skipIf(ingredients.why !== null)(
  'where systemd runs a Debian starts in a scope of its own, which goes with it',
  async () => {
    if (ingredients.why !== null) return;
    const { root } = ingredients;
    const nspawn = '/usr/bin/systemd-nspawn';
    const binds = { [nspawn]: nspawn, [root]: '/opt/root', [resolve('scripts')]: '/opt/scripts' };
    const machine = await Machine.boot({ root, binds: { ...binds, [process.execPath]: '/usr/bin/node' } });
    try {
      const run = [
        'systemd-run',
        '--pipe',
        '--wait',
        '--quiet',
        'node',
        '/opt/scripts/debian-root.mjs',
        '/opt/root',
      ];
      expect(machine.look(run)).toEqual({ status: 0, stdout: '/opt/root\n', stderr: '' });
      const scopes = machine.look(['systemctl', 'list-units', '--plain', '--no-legend', 'swap-pool-*']);
      expect(scopes.stdout).toBe('');
      expect(machine.look(['sh', '-c', 'ls -d /tmp/swap-pool-* /run/systemd/nspawn']).stdout).toBe('');
    } finally {
      await machine.close();
    }
  },
);
