/** What a failure means for the site, and the exit code that says so: INTERFACE's table. */
import type { App } from '../context.js';
import type { Deploy } from '../deploy/deploy.js';
import { timings } from '../deploy/run.js';
import type { Ending } from '../deploy/run.js';
import { SIGNALLED } from '../event.js';
import type { CommandName, CommandResult, ExitCode, Failure, Outcome } from '../event.js';

/** The outcome of a command that failed before it touched anything. */
export function outcomeOf(failure: Failure): Outcome {
  switch (failure.reason) {
    case 'usage':
    case 'config-invalid':
    case 'no-apps':
    case 'app-unknown':
    case 'app-ambiguous':
    case 'unsafe-path':
    case 'binary-missing':
    case 'binary-ambiguous':
    case 'pool-section-unclear':
    case 'slots-share':
    case 'slots-one-master':
    case 'unit-invalid':
    case 'listen-is-link':
    case 'address-invalid':
    case 'symlink-needs-unix':
    case 'only-unknown':
    case 'nginx-arguments-unclear':
    case 'answer-needed':
    case 'file-unreadable':
    case 'pool-file-unclear':
    case 'site-unclear':
    case 'proxies-differ':
      return 'usage';
    case 'locked':
      return 'locked';
    case 'stranded':
      return 'stranded';
    case 'interrupted':
      return 'interrupted';
    case 'upgrade-failed':
      return 'reverted';
    default:
      return 'refused';
  }
}

export function exitOf(outcome: Outcome, failure: Failure | null): ExitCode {
  switch (outcome) {
    case 'done':
    case 'unchanged':
      return 0;
    case 'reverted':
    case 'refused':
      return failure?.reason === 'bug' ? 70 : 1;
    case 'usage':
      return 2;
    case 'locked':
      return 3;
    case 'stranded':
      return 4;
    case 'draining':
      return 5;
    case 'interrupted':
      return failure?.reason === 'interrupted' ? SIGNALLED[failure.signal] : 1;
  }
}

/** The result of a command that a failure ended before it began. */
export function refusal(command: CommandName | null, failure: Failure): CommandResult {
  const outcome = outcomeOf(failure);
  return { command, outcome, exit: exitOf(outcome, failure), failure };
}

/** The result of a deploy that has begun, however it ended. */
export function resultOf(
  app: App,
  command: 'deploy' | 'start' | 'rollback' | 'recover',
  deploy: Deploy,
  ending: Ending,
): CommandResult {
  const { from, to } = deploy.opened;
  return {
    command,
    outcome: ending.outcome,
    exit: exitOf(ending.outcome, ending.failure),
    from,
    to,
    switch: app.drivers.proxy.kind,
    ms: timings(deploy),
    drain: { accepted: deploy.drained?.accepted ?? 0, queued: deploy.drained?.queued ?? 0, cut: deploy.cut },
    ...(ending.failure === null ? {} : { failure: ending.failure }),
  };
}
