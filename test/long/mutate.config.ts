/**
 * What Stryker runs for each mutant: the tests of the file that is mutated, and no others. Without the
 * real nginx of referee.test.ts: a mutant has to be found by what is said in a table or a law.
 */
import { defineConfig } from 'vitest/config';

const tests = (process.env['MUTATE_TESTS'] ?? '').split(' ').filter(Boolean);

export default defineConfig({
  test: {
    include: tests.map((path) => `test/${path}.test.ts`),
    // what measures time measures the instruments here
    testNamePattern: /^(?!.*takes-linear-time)/,
    setupFiles: ['test/long/mutate.setup.ts'],
    testTimeout: 60_000,
  },
});
