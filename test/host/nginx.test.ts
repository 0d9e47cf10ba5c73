/** nginx's control script on Debian's own nginx.service: systemd has to follow what it does. */
import { describe, expect } from 'vitest';
import { onHost, type Host } from './host.js';
import { startSite } from './site.js';

describe('nginx.service', () => {
  onHost(
    'is upgraded under load with no request cut, and systemd follows the new master',
    {},
    async (host) => {
      await startSite(host, 'rewrite');
      await host.load();
      for (let round = 1; round <= 2; round += 1) {
        const before = mainPid(host);
        // as a package puts a new one in place
        host.sh('cp /usr/sbin/nginx /usr/sbin/nginx.next && mv /usr/sbin/nginx.next /usr/sbin/nginx');
        const run = await host.swapPool(['nginx', 'upgrade']);
        expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        await host.until(
          () => mainPid(host) !== before && mainPid(host) === host.read('/run/nginx.pid').trim(),
        );
        expect(host.sh('systemctl is-active nginx')).toBe('active');
      }
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
      host.sh('systemctl reload nginx');
      expect(host.answering()).toBe('green');
    },
  );

  onHost('is tested, reloaded, has its logs reopened, and is stopped', {}, async (host) => {
    await startSite(host, 'symlink');
    host.allow.reloads = true;
    const load = await host.load({ fast: { rate: 40, connections: 1 } });
    for (const verb of ['test', 'reload']) {
      expect(await host.swapPool(['nginx', verb])).toMatchObject({ exit: 0 });
    }
    host.sh('mv /var/log/nginx/access.log /var/log/nginx/access.log.1');
    expect(await host.swapPool(['nginx', 'reopen-logs'])).toMatchObject({ exit: 0 });
    await load.answered();
    expect(host.sh('stat --format=%s /var/log/nginx/access.log')).not.toBe('0');
    host.sh(
      'cat /var/log/nginx/access.log >>/var/log/nginx/access.log.1; mv /var/log/nginx/access.log.1 /var/log/nginx/access.log',
    );
    await host.swapPool(['nginx', 'reopen-logs']);

    host.write('/etc/nginx/conf.d/broken.conf', 'no_such_directive on;\n');
    const refused = await host.swapPool(['nginx', 'reload']);
    expect(refused).toMatchObject({ exit: 1, result: { failure: { reason: 'nginx-config-broken' } } });
    host.sh('rm /etc/nginx/conf.d/broken.conf');

    await load.stop();
    expect(await host.swapPool(['nginx', 'stop', '--yes'])).toMatchObject({ exit: 0 });
    await host.until(() => host.trySh('systemctl is-active nginx').stdout.trim() === 'inactive');
    expect(await host.swapPool(['nginx', 'status'])).toMatchObject({ exit: 3 });
    host.sh('systemctl start nginx');
    expect(host.answering()).toBe('blue');
    // at once, and systemd is not told either
    expect(await host.swapPool(['nginx', 'force-stop', '--yes'])).toMatchObject({ exit: 0 });
    await host.until(() => host.trySh('systemctl is-active nginx').stdout.trim() === 'inactive');
    expect(await host.swapPool(['nginx', 'status'])).toMatchObject({ exit: 3 });
    host.sh('systemctl start nginx');
    expect(host.answering()).toBe('blue');
  });
});

const mainPid = (host: Host): string => host.sh('systemctl show --property=MainPID --value nginx');
