/** Brings up what should serve; nothing to do when it does. For boot. */
import type { App } from '../context.js';
import type { CommandResult } from '../event.js';
import { swap } from './swap.js';

export const start = (app: App): Promise<CommandResult> =>
  swap(app, { command: 'start', dryRun: false, waitLock: 0, ifChanged: false });
