/** What doctor finds on a host as it is, and mends there: signals that went wrong, units, workers that do not end, a full disk. */
import { expect } from 'vitest';
import type { Slot } from '../../src/event.js';
import { findings, only, wrong } from '../support/findings.js';
import { onHost, type Host } from './host.js';
import { poolPid, startSite, startUnits, stockPool, stockService } from './site.js';

onHost(
  'of a master that was signalled: a HUP is a reload on Debian, a KILL leaves orphans',
  {},
  async (host) => {
    await startSite(host, 'rewrite');
    const load = await host.load();
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
    const before = poolPid(host, 'green');
    host.sh(`kill -HUP ${before}`);
    await host.until(() => host.trySh(`kill -0 ${before}`).status !== 0 && poolPid(host, 'green') !== before);
    await load.answered();
    expect(wrong(await host.swapPool(['doctor']))).toEqual([]);

    expect(await host.swapPool(['pool', 'start', 'blue', 'shop'])).toMatchObject({ exit: 0 });
    await killMaster(host, 'blue');
    const standby = await host.swapPool(['doctor']);
    expect(wrong(standby)).toEqual(['error orphans', 'warning pidfile']);
    expect(only(standby, 'orphans')).toMatchObject({
      fixable: true,
      evidence: { slot: 'blue', serves: false },
    });
    const mended = await host.swapPool(['doctor', '--fix', '--yes']);
    expect(mended, mended.stdout + mended.stderr).toMatchObject({ exit: 0 });
    expect(await host.swapPool(['pool', 'status', 'blue', 'shop'])).toMatchObject({ exit: 3 });

    await killMaster(host, 'green');
    const serving = await host.swapPool(['doctor', '--fix', '--yes']);
    expect(wrong(serving)).toEqual(['error orphans', 'warning pidfile']);
    expect(only(serving, 'orphans')).toMatchObject({
      fixable: false,
      evidence: { slot: 'green', serves: true },
    });
    expect(only(serving, 'orphans').hint).toContain('`swap-pool deploy shop`');
    await load.answered();
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
    expect(wrong(await host.swapPool(['doctor']))).toEqual([]);
  },
);

onHost(
  'of units: one that was killed, one that TERM stops, a folder in /run that both remove, both slots in one',
  {},
  async (host) => {
    await startUnits(host, 'symlink');
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
    expect(wrong(await host.swapPool(['doctor']))).toEqual([]);
    // systemd ends the orphans of a unit, and starts it again
    const mainPid = (): string => host.sh('systemctl show -P MainPID shop-fpm@green');
    const killed = mainPid();
    host.sh(`kill -KILL ${killed}`);
    await host.until(() => !['0', killed].includes(mainPid()) && host.answering() === 'green');
    expect(wrong(await host.swapPool(['doctor']))).toEqual([]);
    const dropIn = (lines: string): void => {
      host.write('/etc/systemd/system/shop-fpm@.service.d/x.conf', `[Service]\n${lines}`);
      host.sh('systemctl daemon-reload');
    };
    dropIn('KillSignal=SIGTERM\n');
    const term = await host.swapPool(['doctor']);
    expect(term.exit).toBe(1);
    expect(wrong(term)).toEqual(['warning unit-kill-signal', 'warning unit-kill-signal']);
    dropIn('RuntimeDirectory=shop\n');
    const removed = await host.swapPool(['doctor']);
    expect(wrong(removed)).toEqual(['warning unit-runtime-folder']);
    expect(only(removed, 'unit-runtime-folder').evidence).toMatchObject({ folder: '/run/shop' });
    host.sh('rm -r /etc/systemd/system/shop-fpm@.service.d && systemctl daemon-reload');

    const app = host.read('/etc/swap-pool/shop.yaml');
    const stock = `${stockService(host)}.service`;
    host.write('/etc/swap-pool/shop.yaml', app.replace('shop-fpm@{slot}.service', stock));
    expect(wrong(await host.swapPool(['doctor']))).toEqual(['error config-invalid']);
    for (const slot of ['blue', 'green']) {
      host.sh(`ln -s /lib/systemd/system/${stock} /etc/systemd/system/php-${slot}.service`);
    }
    host.sh('systemctl daemon-reload');
    host.write('/etc/swap-pool/shop.yaml', app.replace('shop-fpm@{slot}.service', 'php-{slot}.service'));
    const aliases = await host.swapPool(['doctor']);
    expect(wrong(aliases)).toEqual(['error slots-one-master']);
    expect(only(aliases, 'slots-one-master').evidence).toMatchObject({ unit: stock });

    // the same without a unit that is named: two pools of one php-fpm
    const folder = stockPool(host).replace(/[^/]*$/, '');
    for (const slot of ['blue', 'green']) {
      const pool = `[${slot}]\nuser = www-data\nlisten = /run/swap-pool/${slot}.sock\nlisten.owner = www-data\n`;
      host.write(`${folder}${slot}.conf`, `${pool}pm = static\npm.max_children = 1\n`);
    }
    host.sh(`systemctl restart ${stock}`);
    const main = folder.replace('pool.d/', 'php-fpm.conf');
    host.write(
      '/etc/swap-pool/both.yaml',
      `pool: { config: ${main} }\nslots: { blue: { section: blue }, green: { section: green } }\n`,
    );
    const both = await host.swapPool(['doctor', 'both']);
    expect(wrong(both)).toEqual(['error slots-share']);
    const shared = only(both, 'slots-share').evidence['shared'] as { what: string }[];
    expect(new Set(shared.map(({ what }) => what))).toEqual(new Set(['pid', 'listen']));
    expect(await host.swapPool(['deploy', 'both'])).toMatchObject({
      exit: 2,
      result: { failure: { reason: 'slots-share' } },
    });

    host.sh('rm /etc/swap-pool/both.yaml');
    host.write('/etc/swap-pool/shop.yaml', app);
    expect(await host.swapPool(['doctor'])).toMatchObject({ exit: 0 });
  },
);

onHost(
  'of what takes its time or has no room: a worker that retires for hours, a full disk',
  {},
  async (host) => {
    await startSite(host, 'symlink');
    host.allow.reloads = true;
    const load = await host.load({ fast: { rate: 20 }, slow: { every: 500, takes: 6000 } });
    await host.until(() => load.underWay('slow') > 2);
    await host.reloadNginx();
    expect(wrong(await host.swapPool(['doctor']))).not.toContain('warning worker-retires-long');
    // as if the machine had been booted two hours earlier, and with it every process born
    host.sh(
      'sed "s/^btime .*/btime $(($(date +%s) - 7200 - $(cut -d. -f1 /proc/uptime)))/" /proc/stat >/run/stat' +
        ' && mount --bind /run/stat /proc/stat',
    );
    const run = await host.swapPool(['doctor']);
    host.sh('umount /proc/stat');
    const long = findings(run).filter(({ reason }) => reason === 'worker-retires-long');
    expect(run.exit).toBe(1);
    expect(long.length).toBeGreaterThan(0);
    for (const { severity, evidence } of long) {
      expect(severity).toBe('warning');
      expect(evidence['ms']).toBeGreaterThan(3_600_000);
      expect(evidence['clients']).toBeGreaterThan(0);
      expect(evidence['upstreams']).toBeGreaterThan(0);
    }

    const state = '/var/lib/swap-pool';
    host.sh(`mount -t tmpfs -o size=64k tmpfs ${state}`);
    const full = await host.swapPool(['doctor']);
    expect(only(full, 'little-space')).toMatchObject({ severity: 'error', evidence: { path: state } });
    host.sh(`mount -o remount,ro ${state}`);
    const closed = await host.swapPool(['doctor']);
    expect(only(closed, 'state-unwritable')).toMatchObject({
      severity: 'error',
      evidence: { path: state, code: 'EROFS' },
    });
    host.sh(`umount ${state}`);
    expect(wrong(await host.swapPool(['doctor']))).not.toContain('error state-unwritable');
  },
);

/** Kills a slot's master, and waits until it is gone. */
async function killMaster(host: Host, slot: Slot): Promise<void> {
  const pid = poolPid(host, slot);
  host.sh(`kill -KILL ${pid}`);
  await host.until(() => host.trySh(`kill -0 ${pid}`).status !== 0);
}
