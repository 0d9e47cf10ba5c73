/** Starts the standby, proves it, points nginx at it, and takes the old pool down once it serves nobody. */
import type { App } from '../context.js';
import type { CommandResult } from '../event.js';
import { swap } from './swap.js';

export interface DeployOptions {
  readonly dryRun: boolean;
  /** ms; 0: do not wait. */
  readonly waitLock: number;
  readonly ifChanged: boolean;
}

export const deploy = (app: App, options: DeployOptions): Promise<CommandResult> =>
  swap(app, { command: 'deploy', ...options });
