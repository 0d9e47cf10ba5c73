/** Bundles a benchmark, which uses the sandbox of src/demo, and runs it. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(here, '../node_modules/.cache/swap-pool');
const [name = 'speed'] = process.argv.slice(2);
const outfile = join(cache, `bench-${name}.cjs`);

mkdirSync(cache, { recursive: true });
await build({
  entryPoints: [join(here, `${name}.ts`)],
  outfile,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'cjs',
  define: { __ROOT__: JSON.stringify(join(here, '..')) },
  logLevel: 'warning',
});
await import(outfile);
