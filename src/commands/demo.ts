/** The sandbox: a private nginx, two pools, live load, deploys both ways with both switches, a verdict. */
import { join } from 'node:path';
import type { Surroundings } from '../context.js';
import { runDemo } from '../demo/demo.js';
import { spawnDeploy } from '../demo/spawn-deploy.js';
import type { CommandResult } from '../event.js';
import { exitOf, outcomeOf } from './outcome.js';

/** `program`: swap-pool's own bundle, which the demo runs as a user would; the templates stand beside its folder. */
export async function demo(surroundings: Surroundings, program: string): Promise<CommandResult> {
  const { emit, interruption } = surroundings;
  const templates = join(program, '..', '..', 'templates');
  const { report, failure } = await runDemo({ emit, interruption, deploy: spawnDeploy(program), templates });
  const outcome = failure === null ? 'done' : outcomeOf(failure);
  return {
    command: 'demo',
    outcome,
    exit: exitOf(outcome, failure),
    ...(report === null ? {} : { demo: report }),
    ...(failure === null ? {} : { failure }),
  };
}
