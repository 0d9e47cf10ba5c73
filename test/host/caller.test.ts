/** What systemd kills when a caller's unit has ended, and what is none of the caller's. */
import { describe, expect } from 'vitest';
import type { Slot } from '../../src/event.js';
import { onHost, type Host } from './host.js';
import { poolPid, startSite } from './site.js';

describe('the pool that a deploy has started lives on', () => {
  onHost('when the oneshot unit that a timer has started ends', {}, async (host) => {
    await startSite(host, 'symlink');
    const load = await host.load();
    host.write(
      '/etc/systemd/system/shop-deploy.service',
      '[Service]\nType=oneshot\nExecStart=/usr/bin/swap-pool deploy shop\n',
    );
    host.write('/etc/systemd/system/shop-deploy.timer', '[Timer]\nOnActiveSec=0\nAccuracySec=1ms\n');
    host.sh('systemctl daemon-reload && systemctl start shop-deploy.timer');
    await host.until(
      () => host.answering() === 'green' && stateOf(host, 'shop-deploy.service') === 'inactive',
    );
    expect(host.sh('systemctl show --property=Result --value shop-deploy.service')).toBe('success');
    await load.answered();
    expect(host.answering()).toBe('green');
    expect(groupOf(host, 'green')).toMatch(/^\/system\.slice\/run-\w+\.scope$/);
  });

  onHost('when a job is cleaned up with all its control group', {}, async (host) => {
    await startSite(host, 'rewrite');
    const load = await host.load();
    const job = host.spawn(['/bin/sh', '-c', 'swap-pool deploy shop; echo deployed; exec sleep 600'], {
      properties: { KillMode: 'control-group' },
    });
    await host.until(() => job.stdout.includes('deployed'));
    host.kill(job, 'SIGKILL');
    await job.end;
    await load.answered();
    expect(host.answering()).toBe('green');
    expect(await host.swapPool(['status', 'shop'])).toMatchObject({ exit: 0 });
  });
});

const stateOf = (host: Host, unit: string): string =>
  host.sh(`systemctl show --property=ActiveState --value ${unit}`);

/** The control group of a slot's master, as the host sees it. */
const groupOf = (host: Host, slot: Slot): string =>
  host
    .sh(`sed -n 's/^0:://p' /proc/${poolPid(host, slot)}/cgroup`)
    .replace(/^.*\/system\.slice/, '/system.slice');
