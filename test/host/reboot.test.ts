/** A host that boots: /run is empty, and `swap-pool start` runs before nginx. */
import { describe, expect } from 'vitest';
import { onHost, type Host } from './host.js';
import { rebootsTo, startSite } from './site.js';

const BOOT_UNIT = `[Unit]
Before=nginx.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/swap-pool start shop

[Install]
WantedBy=multi-user.target
`;

describe.each(['rewrite', 'symlink'] as const)('by %s', (by) => {
  onHost(
    'a reboot brings back the slot that served, and the next deploy finds all in order',
    {},
    async (host) => {
      await startSite(host, by);
      startAtBoot(host);
      await host.load();
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0 });
      await rebootsTo(host, 'green');
      await host.load();
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
    },
  );

  onHost(
    'a power cut while a deploy drains leaves a site that serves and a deploy that recover ends',
    {},
    async (host) => {
      await startSite(host, by);
      startAtBoot(host);
      const load = await host.load({ fast: { rate: 20 }, slow: { every: 1000, takes: 3000 } });
      await host.until(() => load.underWay('slow') > 1);
      const deploy = host.spawn(['swap-pool', 'deploy', 'shop'], { json: true });
      await deploy.untilStep('drain');
      await host.crash();
      expect(host.answering()).toBe('green');
      expect(await host.swapPool(['recover', 'shop'])).toMatchObject({ exit: 0 });
      await host.load();
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
    },
  );
});

function startAtBoot(host: Host): void {
  host.write('/etc/systemd/system/swap-pool-shop.service', BOOT_UNIT);
  host.sh('systemctl daemon-reload && systemctl enable --quiet swap-pool-shop.service');
}
