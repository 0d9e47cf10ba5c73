/** The per-pool init script on a booted host: what is started by hand is nobody's child there, either. */
import { expect } from 'vitest';
import { onHost } from './host.js';
import { poolPid, startSite } from './site.js';

onHost("pool's verbs under load cut nothing, and what they start outlives their caller", {}, async (host) => {
  await startSite(host, 'rewrite');
  const load = await host.load();
  // from now on what nginx runs is proven
  expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
  // whatever stays in the control group of a verb's unit ends with it
  const pool = async (...words: string[]): Promise<void> => {
    const run = await host.swapPool(['pool', ...words, 'shop'], {
      properties: { KillMode: 'control-group' },
    });
    expect(run, `${words.join(' ')}\n${run.stdout}${run.stderr}`).toMatchObject({ exit: 0 });
    await load.answered();
  };
  await pool('start', 'blue');
  await pool('status', 'blue');
  await pool('restart', 'blue');
  const before = poolPid(host, 'blue');
  await pool('try-restart', 'blue');
  expect(poolPid(host, 'blue')).not.toBe(before);
  await pool('reload', 'green');
  await pool('reopen-logs', 'green');
  await pool('stop', 'blue');
  expect(await host.swapPool(['pool', 'status', 'blue', 'shop'])).toMatchObject({ exit: 3 });
  // only what runs is restarted
  await pool('try-restart', 'blue');
  expect(await host.swapPool(['pool', 'status', 'blue', 'shop'])).toMatchObject({ exit: 3 });
  expect(await host.swapPool(['pool', 'stop', 'green', 'shop'])).toMatchObject({ exit: 2 });
  expect(host.answering()).toBe('green');
  expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'blue' } });
});
