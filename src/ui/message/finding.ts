/** What doctor found: the sentence of each finding, and what to do. PURE. */
import type { Finding, Observation } from '../../event.js';
import { argv, count, duration, inline, list, say, thousands, when } from '../text.js';
import { failureMessage } from './failure.js';
import { lifeText, livesHint, overlapping } from './lives.js';
import { at, holderText, log, pidsText, run, suspectText, unworded, withoutReload } from './phrase.js';
import type { Message } from './phrase.js';
import { warningMessage } from './warning.js';

/** What doctor has found, what shows it, and what to do. */
export function findingMessage(finding: Finding): Message {
  const words =
    'failure' in finding
      ? failureMessage(finding.failure, finding.app)
      : 'warning' in finding
        ? warningMessage(finding.warning, finding.app)
        : observationMessage(finding.observation, finding.app);
  if (!finding.fixable) return words;
  return { ...words, hint: `${run('doctor', finding.app, '--fix')} mends it. ${words.hint}` };
}

function observationMessage(seen: Observation, app: string | null): Message {
  switch (seen.reason) {
    case 'orphans': {
      const { accepted, queued } = seen.connections;
      return {
        message: say`The ${seen.slot} pool has lost its master, as after a KILL: its workers still hold ${seen.address} (${accepted} accepted, ${queued} queued), and a new start there fails.`,
        hint: orphansHint(seen.serves, run('deploy', app)),
        details: [pidsText(seen.pids)],
      };
    }
    case 'several-lives':
      return {
        message: overlapping(seen.slot, seen.address),
        hint: livesHint(seen.holders, app),
        details: seen.holders.map(lifeText),
      };
    case 'master-of-other-config':
      return {
        message: say`A php-fpm with another configuration holds the ${seen.slot} slot's address ${seen.address}: ${suspectText(seen.master)} runs ${seen.runs}, the slot is ${seen.expected}.`,
        hint: otherConfigHint(seen, app),
      };
    case 'not-served':
      return {
        message:
          seen.doubtful === true
            ? say`It may be that nobody serves the site: nginx's files send it to ${seen.slot}, where no pool answers for ${seen.address}, and whether nginx has read them is not proven.`
            : say`Nobody serves the site: it is sent to ${seen.slot}, and no pool answers for ${seen.address}.`,
        hint: `${run('start', app)} brings it up.`,
      };
    case 'socket-nameless': {
      const who = seen.pid === null ? 'The pool' : say`The pool (pid ${seen.pid})`;
      return seen.retired
        ? {
            message: say`${who} of ${seen.slot} runs, but its socket's name, ${seen.address}, was taken away by a stop that did not end.`,
            hint: `${run('recover', app)} ends what a deploy left; ${run('start', app)} brings up what should serve.`,
          }
        : {
            message: say`${who} of ${seen.slot} runs and nobody can reach it: somebody has removed its socket, ${seen.address}.`,
            hint: `See that no other master used the path. ${run('start', app)} brings the other slot up, and ends this pool by the drain proof.`,
          };
    }
    case 'listens-elsewhere':
      return elsewhere(seen, app);
    case 'no-status-listen':
      return {
        message: say`The ${seen.slot} pool's status page is answered by its own workers: it waits when all are busy, and counts itself.`,
        hint: 'Set `pm.status_listen` (php-fpm 8.0 and newer), with a `${SWAP_POOL_SLOT}` in it.',
      };
    case 'backlog-cut':
      return {
        message: say`The ${seen.slot} pool asks for a backlog of ${thousands(seen.backlog)}; the kernel cuts it to net.core.somaxconn, ${thousands(seen.somaxconn)}.`,
        hint: say`Raise it (\`sysctl net.core.somaxconn=${seen.backlog}\`, and in /etc/sysctl.d), or lower \`listen.backlog\`.`,
      };
    case 'socket-path-long':
      return {
        message: say`${seen.slot === null ? 'The link' : say`The ${seen.slot} slot's socket`} ${seen.path} has ${seen.bytes} bytes, and a socket's path may have ${seen.most}.`,
        hint: 'Take a shorter folder, such as /run/shop: what is longer is cut short, and then nobody finds it.',
      };
    case 'oldbin-left':
      return {
        message: say`${seen.path} was left behind by an upgrade of nginx's binary${seen.pid === null ? '' : say` (pid ${seen.pid} is no nginx master)`}.`,
        hint: say`No upgrade is under way: \`rm ${argv([seen.path])}\`.`,
      };
    case 'worker-retires-long':
      return {
        message: say`nginx's worker ${seen.pid}, born ${when(seen.since)}, has been shutting down for at least ${duration(seen.ms)}: it holds ${count(seen.clients, 'connection')} of clients and ${seen.upstreams} to servers, under an older configuration.`,
        hint: say`See whom: \`ss -tnp | grep pid=${seen.pid},\`. \`worker_shutdown_timeout\` would bound it; a \`backup\` pair or a symlink switch does not wait for it.`,
      };
    case 'shutdown-timeout-unset':
      return {
        message: say`\`worker_shutdown_timeout\` is not set in ${seen.config}: an old worker lives as long as its longest connection.`,
        hint: 'Set it to more than your longest request (it cuts what is longer), or leave it and let a `backup` pair spare the wait.',
      };
    case 'keep-conn-symlink':
      return {
        message: `With \`fastcgi_keep_conn on\` nginx keeps connections to the old pool after its link has moved, so a symlink switch has to reload nginx (${list(seen.places.map(at))}).`,
        hint: 'Remove it, with `keepalive` in the upstream: a connect to a unix socket costs some microseconds.',
        places: seen.places,
      };
    case 'backup-balancer':
      return {
        message: `\`${inline(seen.balancer)}\` and \`backup\` do not go together in one upstream (${list(seen.places.map(at))}): nginx refuses it, or sends requests to the slot that is gone.`,
        hint: say`Remove \`${seen.balancer}\`: there is one server to balance.`,
        places: seen.places,
      };
    case 'reload-not-taken':
      if (!seen.surely) {
        return {
          message: `Nobody has proven that nginx runs what is on the disk: ${list(seen.files)} changed about when its workers were born.`,
          hint:
            seen.down === undefined
              ? '`swap-pool nginx reload` proves it; so does the next deploy.'
              : withoutReload(seen.down, app),
        };
      }
      return {
        message: `nginx runs an older configuration than the one on disk: ${list(seen.files)} changed since its workers were born${seen.down === undefined ? '' : `, and what it runs may lead elsewhere than to ${seen.down.slot}`}.`,
        hint:
          seen.down === undefined
            ? 'Somebody reloads it next: `nginx -t && nginx -s reload` now shows what comes of that; or take the change back.'
            : withoutReload(seen.down, app),
        ...log(seen.log),
      };
    case 'reload-hits-idle':
      return {
        message: `A reload closes idle keep-alive connections at once: a client whose next request is on its way is cut (${list(seen.places.map(at))}).`,
        hint: seen.mendable
          ? 'Set `keepalive_min_timeout` to more than a round trip, such as 1s; or use `switch: symlink`, which reloads nothing.'
          : say`\`switch: symlink\` reloads nothing; nginx 1.27.4 and newer mend it with \`keepalive_min_timeout\`${seen.version === null ? '' : say` (this one is ${seen.version})`}.`,
        places: seen.places,
      };
    case 'deploy-left-open':
      return {
        message: say`The deploy ${seen.deploy} was left unfinished${seen.step === null ? '' : say` at ${seen.step}`}.`,
        hint: `${run('recover', app)} ends it.`,
      };
    case 'at-work':
      return {
        message: say`A swap-pool is at work: ${holderText(seen.holder)}. What is seen now may be in the middle of it.`,
        hint: `Look again when it has ended: ${run('doctor', app)}.`,
      };
    case 'little-space':
      return {
        message: say`${seen.path} has room for ${kibibytes(seen.available)} KiB more; ${SPACE[seen.what]} ${kibibytes(seen.needed)} KiB.`,
        hint: `Make room there (\`df -h\`, \`df -i\`): ${WITHOUT[seen.what]}.`,
      };
    default:
      return { message: unworded(seen), hint: `${run('status', app)} shows which slot serves.` };
  }
}

function elsewhere(
  { master, slot, config, addresses }: Extract<Observation, { reason: 'listens-elsewhere' }>,
  app: string | null,
): Message {
  const where = list(addresses);
  if (addresses.length === 0) {
    return {
      message: say`${suspectText(master)} runs ${config} and listens nowhere: it is on its way in or out, or stuck there.`,
      hint: say`Look at it: \`ps -o pid,stat,wchan:20,args -p ${master.pid}\`. No pool of that file is started while it lives.`,
    };
  }
  return slot === null
    ? {
        message: say`${suspectText(master)} runs ${config} and listens at ${where}, which that file does not name now.`,
        hint: `It serves whoever nginx sends there, and swap-pool finds pools by what their file says: put \`listen\` and \`pm.status_listen\` back, and leave it running until ${run('status', app)} shows it.`,
      }
    : {
        message: say`The ${slot} pool (pid ${master.pid}) listens at ${where}, too, which ${config} does not name now.`,
        hint: `Put \`pm.status_listen\` back, or let ${run('deploy', app)} start a pool that has what the file says now.`,
      };
}

function otherConfigHint(
  { serves, slot, runs }: Extract<Observation, { reason: 'master-of-other-config' }>,
  app: string | null,
): string {
  const meant = say`Name ${runs} in \`pool.config\`, if that is what should run`;
  if (serves === false) return `${meant}; else give that pool another \`listen\`, or stop it.`;
  const why =
    serves === true
      ? 'The site is sent to it: whoever stops it takes the site down.'
      : 'It may serve the site: let it run until that can be told.';
  const other = slot === 'blue' ? 'green' : 'blue';
  return `${why} ${meant}; else ${run(`pool start ${other}`, app)}, lead nginx there by hand, and only then stop it.`;
}

const SPACE = {
  journal: "a deploy's journal takes",
  proxy: "a deploy's new copy of nginx's files takes up to",
  pool: "a new pool's log and pidfile take up to",
} as const;
const WITHOUT = {
  journal: 'a deploy that cannot write its journal does not begin',
  proxy: 'a deploy that cannot write them is undone',
  pool: 'a pool that cannot write them does not start',
} as const;

const kibibytes = (bytes: number): string => thousands(Math.floor(bytes / 2 ** 10));

/** `serves`: whether the site is sent to them; null where that cannot be told. */
function orphansHint(serves: boolean | null, deploy: string): string {
  if (serves === null) {
    return `Whether they serve the site cannot be told before nginx runs what its files say. Let them be until then; ${deploy} ends them after that without a cut.`;
  }
  return serves
    ? `They serve the site: ${deploy} moves it to the other slot and ends them then; nothing else does without a cut.`
    : 'Nothing is sent there: they can be ended once they provably serve nobody.';
}
