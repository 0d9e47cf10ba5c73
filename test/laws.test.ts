/** Laws that nothing can break are not checked: each rule of the house is broken here once. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ESLint, type Linter } from 'eslint';
import { parser } from 'typescript-eslint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const load = createRequire(import.meta.url);

// ---------------------------------------------------------------- imports

/** rule, who imports, what, and how. */
type Offence = readonly [rule: string, from: string, to: string, how?: 'value' | 'type' | 'import()'];

const OFFENCES: readonly Offence[] = [
  ['cli', 'src/cli.ts', 'src/nginx/reload.ts'],
  ['cli', 'src/cli.ts', 'src/config/apps.ts', 'import()'],
  ['session', 'src/session.ts', 'src/nginx/reload.ts'],
  ['session-for-cli', 'src/commands/status.ts', 'src/session.ts'],
  ['session-for-cli', 'src/drivers.ts', 'src/system/lock.ts'],
  ['interruption', 'src/interruption.ts', 'src/system/clock.ts'],
  ['context', 'src/context.ts', 'src/commands/deploy.ts'],
  ['context', 'src/context.ts', 'src/demo/load.ts'],
  ['commands', 'src/commands/deploy.ts', 'src/nginx/reload.ts'],
  ['commands', 'src/commands/deploy.ts', 'src/ui/plain.ts'],
  ['deploy', 'src/deploy/steps.ts', 'src/nginx/reload.ts'],
  ['deploy', 'src/deploy/steps.ts', 'src/pool/start.ts', 'type'],
  ['deploy', 'src/deploy/steps.ts', 'src/fastcgi/client.ts'],
  ['deploy', 'src/deploy/steps.ts', 'src/system/exec.ts'],
  ['deploy', 'src/deploy/steps.ts', 'src/system/proc.ts'],
  ['doctor', 'src/doctor/pidfile.ts', 'src/deploy/steps.ts'],
  ['init', 'src/init/render.ts', 'src/doctor/pidfile.ts'],
  ['pool', 'src/pool/start.ts', 'src/nginx/reload.ts'],
  ['nginx', 'src/nginx/reload.ts', 'src/pool/start.ts'],
  ['nginx', 'src/nginx/reload.ts', 'src/fastcgi/record.ts'],
  ['fastcgi', 'src/fastcgi/client.ts', 'src/system/exec.ts'],
  ['config', 'src/config.ts', 'src/nginx/reload.ts'],
  ['config', 'src/config/apps.ts', 'src/system/exec.ts'],
  ['system', 'src/system/clock.ts', 'src/drivers.ts', 'type'],
  ['ui', 'src/ui/plain.ts', 'src/drivers.ts', 'type'],
  ['ui', 'src/ui/plain.ts', 'src/system/files.ts'],
  ['drivers', 'src/drivers.ts', 'src/deploy/state.ts', 'type'],
  ['event', 'src/event.ts', 'src/drivers.ts', 'type'],
  ['demo-is-no-front-door', 'src/demo/load.ts', 'src/cli.ts'],
  ['demo-is-for-its-command', 'src/commands/deploy.ts', 'src/demo/load.ts'],
  ['room-unknown', 'src/demo/load.ts', 'src/helpers/misc.ts'],
  ['types-only', 'src/nginx/reload.ts', 'src/drivers.ts'],
  ['types-only', 'src/commands/deploy.ts', 'src/context.ts'],
  ['pure', 'src/nginx/lexer.ts', 'node:fs'],
  ['pure', 'src/nginx/parser.ts', 'node:path'],
  ['pure', 'src/nginx/edit.ts', 'src/system/files.ts'],
  ['pure', 'src/fastcgi/record.ts', 'node:buffer'],
  ['pure', 'src/deploy/state.ts', 'src/system/clock.ts'],
  ['pure', 'src/ui/message/failure.ts', 'chalk'],
  ['pure', 'src/duration.ts', 'yaml'],
  ['door-commander', 'src/commands/deploy.ts', 'commander'],
  ['door-execa', 'src/nginx/reload.ts', 'execa', 'import()'],
  ['door-fs-extra', 'src/system/exec.ts', 'fs-extra'],
  ['door-ora-chalk', 'src/ui/plain.ts', 'ora'],
  ['door-ora-chalk', 'src/ui/plain.ts', 'chalk', 'import()'],
  ['door-yaml', 'src/config.ts', 'yaml'],
  ['door-zod', 'src/nginx/reload.ts', 'zod/mini'],
  ['door-child-process', 'src/pool/start.ts', 'node:child_process'],
  ['door-fs', 'src/nginx/reload.ts', 'node:fs/promises'],
  ['door-net', 'src/pool/start.ts', 'node:net'],
  ['door-timers', 'src/deploy/steps.ts', 'node:timers/promises'],
  ['package-unknown', 'src/system/exec.ts', 'left-pad'],
  ['src-alone', 'src/pool/start.ts', 'test/support.ts'],
  ['cycle', 'src/pool/a.ts', 'src/pool/b.ts'],
];

/** What looks near an offence and is none. */
const ALLOWED: readonly Offence[] = [
  // the way back of the cycle above, which is told once
  ['', 'src/pool/b.ts', 'src/pool/a.ts'],
  ['', 'src/cli.ts', 'commander', 'import()'],
  ['', 'src/cli.ts', 'src/commands/status.ts', 'import()'],
  ['', 'src/context.ts', 'src/nginx/rewrite.ts'],
  ['', 'src/commands/demo.ts', 'src/demo/sandbox.ts'],
  ['', 'src/deploy/drain.ts', 'src/system/clock.ts'],
  ['', 'src/deploy/drain.ts', 'src/drivers.ts', 'type'],
  ['', 'src/nginx/references.ts', 'src/nginx/tree.ts'],
  ['', 'src/nginx/rewrite.ts', 'src/drivers.ts', 'type'],
  ['', 'src/nginx/rewrite.ts', 'src/system/exec.ts'],
  ['', 'src/pool/probe.ts', 'src/fastcgi/client.ts'],
  ['', 'src/system/files.ts', 'fs-extra'],
  ['', 'src/system/lock.ts', 'src/event.ts'],
  ['', 'src/ui/tty.ts', 'ora'],
  // two files may name each other's types
  ['', 'src/ui/json.ts', 'src/ui/reporter.ts', 'type'],
  ['', 'src/ui/reporter.ts', 'src/ui/json.ts'],
];

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

describe('dependency-cruiser', () => {
  const config = resolve('.dependency-cruiser.cjs');
  const rules = (load(config) as { forbidden: { name: string }[] }).forbidden.map(({ name }) => name);
  let house: string;
  let violations: readonly Violation[];

  beforeAll(() => {
    house = mkdtempSync(join(tmpdir(), 'swap-pool-laws-'));
    build(house, [...OFFENCES, ...ALLOWED]);
    violations = cruise(house, config);
  }, 60_000);

  afterAll(() => {
    rmSync(house, { recursive: true, force: true });
  });

  it.each(OFFENCES.map(edge))('%s: %s may not import %s', (rule, from, to) => {
    expect(broken(violations, from, to)).toContain(rule);
  });

  it.each(ALLOWED.map(edge))('%s%s may import %s', (_, from, to) => {
    // the tests' own house is not complete: `unreachable` has a test below
    expect(broken(violations, from, to).filter((rule) => rule !== 'unreachable')).toEqual([]);
  });

  it('unresolved: what is not there cannot be imported', () => {
    expect(broken(violations, 'src/pool/a.ts', './gone.js')).toContain('unresolved');
  });

  it('unreachable: what no command leads to is dead', () => {
    expect(violations.filter(({ rule }) => rule.name === 'unreachable').map(({ to }) => to)).toContain(
      'src/pool/a.ts',
    );
  });

  it('has no rule that was not broken here', () => {
    const tried = new Set([...OFFENCES.map(([rule]) => rule), 'unresolved', 'unreachable']);
    expect(rules.filter((rule) => !tried.has(rule))).toEqual([]);
  });

  it('has no pure file that is not there', () => {
    expect((load(resolve('scripts/pure-files.cjs')) as string[]).filter((path) => !existsSync(path))).toEqual(
      [],
    );
  });
});

const edge = ([rule, from, to]: Offence) => [rule, from, to] as const;

const broken = (violations: readonly Violation[], from: string, to: string): readonly string[] =>
  violations
    .filter((found) => found.from === from && spellings(to).some((name) => found.to === name))
    .map(({ rule }) => rule.name);

/** As dependency-cruiser gives it back: built-ins without `node:`, packages by their file. */
const spellings = (to: string): readonly string[] => [
  to,
  to.replace('node:', ''),
  `node_modules/${to}/index.js`,
  `node_modules/${to}.js`,
];

/** A house with these imports, and every file that they name. */
function build(house: string, imports: readonly Offence[]): void {
  const files = new Map<string, string>();
  const add = (path: string, line: string): unknown => files.set(path, `${files.get(path) ?? ''}${line}\n`);
  for (const [, from, to, how = 'value'] of imports) {
    const ours = to.endsWith('.ts');
    const named = ours ? `${'../'.repeat(from.split('/').length - 1)}${to.replace(/\.ts$/, '.js')}` : to;
    const name = named.startsWith('.') || !ours ? named : `./${named}`;
    add(
      from,
      how === 'import()'
        ? `void import('${name}');`
        : `${how === 'type' ? 'import type' : 'import'} { it as it${String(files.size)} } from '${name}';`,
    );
    if (ours) add(to, '');
    else if (!to.startsWith('node:')) {
      add(`node_modules/${to.split('/')[0] ?? to}/index.js`, 'export const it = 1;');
      if (to.includes('/')) add(`node_modules/${to}.js`, 'export const it = 1;');
    }
  }
  add('src/pool/a.ts', "import './gone.js';");
  add('tsconfig.json', JSON.stringify({ compilerOptions: { module: 'NodeNext' }, include: ['src'] }));
  add('package.json', JSON.stringify({ type: 'module' }));
  for (const [path, text] of files) {
    mkdirSync(dirname(join(house, path)), { recursive: true });
    writeFileSync(join(house, path), path.endsWith('.ts') ? `${text}export const it = 1;\n` : text);
  }
}

function cruise(house: string, config: string): readonly Violation[] {
  const program = resolve('node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const output = execFileSync(
    process.execPath,
    [program, 'src', '--config', config, '--output-type', 'json', '--no-progress'],
    { cwd: house, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  return (JSON.parse(output) as { summary: { violations: Violation[] } }).summary.violations;
}

// ---------------------------------------------------------------- habits

/** file, code, the rule that it breaks (null: none). */
const HABITS: readonly (readonly [string, string, string | null])[] = [
  ['src/deploy/run.ts', 'console.log(1);', 'no-console'],
  ['src/cli.ts', 'console.log(1);', null],
  ['src/deploy/run.ts', 'process.exit(1);', 'no-restricted-properties'],
  ['src/ui/plain.ts', 'process.exitCode = 1;', 'no-restricted-properties'],
  ['src/commands/deploy.ts', 'use(process.argv);', 'no-restricted-properties'],
  ['src/commands/deploy.ts', "import process from 'node:process';", 'no-restricted-imports'],
  ['src/cli.ts', 'process.exitCode = use(process.argv);', null],
  ['src/deploy/drain.ts', 'setTimeout(act, 5);', 'no-restricted-globals'],
  ['src/cli.ts', 'setInterval(act, 5);', 'no-restricted-globals'],
  ['src/deploy/drain.ts', 'globalThis.setTimeout(act, 5);', 'no-restricted-properties'],
  ['src/fastcgi/client.ts', 'use(AbortSignal.timeout(5));', 'no-restricted-properties'],
  ['src/system/lock.ts', 'Atomics.wait(a, 0, 0, 5);', 'no-restricted-properties'],
  ['src/system/clock.ts', 'setTimeout(act, 5);', null],
  ['src/demo/load.ts', 'setTimeout(act, 5);', null],
  ['src/deploy/drain.ts', 'use(Date.now());', 'no-restricted-properties'],
  ['src/demo/load.ts', 'use(Date.now());', 'no-restricted-properties'],
  ['src/event.ts', "enum Slot { blue = 'blue' }", 'no-restricted-syntax'],
  ['src/event.ts', 'const one = 1; export default one;', 'no-restricted-syntax'],
  ['src/pool/index.ts', "export * from './start.js';", 'no-restricted-syntax'],
  ['src/pool/index.ts', "export { start } from './start.js';", 'no-restricted-syntax'],
  ['src/init/render.ts', 'use(import.meta.dirname);', 'no-restricted-syntax'],
  ['src/system/exec.ts', 'execa(file, rest, { shell: true });', 'no-restricted-syntax'],
  ['src/config/schema.ts', "import { z } from 'zod';", 'no-restricted-imports'],
  ['src/config/schema.ts', "import * as z from 'zod/mini';", null],
  ['src/nginx/lexer.ts', "throw new Error('no');", 'no-restricted-syntax'],
  ['src/nginx/lexer.ts', 'function unreachable(value: never): never { throw new Error(value); }', null],
  ['src/nginx/reload.ts', "throw new Error('a bug');", null],
  ['test/pool/start.test.ts', 'setTimeout(act, 5);', null],
];

describe('eslint', () => {
  let eslint: ESLint;

  beforeAll(async () => {
    const url = pathToFileURL(resolve('eslint.config.js')).href;
    const { house } = (await import(url)) as { house: Linter.Config[] };
    eslint = new ESLint({
      overrideConfigFile: true,
      overrideConfig: [{ files: ['**/*.ts'], languageOptions: { parser } }, ...house],
    });
  });

  it.each(HABITS)('%s: %s (%s)', async (filePath, code, rule) => {
    const [result] = await eslint.lintText(code, { filePath });
    expect(result?.messages.map(({ ruleId }) => ruleId)).toEqual(rule === null ? [] : [rule]);
  });
});
