/** A FastCGI server that is no php-fpm, on a host: README's own file, started at boot as the others are. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { wrong } from '../support/findings.js';
import { readme } from '../support/readme.js';
import { onHost } from './host.js';
import { APPLICATION, putProxy } from './site.js';

onHost(
  'fcgiwrap is deployed to and fro under load, and comes back at boot: nothing is cut',
  {},
  async (host) => {
    const program = readFileSync('test/support/servers/cgi.pl', 'utf8');
    for (const name of ['fast.php', 'slow.php', 'post.php', 'upload.php', 'whoami.php', 'health.cgi']) {
      host.write(`${APPLICATION}/public/${name}`, program, '755');
    }
    host.write('/etc/swap-pool/shop.yaml', readme('/etc/swap-pool/shop.yaml', 'Other FastCGI servers'));
    putProxy(host, 'rewrite');
    const unit = '/etc/systemd/system/swap-pool@.service';
    host.write(unit, readme(unit));
    host.sh('systemctl daemon-reload && systemctl enable --quiet swap-pool@shop');
    expect(await host.swapPool(['start', 'shop'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
    await host.reloadNginx();

    // four programs at a time
    const plan = { fast: { rate: 40 }, slow: { every: 2000, takes: 1500 }, post: { clients: 1, takes: 20 } };
    await host.load(plan);
    for (const to of ['green', 'blue', 'green']) {
      const run = await host.swapPool(['deploy', 'shop'], { properties: { KillMode: 'control-group' } });
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { to, drain: { cut: 0 } } });
      expect(host.answering()).toBe(to);
    }
    const seen = await host.swapPool(['doctor']);
    expect(wrong(seen)).toEqual([]);

    await host.reboot();
    expect(host.answering()).toBe('green');
    await host.load(plan);
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
  },
);
