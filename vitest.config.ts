import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/**
 * Limits are there for what hangs, and far away from what anything takes on a slow machine: see
 * test/support/limits.ts. The rigs give a test up before Vitest does, which would leave its processes.
 */

/** Whole deploys under load, and what packs the package: few at a time, and no unit test beside them. */
const SLOW = [
  'test/e2e/**/*.test.ts',
  'test/faults/**/*.test.ts',
  'test/support/**/*.test.ts',
  'test/package.test.ts',
];
/** On a booted Debian of their own, one at a time: skipped, and said so, where none can be booted. */
const HOST = ['test/host/**/*.test.ts'];

/** What takes minutes begins first: else one worker does it alone at the end, and the other has nothing left to do. */
const LONG = [
  'crash',
  'crash-twice',
  'crash-behind',
  'load',
  'walk',
  'disk',
  'disk-switch',
  'signals',
  'upgrade',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rest = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      LONG.includes(basename(moduleId, '.test.ts'));
    return [...rest.filter(isLong), ...rest.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  // what scripts/build.mjs does for the bundle
  define: { __VERSION__: JSON.stringify(version) },
  test: {
    sequence: { sequencer: LongestFirst },
    coverage: { provider: 'v8', include: ['src/**/*.ts'], reporter: ['text-summary', 'html'] },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...SLOW, ...HOST],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: SLOW,
          globalSetup: ['scripts/build.mjs'],
          testTimeout: 1_000_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'host',
          include: HOST,
          globalSetup: ['scripts/build.mjs', 'test/host/setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
