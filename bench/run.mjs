/**
 * Bundles the bench and its load sender, sees to it that what it measures against is there, and runs it.
 * See main.ts for what it takes.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { fetchApplication } from '../scripts/application.mjs';
import { installQuietly } from '../scripts/install.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, '../node_modules/.cache/swap-pool');

/** Others that it measures against, as Debian has them. */
const PEERS = { haproxy: '/usr/sbin/haproxy', caddy: '/usr/bin/caddy' };

const words = process.argv.slice(2);
const named = words.filter((word) => !word.startsWith('-') && !/^\d+$/.test(word));
const isWanted = (name) => (named.length > 0 ? named.includes(name) : !words.includes('--quick'));
const wanted = Object.keys(PEERS).filter(isWanted);
const absent = wanted.filter((name) => !existsSync(PEERS[name]));
if (absent.length > 0 && process.getuid() === 0 && existsSync('/usr/bin/apt-get')) {
  console.log(`bench: installing ${absent.join(' and ')} (apt-get install), neither started nor enabled`);
  const failed = await installQuietly(absent);
  // its row says so, too
  if (failed !== null) console.log(`bench: ${failed.what}`);
}
if (isWanted('application')) {
  const without = fetchApplication((line) => console.log(`bench: ${line}`));
  if (without !== null) console.log(`bench: no application to measure (${without})`);
}

mkdirSync(cache, { recursive: true });
for (const name of ['main', 'sender']) {
  await build({
    entryPoints: [join(here, `${name}.ts`)],
    outfile: join(cache, `bench-${name}.cjs`),
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    define: { __ROOT__: JSON.stringify(join(here, '..')) },
    logLevel: 'warning',
  });
}
await import(join(cache, 'bench-main.cjs'));
