/** Runs of the program with something loaded before it: see the files that are loaded. */
import { resolve } from 'node:path';
import { PROGRAM, type CommandOptions } from './command.js';

type Preload =
  | 'fail-disk'
  | 'fail-files'
  | 'hide-syscall'
  | 'plant-link'
  | 'shift-clock'
  | 'signal-at'
  | 'stop-nginx'
  | 'visit-pool';

export const preloaded = (
  name: Preload,
  env: Readonly<Record<string, string>> = {},
): Required<Pick<CommandOptions, 'env'>> & {
  readonly program: readonly [string, string, string, string];
} => ({
  program: [process.execPath, '--require', resolve(`test/support/${name}.cjs`), PROGRAM],
  env,
});
