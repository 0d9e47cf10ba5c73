/** What goes on but deserves a look: the sentence of each warning, and what to do. PURE. */
import type { StepName, Warning } from '../../event.js';
import { argv, count, duration, list, say, thousands } from '../text.js';
import { failureMessage } from './failure.js';
import {
  SHARED,
  at,
  errno,
  loadText,
  log,
  pidsText,
  run,
  sharedPlaces,
  unusedReference,
  unworded,
  withoutReload,
  writeHint,
} from './phrase.js';
import type { Message } from './phrase.js';

/** Warning -> sentence and hint. */
export function warningMessage(warning: Warning, app: string | null = null): Message {
  switch (warning.reason) {
    case 'no-probe-script':
      return {
        message: 'No probe script is configured: readiness is judged by php-fpm itself, not by the app.',
        hint: 'Name one in `probe.script`: a broken app then never gets traffic.',
      };
    case 'probe-weak':
      return {
        message: say`The ${warning.slot} pool has neither a probe script nor a ping path: any FastCGI answer counts as ready.`,
        hint: 'Name a script in `probe.script`, or set `ping.path` in the pool; of a server without scripts say in `probe.expect` what `probe.uri` answers.',
      };
    case 'no-status':
      return {
        message: say`The ${warning.slot} pool has no status page, so its requests are counted from /proc alone.`,
        hint: 'Set `pm.status_path`, and `pm.status_listen` with a `${SWAP_POOL_SLOT}` in it.',
      };
    case 'control-timeout-zero':
      return {
        message: say`The ${warning.slot} pool has no \`process_control_timeout\`: whatever else sends it QUIT cuts its requests.`,
        hint: 'Set `process_control_timeout = 10s` in the [global] section.',
      };
    case 'few-workers':
      return {
        message: say`The new pool starts with ${count(warning.start, 'worker')}, and ${warning.busy} are busy in the active one.`,
        hint:
          warning.pm === 'static'
            ? 'Raise `pm.max_children`: with `pm = static` php-fpm never adds one.'
            : 'Raise `pm.start_servers`; php-fpm adds more only about once a second.',
      };
    case 'little-memory':
      return {
        message: say`Both pools together need about ${mebibytes(warning.needed)} MiB more, and ${mebibytes(warning.available)} MiB are available.`,
        hint: 'Lower `pm.start_servers`, or deploy when the site is quiet.',
      };
    case 'backup-max-fails':
      return {
        message: `A server of a \`backup\` pair has no \`max_fails=0\`: one read timeout would take it out for 10 s (${list(warning.places.map(at))}).`,
        hint: 'Write `max_fails=0` on both servers.',
        places: warning.places,
      };
    case 'variable-reference':
      return {
        message: `A variable in \`fastcgi_pass\` cannot be followed and is left alone (${list(warning.places.map(at))}).`,
        hint: 'If it can lead to this pool, name an upstream there instead.',
        places: warning.places,
      };
    case 'master-shared':
      return {
        message:
          "nginx's configuration also names another pool of a slot's master: it starts with it now, and no deploy may stop it.",
        hint: SHARED,
        ...sharedPlaces(warning.places),
      };
    case 'left-behind':
      return {
        message: say`Once ${warning.slot} is stopped, nobody is behind what goes on naming it: ${list(warning.places.map(at))}.`,
        hint: 'It answers 502 until that slot serves again. Send it where the site goes, or list the other slot as `backup` there.',
        places: warning.places,
      };
    case 'reference-unused':
      return unusedReference(warning.places);
    case 'proxy-stopped':
      return {
        message: say`No nginx runs with ${warning.config}: nobody is sent to ${warning.slot} until it is started.`,
        hint: 'Start it (`systemctl start nginx`), or name the one that runs: `nginx.config`, `nginx.pidfile`.',
      };
    case 'socket-file-gone':
      return {
        message: say`The ${warning.slot} pool runs, but somebody removed or replaced its socket ${warning.path}: nobody can come to it any more.`,
        hint: `${run('start', app)} and a deploy end it once it has answered what it took; where it served the site, the other slot is brought up first.`,
      };
    case 'running-differs':
      return {
        message: `nginx runs an older configuration than the one on disk; a reload now puts live what may have changed since: ${list(warning.files)}.`,
        hint:
          warning.down === undefined
            ? 'They pass `nginx -t`. What was not meant to go live: take it back, and reload nginx. A name that ends in / is a folder in which files came or went.'
            : withoutReload(warning.down, app),
      };
    case 'pidfile':
      return {
        message: pidfileText(warning),
        hint: 'It is only a hint: the holder of the listening socket counts, and no signal is sent because of it.',
      };
    case 'socket-file-stale':
      return {
        message: say`Nobody listens on the ${warning.slot} slot's socket file ${warning.path}.`,
        hint: 'It is removed when the slot starts.',
      };
    case 'slot-orphaned':
      return {
        message: say`The ${warning.slot} pool's master is gone; its workers (${pidsText(warning.pids)}) are there still, and new requests may come to them.`,
        hint: `${run('deploy', app)} ends them when they are idle; a site that they serve it moves to the other slot before.`,
      };
    case 'standby-running':
      return {
        message: say`The standby, ${warning.slot}, runs already${warning.pid === null ? '' : say` (pid ${warning.pid})`}.`,
        hint: `A deploy stops it by the same drain proof as any other pool, and starts it anew; ${run(`pool stop ${warning.slot}`, app)} stops it alone.`,
      };
    case 'nothing-serves':
      return {
        message: 'Nothing serves this app now.',
        hint: say`${warning.slot} is brought up.`,
      };
    case 'recovering':
      return {
        message: say`The deploy ${warning.deploy} was left unfinished${warning.step === null ? '' : say` at ${warning.step}`}; it is ended first, as far as that can be done now.`,
        hint: `${run('history', app)} shows how it ended.`,
      };
    case 'journal-damaged':
      return warning.aside === null
        ? {
            message: say`The journal of an unfinished deploy is damaged: ${warning.path}, ${warning.detail}.`,
            hint: `${run('recover', app)} sets it aside once the slot that is named runs and answers.`,
          }
        : {
            message: say`The journal of an unfinished deploy was damaged (${warning.detail}); it is ${warning.aside} now.`,
            hint: 'What it had left is seen by itself: a standby that runs is stopped by the next deploy.',
          };
    case 'waits-for-other-sites':
      return {
        message: say`No request is left in the pool; ${count(warning.retiring, 'old nginx worker')} (${pidsText(warning.pids)}) still ${warning.retiring === 1 ? 'serves' : 'serve'} other sites and could come back to it.`,
        hint: 'Two ways not to wait for them: a `backup` server in the upstream, or `switch: { by: symlink, link: ... }`.',
      };
    case 'rollback-runs-now':
      return {
        message: 'A rollback runs the code and the configuration that are on disk now.',
        hint: 'Bring back the old release first if it is the code that has to go back.',
      };
    case 'signal-noted':
      return {
        message: say`${warning.signal}: ${signalText(warning.step, app)}`,
        hint: isPast(warning.step)
          ? 'A second signal leaves at once.'
          : `A second signal leaves at once; ${run('recover', app)} then ends it.`,
      };
    case 'stop-escalates':
      return {
        message: say`The ${warning.slot} pool did not end in time; ${warning.signal} goes to ${pidsText(warning.pids)}.`,
        hint: 'A longer `stop.timeout` gives it more time.',
      };
    case 'stop-command-failed':
      return {
        message:
          warning.status === null
            ? say`${argv(warning.command)} did not end in time.`
            : say`${argv(warning.command)} ended with status ${warning.status}.`,
        hint: 'What it should have ended is signalled instead.',
        ...log(warning.output),
      };
    case 'unit-kill-signal':
      return {
        message: say`The ${warning.slot} slot's unit ${warning.unit} stops its pool with ${warning.signal}: whatever else stops it cuts its requests.`,
        hint:
          warning.command === true
            ? 'Remove its `ExecStop=`, and write `KillSignal=SIGQUIT` into its [Service] section.'
            : 'Write `KillSignal=SIGQUIT` into its [Service] section.',
      };
    case 'unit-stop-timeout':
      return {
        message: say`systemd kills the ${warning.slot} slot's unit ${warning.unit} ${duration(warning.timeout)} after a stop, and FPM lets its requests run for ${duration(warning.control)} (\`process_control_timeout\`).`,
        hint: 'Write a longer `TimeoutStopSec=` into its [Service] section, some seconds above it.',
      };
    case 'unit-runtime-folder':
      return {
        message: say`${list(warning.units)} share ${warning.folder} as their RuntimeDirectory: when one stops, the other one's socket is removed with it.`,
        hint: 'Give each a folder of its own (`RuntimeDirectory=shop-%i`), or make one by tmpfiles.d.',
      };
    case 'unit-unread':
      return {
        message: say`The ${warning.slot} slot's unit ${warning.unit} was changed, and systemd still runs it as it was.`,
        hint: 'Run `systemctl daemon-reload`.',
      };
    case 'cut':
      return {
        message: say`At most ${count(warning.cut, 'request')} of the ${warning.slot} pool ${warning.cut === 1 ? 'was' : 'were'} cut.`,
        hint:
          warning.asked === true
            ? `${run('deploy', app)} moves a site to the other slot first, and cuts none.`
            : 'With `drain.on-timeout: keep` the old pool goes on until `recover` ends it; a longer `drain.timeout` waits longer. Where an upstream has a `backup`, nginx may have run some of them once more on the other pool.',
      };
    case 'reload-cuts':
      return {
        message:
          warning.unsure === true
            ? say`php-fpm's files have changed since the ${warning.slot} pool's master began, so it cannot be told what \`process_control_timeout\` it runs with; if that is 0, the reload cuts what it serves: ${loadText({ ...warning, retiring: 0 })}.`
            : say`The ${warning.slot} pool runs with no \`process_control_timeout\`, so the reload cuts what it serves: ${loadText({ ...warning, retiring: 0 })}.`,
        hint: `${run('deploy', app)} puts a new configuration live and cuts none. \`process_control_timeout = 10s\` in the [global] section counts once the pool has begun with it.`,
      };
    case 'reload-joined':
      return {
        message: say`A reload of the ${warning.slot} pool is under way already; it is waited for, and none is sent.`,
        hint: 'It reads the configuration as it is on disk now.',
      };
    case 'pool-config-remembered':
      return {
        message: say`php-fpm does not accept ${warning.file} for the ${warning.slot} pool any more; the pool is taken as it was at the last deploy.`,
        hint: `${run(`pool reload ${warning.slot}`, app)} says what is wrong, and touches nothing until it is mended.`,
      };
    case 'brought-back':
      return {
        message: say`The ${warning.slot} pool, which is to serve, has died; it is started again before the other one is taken down.`,
        hint: say`Its log says why: ${run('status', app)} shows what runs.`,
      };
    case 'name-given-back':
      return {
        message: say`The ${warning.slot} pool's socket had lost its name to a stop that did not end; it is given back.`,
        hint: `${run(`pool stop ${warning.slot}`, app)} stops the pool if that is what was meant.`,
      };
    case 'output-lost':
      return {
        message: say`Not all of this could be written to the output: ${errno(warning.code)}.`,
        hint: 'What was done is done, and the exit code says how it ended.',
      };
    case 'app-left-out': {
      const cause = failureMessage(warning.cause, app);
      return {
        ...cause,
        message: say`Which nginx is meant is told by the other apps alone: ${cause.message}`,
      };
    }
    case 'nginx-config-unusable': {
      const cause = failureMessage(warning.cause, app);
      return { ...cause, message: say`nginx goes on as it was told before, but: ${cause.message}` };
    }
    case 'revert-unfinished': {
      const cause = failureMessage(warning.cause, app);
      return {
        message: say`The ${warning.slot} pool could not be taken down again: ${cause.message}`,
        hint: `${run('recover', app)} ends it. ${cause.hint}`,
        ...(cause.details === undefined ? {} : { details: cause.details }),
      };
    }
    case 'journal-write-failed':
      return {
        message: say`The journal cannot be written any more: ${errno(warning.code)}.`,
        hint: `The deploy goes on. ${writeHint(warning.code)}`,
      };
    case 'not-durable':
      return {
        message: say`${warning.path} is in place, but the disk did not make it durable: ${errno(warning.code)}.`,
        hint: `A power cut may bring back what was there before. ${writeHint(warning.code)}`,
      };
    case 'old-pool-not-running':
      return {
        message: say`Nobody listens at ${warning.address}, so how many workers the old pool needs is not known.`,
        hint: 'See that `pm.start_servers` of the new one is near its peak.',
      };
    case 'nginx-not-asked':
      return {
        message: say`nginx was not asked what it thinks of the new files: a copy beside ${warning.config} could not be written: ${errno(warning.code)}.`,
        hint: 'They are shown all the same; whoever writes them has nginx test them first.',
      };
    case 'workers-guessed':
      return {
        message: say`The old pool has no status page to ask: ${duration(warning.ms)} of watching it have shown work for ${count(warning.workers, 'worker')}, and its peak is not known.`,
        hint: 'See that `pm.start_servers` of the new one is near what its busiest hour needs.',
      };
    case 'old-pool-named':
      return {
        message: say`The old pool at ${warning.address} stays named, or may be: ${list(warning.places.map(at))}.`,
        hint: 'What is named there is not edited: let it name the new upstream, too, or the old pool is never free to go.',
        places: warning.places,
      };
    case 'site-names-others':
      return {
        message: say`The site sends requests to other pools as well: ${list(warning.places.map(at))}.`,
        hint: 'They stay as they are.',
        places: warning.places,
      };
    default:
      return { message: unworded(warning), hint: `${run('status', app)} shows which slot serves.` };
  }
}

function pidfileText(warning: Extract<Warning, { reason: 'pidfile' }>): string {
  const file = say`The ${warning.slot} slot's pidfile ${warning.path}`;
  const pid = warning.pid === null ? 'a pid' : say`pid ${warning.pid}`;
  switch (warning.state) {
    case 'none':
      return say`The ${warning.slot} slot has no pidfile.`;
    case 'missing':
      return `${file} is missing.`;
    case 'ok':
      return `${file} is right.`;
    case 'empty':
      return `${file} is empty.`;
    case 'garbage':
      return `${file} holds no number.`;
    case 'several-lines':
      return `${file} has several lines.`;
    case 'dead':
      return `${file} names ${pid}, which is no process any more.`;
    case 'reused':
      return `${file} names ${pid}, which is another program now.`;
    case 'init':
      return `${file} names pid 1.`;
    case 'other-master':
      return `${file} names ${pid}, the master of another pool.`;
    case 'writable':
      return `${file} may be written by others, so its word is worth nothing.`;
    default:
      return unworded(warning.state);
  }
}

const mebibytes = (bytes: number): string => thousands(Math.round(bytes / 2 ** 20));

const isPast = (step: StepName): boolean => step === 'drain' || step === 'retire' || step === 'stop';

/** What a signal that comes during a step makes of the deploy. */
function signalText(step: StepName, app: string | null): string {
  if (isPast(step)) return `the new slot serves already; the drain is left to ${run('recover', app)}.`;
  return step === 'verify'
    ? `if the new slot proves itself now, the drain is left to ${run('recover', app)}; else all is reverted.`
    : 'what is under way is finished, then all is reverted.';
}
