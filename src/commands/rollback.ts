/** The same as a deploy, towards the slot that served before the last one; with the code on disk now. */
import type { App } from '../context.js';
import type { CommandResult } from '../event.js';
import { swap } from './swap.js';

export interface RollbackOptions {
  readonly dryRun: boolean;
  /** ms; 0: do not wait. */
  readonly waitLock: number;
}

export const rollback = (app: App, options: RollbackOptions): Promise<CommandResult> =>
  swap(app, { command: 'rollback', ifChanged: false, ...options });
