/** Bundles one of the long tests of test/long and runs it: node scripts/long.mjs NAME ARGUMENTS... */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const [name] = process.argv.splice(2, 1);
const outfile = join(ROOT, 'node_modules/.cache/swap-pool', `long-${name}.cjs`);

mkdirSync(dirname(outfile), { recursive: true });
await build({
  entryPoints: [join(ROOT, 'test/long', `${name}.ts`)],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  define: { __ROOT__: JSON.stringify(ROOT) },
  logLevel: 'warning',
});
await import(outfile);
