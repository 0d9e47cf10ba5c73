/**
 * What happened, in one line: steps, notices, results. With its neighbours in this folder the
 * only place with wording. PURE. Each switch ends in `never`, so the compiler keeps the lists
 * complete; each inserted value goes through `say`, so nothing that comes from elsewhere
 * reaches a terminal with its control characters.
 */
import type {
  ActName,
  CommandResult,
  Event,
  InitReport,
  NextStep,
  NginxVerb,
  Notice,
  Outcome,
  Plan,
  StepNote,
} from '../../event.js';
import { count, duration, list, say } from '../text.js';
import { failureMessage } from './failure.js';
import { holderLine, loadText, pidsText, run, unworded } from './phrase.js';
import { warningMessage } from './warning.js';

/**
 * The one line of an event that is neither a failure nor a warning; null when it has
 * none (a result of a command whose product is a table).
 */
export function eventLine(event: Event): string | null {
  switch (event.type) {
    case 'plan':
      return planLine(event.plan, event.app);
    case 'step-started':
      return say`${stepLabel(event)} ${event.slot}`;
    case 'step-done': {
      const fact = event.note === null ? '' : noteText(event.note);
      const note = fact === '' ? '' : `${fact}, `;
      return say`${stepLabel(event)} ${event.slot}: ${note}${duration(event.ms)}`;
    }
    case 'progress':
      return say`${event.step} ${event.slot}: ${loadText(event)}`;
    case 'files':
      return say`${count(event.files.length, 'file')}`;
    case 'notice':
      return noticeText(event.notice);
    case 'warning':
      return warningMessage(event.warning, event.app).message;
    case 'failure':
      return failureMessage(event.failure, event.app).message;
    case 'result':
      return resultLine(event.result, event.app);
    default:
      return unworded(event);
  }
}

/** How a command ended, in a sentence; null when its outcome says nothing that its failure or its table does not. */
export function resultLine(result: CommandResult, app: string | null = null): string | null {
  const { outcome, from = null, to = null, drain, failure } = result;
  // its failure says all, and of the slots nothing is known
  if (failure?.reason === 'interrupted' && failure.atOnce === true) return null;
  if (result.command === 'pool') return poolLine(result, app);
  // the end of `status --watch`: the table is the answer
  if (outcome === 'interrupted' && result.command === 'status') return null;
  // exit 70: a bug may have struck in the middle, so the outcome that was put down is worth nothing
  const ended = result.exit === 70 ? 'stranded' : outcome;
  if (ended === undefined) return null;
  if (result.verb !== undefined && isNginxVerb(result.verb)) {
    return verbLine(result.verb, ended, result.nginx?.pid ?? null);
  }
  const took = result.ms?.total === undefined ? '' : ` in ${closingTime(result.ms.total)}`;
  const cut = drain === undefined ? '' : `, ${cutText(drain.cut)} cut`;
  switch (ended) {
    case 'done':
      if (result.init !== undefined) {
        return result.init.files.length > 0
          ? initLine(result.init, app)
          : 'The old pool serves nobody any more.';
      }
      if (to === null) return result.command === 'recover' ? 'Nothing is left open.' : 'Done.';
      if (result.served === false) return `${to} runs${took}; nobody is sent there yet.`;
      return from === null || from === to ? `${to} serves${took}${cut}` : `${from} -> ${to}${took}${cut}`;
    case 'unchanged':
      // a dry run tells from where to where it would lead
      return to === null || from !== to
        ? 'Unchanged: nothing was touched.'
        : `Unchanged: ${to} ${result.served === false ? 'runs' : 'serves'}, nothing was touched.`;
    case 'reverted':
      return `Reverted${took}: ${from === null ? 'nothing is left of it' : `${from} serves as before`}${cut}.`;
    case 'refused':
      return `Refused: nothing was begun${from === null ? '' : `, ${from} serves as before`}.`;
    case 'usage':
      return null;
    case 'locked':
      return 'Locked: nothing was touched.';
    case 'stranded':
      return `Stranded: a person has to look. ${run('status', app)} says which slot serves, ${run('recover', app)} looks again.`;
    case 'draining':
      return `${to ?? 'The new slot'} serves; ${from ?? 'the old pool'} still drains and was kept. ${run('recover', app)} ends it${cut}.`;
    case 'interrupted':
      return `Interrupted${took}: ${from === null ? 'nothing is left of it' : `${from} serves as before`}${cut}.`;
    default:
      return unworded(ended);
  }
}

/** What a control command has done or sees on its way. */
export function noticeText(notice: Notice): string {
  switch (notice.kind) {
    case 'signal':
      return say`${notice.signal.slice(3)} to ${RECEIVER[notice.to]} (${pidsText(notice.pids)})`;
    case 'nginx-tested':
      return say`${notice.program} accepts the configuration`;
    case 'nginx-waits':
      return `waits for ${list(notice.holders.map(holderLine))}`;
    case 'nginx-master':
      return say`new nginx: pid ${notice.pid}, ${count(notice.workers, 'worker')} wait on the old one's sockets`;
    case 'nginx-answers':
      return (
        say`${notice.address}: the new worker ${notice.pid} takes requests, and lives on` +
        (notice.more === 0 ? '' : `; so it is at ${count(notice.more, 'more address', 'more addresses')}`)
      );
    case 'nginx-goes-back':
      return say`goes back to the old nginx, pid ${notice.to}`;
    case 'upgrade-found':
      return say`an upgrade of nginx's binary was left unfinished (old master ${notice.old}); it is ended first`;
    default:
      return unworded(notice);
  }
}

/** `deploy shop: blue -> green by rewrite`. */
export function planLine(plan: Plan, app: string | null): string {
  const by = ` by ${plan.switch}`;
  const first = plan.steps.includes('start')
    ? `${plan.to} starts${by}, nothing serves now`
    : `nginx is led to ${plan.to}, which runs,${by}`;
  const way = plan.from === null ? first : `${plan.from} -> ${plan.to}${by}`;
  return `${plan.command}${app === null ? '' : say` ${app}`}: ${way}`;
}

/** The step's name, with `revert` before it when it is undone. */
export function stepLabel(event: { readonly step: ActName; readonly revert: boolean }): string {
  return event.revert ? `revert ${event.step}` : event.step;
}

/** The one fact beside a finished step. */
export function noteText(note: StepNote): string {
  switch (note.kind) {
    case 'pid':
      return `pid ${String(note.pid)}${note.adopted ? ', ran already' : ''}`;
    case 'answers':
      return count(note.answers, 'answer') + (note.user === null ? '' : say` as ${note.user}`);
    case 'files':
      return list(note.files, 1);
    case 'seen':
      return SEEN[note.by];
    case 'signal':
      return say`by ${note.signal.slice(3)}`;
    default:
      return unworded(note);
  }
}

/** What a command that is left to do after `init` is for. */
export const nextText = ({ why }: NextStep): string => NEXT[why];

const isPoolDone = (verb: string): verb is keyof typeof POOL_DONE => verb in POOL_DONE;

/** How a `pool VERB SLOT` ended; null where its failure, or its table, says all. */
function poolLine(result: CommandResult, app: string | null): string | null {
  const { verb = 'status', slot = 'blue', outcome, exit, drain } = result;
  if (!isPoolDone(verb) || outcome === undefined || outcome === 'usage') return null;
  const took = result.ms?.total === undefined ? '' : ` in ${closingTime(result.ms.total)}`;
  const cut = drain === undefined ? '' : `, ${cutText(drain.cut)} cut`;
  if (exit === 70 || outcome === 'stranded') {
    return `A person has to look: ${run(`pool status ${slot}`, app)} shows what runs in ${slot}.`;
  }
  switch (outcome) {
    case 'done':
      return `${slot} ${POOL_DONE[verb]}${took}${cut}`;
    case 'unchanged':
      return verb === 'start'
        ? `Unchanged: ${slot} runs already.`
        : `Unchanged: ${slot} does not run${cut === '' || drain?.cut === 0 ? '' : cut}.`;
    case 'locked':
      return 'Locked: nothing was touched.';
    case 'refused':
      return `Refused: ${slot} was not touched.`;
    case 'reverted':
    case 'interrupted':
    case 'draining':
      return `${outcome === 'interrupted' ? 'Interrupted' : 'Not done'}${took}: ${slot} is as it was before.`;
    default:
      return unworded(outcome);
  }
}

function initLine({ files, next }: InitReport, app: string | null): string {
  const lines = ['Written. Nothing runs otherwise yet.'];
  if (files.some(({ action }) => action === 'edit') && next.some(({ why }) => why === 'start')) {
    lines.push(
      `Do not reload nginx before ${run('start', app)}, which does it: until then nobody listens where its files lead, and the site would answer 502.`,
    );
  }
  if (files.some(({ file, action }) => file.endsWith('-fpm@.service') && action !== 'keep')) {
    lines.push(
      "To the application, /usr, /boot and /etc are read-only from then on (the units' ProtectSystem=full).",
    );
  }
  return lines.join(' ');
}

const POOL_DONE = {
  start: 'runs',
  stop: 'is stopped',
  'force-stop': 'is stopped',
  restart: 'was stopped and runs again',
  'try-restart': 'was stopped and runs again',
  reload: 'was reloaded and answers',
  'reopen-logs': 'writes to its logs by their names again',
} as const;

/** The count is an upper bound, and 0 is exact: `0 requests`, `at most 3 requests`. */
const cutText = (cut: number): string => `${cut === 0 ? '' : 'at most '}${count(cut, 'request')}`;

const NEXT = {
  units: 'systemd reads the new units',
  boot: 'at boot, what should serve comes up before nginx',
  include: 'in your site',
  start: 'the first slot starts and is proven; then nginx is made to follow its files',
  flip: 'from now on a change of the configuration is deployed',
  'old-pool': 'waits until the old pool provably serves nobody',
  'stop-old': 'only then: the old pool was the only one of its php-fpm',
  'drop-old':
    'only then; at a quiet time: the other pools of that php-fpm are reloaded with it, which cuts their requests where its process_control_timeout is 0, the default',
} as const;

const RECEIVER = {
  nginx: 'nginx',
  'old-nginx': 'the old nginx',
  'new-nginx': 'the new nginx',
  'nginx-workers': 'workers without a master',
} as const;

/** How a verb of the proxy's control script ended; null when its failure says it all. */
function verbLine(verb: NginxVerb, ended: Outcome, pid: number | null): string | null {
  switch (ended) {
    case 'done':
      return say`nginx ${DONE[verb]}${pid === null || verb === 'test' ? '' : ` (pid ${String(pid)})`}.`;
    case 'unchanged':
      return 'nginx does not run: nothing to do.';
    case 'reverted':
      return say`Reverted: the old binary serves as before${pid === null ? '' : ` (pid ${String(pid)})`}.`;
    case 'interrupted':
      return verb === 'upgrade'
        ? 'Interrupted: the old binary serves as before.'
        : 'Interrupted: what was begun goes on without us.';
    case 'stranded':
      return 'Stranded: a person has to look. `swap-pool nginx status` says who serves, `swap-pool recover` looks again.';
    case 'locked':
      return 'Locked: nothing was touched.';
    default:
      return null;
  }
}

const isNginxVerb = (verb: string): verb is NginxVerb => verb in DONE;

const DONE: Readonly<Record<NginxVerb, string>> = {
  test: 'accepts its configuration',
  reload: 'runs the configuration on disk',
  stop: 'has stopped',
  'force-stop': 'has stopped',
  upgrade: 'runs the new binary',
  'reopen-logs': 'writes to its logs anew',
  status: 'runs',
};

const SEEN = {
  nonce: 'our request seen in the new pool',
  count: "the new pool's count grew",
  activity: "the new pool's workers woke",
  'no-traffic': 'no traffic to see',
} as const;

/** Tenths of a second once they say something: `71 ms`, `0.4 s`, `2 min 3 s`. */
function closingTime(ms: number): string {
  return ms >= 95 && ms < 999.5 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
}
