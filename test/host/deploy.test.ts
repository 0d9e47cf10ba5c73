/** Deploys on a host as Debian makes it, from the packed package, by README's quick start. */
import { describe, expect } from 'vitest';
import { onHost } from './host.js';
import { startSite } from './site.js';

describe.each(['rewrite', 'symlink'] as const)('by %s', (by) => {
  onHost('deploys to and fro cut nothing', {}, async (host) => {
    await startSite(host, by);
    await host.load();
    for (const to of ['green', 'blue']) {
      expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({
        exit: 0,
        result: { outcome: 'done', to },
      });
      expect(host.answering()).toBe(to);
    }
  });
});
