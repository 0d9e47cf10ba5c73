/**
 * Deploys that wait for requests of a known length: what a drain costs is the difference between a long one and a short one.
 */
import { Load } from '../../src/demo/load.js';
import { Sandbox } from '../../src/demo/sandbox.js';
import { waitUntil } from '../../src/system/clock.js';
import type { Bench } from '../contender.js';
import { metered, type Used } from '../metered.js';
import { WORKERS } from '../mix.js';
import { APP, must } from '../stage.js';

/** A sandbox by symlink that serves, with room for what is to be in flight. */
export async function openServing(bench: Bench): Promise<Sandbox> {
  const { templates, programs } = bench;
  const locationLines = 'fastcgi_read_timeout 600s;';
  const sites = [{ name: APP, switch: 'symlink', workers: WORKERS, locationLines }] as const;
  const sandbox = must(await Sandbox.open({ templates, programs, sites }));
  try {
    await metered(bench, sandbox, ['deploy', APP, '--quiet']);
    return sandbox;
  } catch (error) {
    await sandbox.close();
    throw error;
  }
}

/** One deploy, begun with so many requests under way that take so long each. */
export async function deployOver(
  bench: Bench,
  sandbox: Sandbox,
  { requests, takes }: { readonly requests: number; readonly takes: number },
): Promise<Used> {
  const { port } = sandbox.site();
  const load = await Load.start({ port, host: `${APP}.test`, plan: {}, timeoutMs: takes + 30_000 });
  load.burst({ requests, takes });
  await waitUntil(() => (load.underWay() === requests ? true : undefined), { deadline: 10_000 });
  const used = await metered(bench, sandbox, ['deploy', APP, '--quiet']);
  const records = await load.stop();
  if (records.some(({ cut }) => cut !== null)) throw new Error('a request was cut');
  return used;
}
