/**
 * typescript-eslint's strictest set, and the habits of the house that a linter can see.
 * Which way imports run is dependency-cruiser's (.dependency-cruiser.cjs).
 */
import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';
import PURE from './scripts/pure-files.cjs';

const CLI = 'src/cli.ts';
const CLOCK = 'src/system/clock.ts';
const LOAD_SENDER = 'src/demo/load.ts';
const syntax = (selector, message) => ({ selector, message });
const property = (object, name, message) => ({ object, property: name, message });

const SHAPE = [
  syntax('TSEnumDeclaration', 'No enums: a union of string literals is checked as well and is plain data.'),
  syntax('ExportDefaultDeclaration', 'No default exports: one name everywhere.'),
  syntax(
    'ExportAllDeclaration, ExportNamedDeclaration[source]',
    'No barrels: import from the file that says it.',
  ),
  syntax('MetaProperty[meta.name="import"]', 'The bundle is CommonJS, which has no import.meta.'),
  syntax(
    'Property[key.name="shell"]:not([value.value=false])',
    'Never a shell: programs are run from argv arrays.',
  ),
];
const NO_THROW = [
  syntax(
    // what the compiler has ruled out is a bug, and a bug is thrown
    'ThrowStatement:not(FunctionDeclaration[id.name="unreachable"] ThrowStatement)',
    'A pure file answers bad input with a value, it does not throw.',
  ),
];

const TIMERS = ['setTimeout', 'setInterval', 'setImmediate'];
const timerGlobals = TIMERS.map((name) => ({
  name,
  message: 'Never sleep: observe with system/clock.ts.',
}));
const timerProperties = [
  ...TIMERS.flatMap((name) => ['globalThis', 'global'].map((object) => [object, name])),
  ['AbortSignal', 'timeout'],
  ['Atomics', 'wait'],
].map(([object, name]) => property(object, name, 'Never sleep: observe with system/clock.ts.'));
const dateProperties = [
  property('Date', 'now', 'Measure with now() of system/clock.ts; Date goes where people set it.'),
];
const processProperties = ['exit', 'argv', 'exitCode', 'abort', 'reallyExit'].map((name) =>
  property('process', name, 'Only cli.ts knows the command line and ends the process.'),
);

const imports = (...paths) => ({
  paths: [
    {
      name: 'zod',
      message:
        'zod/mini: the whole of zod is 0.7 MB more to scan at every start (1.46 instead of 1.24 x node).',
    },
    { name: 'node:process', message: 'The global `process`, so that the rules on its use are seen.' },
    { name: 'process', message: 'The global `process`, so that the rules on its use are seen.' },
    ...paths,
  ],
});

/** The habits of the house, in no need of types. test/laws.test.ts breaks each of them once. */
export const house = [
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-imports': ['error', imports()],
      'no-restricted-globals': ['error', ...timerGlobals],
      'no-restricted-properties': ['error', ...processProperties, ...timerProperties, ...dateProperties],
      'no-restricted-syntax': ['error', ...SHAPE],
    },
  },
  {
    files: [CLI],
    rules: {
      'no-console': 'off', // the front door
      'no-restricted-properties': ['error', ...timerProperties, ...dateProperties],
    },
  },
  {
    files: [CLOCK],
    rules: {
      'no-restricted-globals': 'off', // the one place with timers
      // wallClock() is the one use of Date.now: for comparing with file times
      'no-restricted-properties': ['error', ...processProperties],
    },
  },
  {
    files: [LOAD_SENDER],
    rules: {
      // it sends at a pace: there waiting is the work
      'no-restricted-globals': 'off',
      'no-restricted-properties': ['error', ...processProperties, ...dateProperties],
    },
  },
  {
    files: PURE,
    rules: { 'no-restricted-syntax': ['error', ...SHAPE, ...NO_THROW] },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', ...SHAPE.slice(0, 1)],
    },
  },
];

export default defineConfig(
  globalIgnores(['dist/', 'coverage/', '.stryker-tmp/', 'node_modules/', 'templates/']),
  {
    files: ['src/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'vitest.config.ts'],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      eqeqeq: 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // a number in a sentence needs no String(): its text is never a surprise
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `_name` says that it is left out on purpose
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      // `() => timer.unref()` says what it does
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // `typeof import('./context.js')` keeps a type next to the import() that it describes
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      // `for (;;)` with a return inside is how the only loop that waits is written
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
    },
  },
  ...house,
  {
    files: ['test/**/*.ts'],
    rules: {
      // a test that finds undefined there has failed, and says where
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      // alphabets for fast-check are written as spread ASCII strings
      '@typescript-eslint/no-misused-spread': 'off',
      // a test hands over the one field it is about
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
  {
    files: ['**/*.mjs', '**/*.cjs', '*.js'],
    extends: [js.configs.recommended],
    // TypeScript says what is undefined in src; these few scripts run in node alone
    rules: { 'no-undef': 'off', eqeqeq: 'error', 'prefer-const': 'error' },
  },
);
