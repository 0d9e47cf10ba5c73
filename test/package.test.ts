/** What `npm pack` makes, as somebody gets it who has nothing else. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { formatMessage } from 'publint/utils';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Manifest {
  readonly version: string;
  readonly dependencies?: unknown;
  readonly optionalDependencies?: unknown;
  readonly peerDependencies?: unknown;
  readonly bin: Readonly<Record<string, string>>;
}

const manifest = readJson('package.json') as Manifest;

let home: string;
let empty: string;
let packed: readonly string[];

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'swap-pool-package-'));
  empty = join(home, 'empty');
  mkdirSync(empty);
  writeFileSync(join(empty, 'package.json'), '{}');
  const [report] = JSON.parse(npm(['pack', '--json', '--pack-destination', home], resolve('.'))) as [
    { readonly filename: string; readonly files: readonly { readonly path: string }[] },
  ];
  packed = report.files.map(({ path }) => path);
  // --offline and a cache of its own: whatever it would have to fetch is an error
  npm(['install', '--offline', '--no-audit', '--no-fund', join(home, report.filename)], empty);
}, 120_000);

afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

describe('the package', () => {
  it('is a bundled program, what this node has compiled of it, its templates and its papers', () => {
    const compiled = packed.filter((path) => path.endsWith('.compiled'));
    const digests = ['execa', 'program'].map((name) =>
      readFileSync(`dist/${name}.cjs`, 'latin1').slice(2, 18),
    );
    expect([...compiled].sort()).toEqual(
      digests.map((digest) => `dist/${digest}-${process.version}-${process.arch}.compiled`).sort(),
    );
    const others = packed.filter((path) => !path.startsWith('templates/') && !compiled.includes(path));
    expect([...others].sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'dist/execa.cjs',
      'dist/licenses.txt',
      'dist/program.cjs',
      'dist/swap-pool.cjs',
      'docs/reasons.md',
      'package.json',
    ]);
    expect(packed.filter((path) => path.startsWith('templates/'))).toEqual(
      readdirSync('templates', { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .sort(),
    );
  });

  it('starts with what was compiled beforehand, and without it, or with a page of it lost', () => {
    const preload = join(home, 'preload.cjs');
    const rejected = join(home, 'rejected');
    writeFileSync(
      preload,
      `const vm = require('node:vm');
       vm.Script = class extends vm.Script {
         constructor(...given) {
           super(...given);
           require('node:fs').appendFileSync(${JSON.stringify(rejected)}, this.cachedDataRejected + ' ');
         }
       };`,
    );
    const installed = join(empty, 'node_modules/swap-pool/dist');
    const help = (dist: string): string =>
      execFileSync(process.execPath, ['--require', preload, join(dist, 'swap-pool.cjs'), '--help'], {
        encoding: 'utf8',
      });
    const bare = join(home, 'bare');
    cpSync(installed, bare, { recursive: true, filter: (path) => !path.endsWith('.compiled') });
    const lost = join(home, 'lost');
    cpSync(installed, lost, { recursive: true });
    for (const name of readdirSync(lost).filter((each) => each.endsWith('.compiled'))) {
      const bytes = readFileSync(join(lost, name));
      writeFileSync(join(lost, name), bytes.fill(0, 64 * 1024, 68 * 1024));
    }
    expect([help(bare), help(lost)]).toEqual(Array(2).fill(help(installed)));
    expect(readFileSync(rejected, 'utf8')).toBe('undefined undefined false ');
  });

  it('needs no other package', () => {
    const { dependencies, optionalDependencies, peerDependencies } = manifest;
    expect({ dependencies, optionalDependencies, peerDependencies }).toEqual({});
    expect(readdirSync(join(empty, 'node_modules')).filter((name) => !name.startsWith('.'))).toEqual([
      'swap-pool',
    ]);
  });

  it('says its version', () => {
    expect(swapPool(['--version'])).toBe(`${manifest.version}\n`);
  });

  it('says what it can do', () => {
    expect(swapPool(['--help'])).toMatch(/deploy[\s\S]*rollback[\s\S]*status[\s\S]*recover/);
  });

  it('carries what reading a configuration and running programs take', () => {
    const apps = join(home, 'apps');
    mkdirSync(apps);
    writeFileSync(join(apps, 'shop.yaml'), 'pool: {config: /nowhere.conf, colour: red}\n');
    const { status, stdout } = failing(['deploy', '--dry-run', '--json'], { SWAP_POOL_CONFIG_DIR: apps });
    expect(status).toBe(2);
    const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as { failure: { reason: string } };
    expect(last.failure.reason).toBe('config-invalid');
  });

  it('carries the notices of what it bundles', () => {
    const notices = readFileSync('dist/licenses.txt', 'utf8');
    for (const name of ['commander', 'execa', 'yaml', 'zod', 'ora', 'chalk', 'fs-extra']) {
      expect(notices).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\(\\S+\\)$`, 'm'));
    }
  });

  it('gives publint nothing to say', async () => {
    const { messages, pkg } = await publint({
      pkgDir: join(empty, 'node_modules/swap-pool'),
      strict: true,
      pack: false,
    });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });
});

describe('the lock file', () => {
  it('names no registry', () => {
    expect(JSON.stringify(readJson('package-lock.json'))).not.toMatch(/"resolved"|https?:\/\/registry/);
  });

  it('names every platform of what it names, or npm ci refuses it', () => {
    const { packages } = readJson('package-lock.json') as {
      packages: Record<string, { optionalDependencies?: Record<string, string> }>;
    };
    const lacking = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
      ),
    );
    expect(lacking).toEqual([]);
  });

  it('is the one of this package.json', () => {
    const { packages } = readJson('package-lock.json') as {
      packages: Record<string, { version: string; devDependencies: unknown }>;
    };
    const { devDependencies } = readJson('package.json') as { devDependencies: unknown };
    expect(packages['']?.version).toBe(manifest.version);
    expect(packages['']?.devDependencies).toEqual(devDependencies);
  });
});

/** Runs npm as a stranger would: no settings of the npm that runs these tests. */
function npm(args: readonly string[], cwd: string): string {
  const own = process.env['npm_execpath'];
  const script = own !== undefined && existsSync(own) && own.includes('npm-cli') ? own : null;
  const rest = [
    ...(script === null ? [] : [script]),
    ...args,
    '--cache',
    join(home, 'cache'),
    '--loglevel=error',
  ];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  return execFileSync(script === null ? 'npm' : process.execPath, rest, {
    cwd,
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function swapPool(args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const program = join(empty, 'node_modules/.bin/swap-pool');
  // nothing but a PATH that finds node: no module is looked up anywhere else
  const path = `${join(process.execPath, '..')}:/usr/bin:/bin`;
  return execFileSync(program, args, {
    cwd: empty,
    env: { PATH: path, ...env },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function failing(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): { readonly status: number | null; readonly stdout: string } {
  try {
    return { status: 0, stdout: swapPool(args, env) };
  } catch (error) {
    return error as { readonly status: number | null; readonly stdout: string };
  }
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
