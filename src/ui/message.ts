/**
 * The only place with wording: what happened in one sentence, and what to do
 * about it. PURE. Each switch ends in `never`, so the compiler keeps the lists
 * complete; each inserted value goes through `say`, so nothing that comes from
 * elsewhere reaches a terminal with its control characters.
 */
import type {
  ActName,
  CommandResult,
  Connections,
  Event,
  Failure,
  Finding,
  Holder,
  LockHolder,
  NextStep,
  NginxVerb,
  Notice,
  Observation,
  OtherPool,
  Outcome,
  Place,
  Plan,
  Question,
  StepNote,
  Suspect,
  UpgradeStage,
  Warning,
  WrongAnswer,
} from '../event.js';
import { argv, count, duration, head, inline, list, say, tail, thousands, when } from './text.js';

/** A sentence, what to do about it, and what belongs under it. Free of control characters. */
export interface Message {
  /** One line, one sentence: what is wrong, where, who. */
  readonly message: string;
  /** One line: what to do, with a command in backticks where there is one. */
  readonly hint: string;
  /** Lines that belong under the sentence: the end of a log, a list. */
  readonly details?: readonly string[];
  /** The spots in files that the sentence is about. */
  readonly places?: readonly Place[];
}

/** Failure -> sentence and hint. `app` completes the commands that the hint names. */
export function failureMessage(failure: Failure, app: string | null = null): Message {
  switch (failure.reason) {
    // the command line and the configuration
    case 'usage':
      return { message: sentence(failure.detail), hint: 'See `swap-pool --help`.' };
    case 'config-invalid': {
      const places = failure.problems.map((problem) => problem.place);
      const [first] = failure.problems;
      if (first !== undefined && failure.problems.length === 1) {
        return { message: sentence(`${at(first.place)}: ${first.what}`), hint: sentence(first.fix), places };
      }
      return {
        message: say`The configuration has ${count(failure.problems.length, 'problem')}.`,
        hint: 'Mend each as its line says; `swap-pool doctor` checks again and changes nothing.',
        details: failure.problems.map(({ place, what, fix }) => say`${at(place)}: ${what}, ${fix}`),
        places,
      };
    }
    case 'no-apps':
      return {
        message: say`No app is configured in ${failure.folder}.`,
        hint: say`Write ${failure.folder}/APP.yaml, or let \`swap-pool init APP\` write it.`,
      };
    case 'app-unknown':
      return {
        message: say`There is no app "${failure.app}".`,
        hint:
          failure.known.length === 0
            ? 'No app is configured yet: `swap-pool init APP` writes the first one.'
            : say`Configured: ${list(failure.known)}.`,
      };
    case 'app-ambiguous':
      return {
        message: say`${count(failure.known.length, 'app')} are configured; say which one is meant.`,
        hint: say`One of ${list(failure.known)}.`,
      };
    case 'unsafe-path':
      return {
        message: say`${failure.path} ${failure.detail}, and root would run or read it.`,
        hint: say`Give it to root alone: \`chown root:root ${argv([failure.path])}; chmod go-w ${argv([failure.path])}\`.`,
      };
    case 'binary-missing':
      return {
        message: say`No php-fpm was found (${list(failure.searched)}).`,
        hint: 'Install it (`apt-get install php-fpm`), or name it in `pool.binary`.',
      };
    case 'binary-ambiguous':
      return {
        message: say`There are several php-fpm, and none of them runs the pool yet: ${list(failure.found)}.`,
        hint: 'Name the one that is meant in `pool.binary`.',
      };
    case 'pool-config-invalid':
      return {
        message: say`php-fpm does not accept ${failure.file} for the ${failure.slot} pool.`,
        hint: say`Check it by hand: \`SWAP_POOL_SLOT=${failure.slot} php-fpm -t -y ${argv([failure.file])}\`, with your own php-fpm's name.`,
        ...log(failure.output),
      };
    case 'pool-section-unclear':
      return failure.sections.length === 0
        ? {
            message: say`${failure.file} has no pool section.`,
            hint: 'Write one: `[www]` and below it `listen`, `user`, `pm` and so on.',
          }
        : {
            message:
              failure.asked === undefined
                ? say`${failure.file} has ${failure.sections.length} pool sections (${list(failure.sections)}), and it is not said which one is meant.`
                : say`${failure.file} has no pool section [${failure.asked}]; it has ${list(failure.sections)}.`,
            hint: 'Name one of them in `pool.section`.',
          };
    case 'slots-share':
      return {
        message: say`Blue and green share ${list(failure.shared.map(({ what, value }) => say`one \`${what}\`, ${value}`))}.`,
        hint: 'Let the slots differ: write `${SWAP_POOL_SLOT}` into each value.',
        ...placesOf(failure.shared.flatMap(({ places }) => places)),
      };
    case 'listen-is-link':
      return {
        message: say`The ${failure.slot} pool's \`listen\`, ${failure.path}, is a link to ${failure.target}.`,
        hint: say`Name the socket itself: \`listen = ${failure.target}\`. A link there would be replaced when the pool starts.`,
      };
    case 'address-invalid':
      return {
        message: say`The ${failure.slot} pool's address "${failure.address}" is none that nginx and a pool can share.`,
        hint: 'Use a socket with its full path (`/run/shop-blue.sock`) or an address and port (`127.0.0.1:9001`).',
      };
    case 'symlink-needs-unix':
      return {
        message: say`A switch by symlink needs unix sockets, and a slot listens on ${failure.address}.`,
        hint: 'Let both slots listen on a unix socket, or use `switch: rewrite`.',
      };

    case 'proxies-differ':
      return {
        message: say`The apps name ${count(failure.proxies.length, 'different nginx', 'different nginx')}, and it is not said which one is meant.`,
        hint: 'Name one app by its file: `swap-pool -c FILE nginx ...`.',
        details: failure.proxies.map(({ config, apps }) => say`${config}: ${list(apps)}`),
      };
    case 'answer-needed': {
      const stakes = stakesOf(failure.question, app);
      return {
        message: say`${stakes?.message ?? questionText(failure.question)} There is no terminal to ask at.`,
        hint: ['`--yes` answers.', stakes?.hint ?? ''].join(' ').trim(),
      };
    }
    case 'declined':
      return {
        message: 'The answer was no: nothing was touched.',
        hint: stakesOf(failure.question, app)?.hint ?? '`--yes` answers in advance.',
      };

    // locks and state
    case 'locked':
      return {
        message: `${LOCKED[failure.lock]}: ${holderText(failure.holder)}.`,
        hint: say`Wait for it, or come back with \`--wait-lock 5m\`. The lock is ${failure.path}; the kernel drops it when its holder ends.`,
      };
    case 'state-of-another-config':
      return {
        message: say`${failure.folder} holds the journal of ${failure.owner}, not of ${failure.config}.`,
        hint: 'Give one of the two apps another name, or this one its own SWAP_POOL_STATE_DIR.',
      };
    case 'state-unwritable':
      return {
        message: say`${failure.path} cannot be written: ${errno(failure.code)}.`,
        hint: writeHint(failure.code),
      };
    case 'journal-unreadable':
      return {
        message: say`The journal ${failure.path} cannot be read: ${errno(failure.detail)}.`,
        hint:
          failure.detail === 'EACCES'
            ? 'Run it as root, or as the user who deploys.'
            : `${run('status', app)} shows which slot serves. Look at that file before anything else is done.`,
      };

    // pools
    case 'slot-foreign':
      return {
        message: say`The ${failure.slot} slot's address ${failure.address} is held by ${
          failure.holder === null ? 'a process that cannot be seen' : suspectText(failure.holder)
        }, which is not its pool.`,
        hint: say`End that process, or give the slot another address. To look: \`ss -lpn | grep -F ${socketWord(failure.address)}\`.`,
      };
    case 'slot-alive':
      return {
        message: say`The ${failure.slot} slot is still in use: ${pidsText(failure.pids)} ${verb(failure.pids, 'holds', 'hold')} ${failure.address}.`,
        hint: `A second pool on one address would delete the first one's socket. ${run('recover', app)} ends what a deploy left; ${run(`pool stop ${failure.slot}`, app)} stops the pool.`,
      };
    case 'pidfile-refused':
      return {
        message: say`The ${failure.slot} slot's pidfile ${failure.path} names a master of another configuration: ${suspectText(failure.suspect)}.`,
        hint: 'No signal was sent to it. Give each pool a `pid` file of its own.',
      };
    case 'start-failed':
      return {
        message:
          failure.status === null
            ? say`The ${failure.slot} pool did not start: ${argv(failure.command)} was ended or could not be run.`
            : say`The ${failure.slot} pool did not start: ${argv(failure.command)} ended with status ${failure.status}.`,
        hint: 'Mend what its log names; a file that php-fpm -t accepts may still fail at a missing folder or a taken address.',
        ...log(failure.log),
      };
    case 'start-timeout':
      return {
        message: say`The ${failure.slot} pool did not listen on ${failure.address} within ${duration(failure.ms)}.`,
        hint: 'See its log, and that its `listen` is the address that is named here.',
        ...log(failure.log),
      };
    case 'pool-died':
      return {
        message: say`The ${failure.slot} pool died.`,
        hint: 'See its log; `journalctl -k | grep -i oom` tells whether the kernel ran out of memory.',
        ...log(failure.log),
      };
    case 'slots-one-master':
      return {
        message:
          failure.what === 'unit'
            ? say`Blue and green are one unit, ${failure.unit ?? '?'}: one master has one life.`
            : say`One process listens for both slots: ${failure.master === null ? '?' : suspectText(failure.master)}. One master has one life.`,
        hint: 'Give each slot a master of its own, as with a templated unit: `pool.systemd.unit: shop-fpm@{slot}.service`.',
      };
    case 'unit-invalid':
      return {
        message: say`The ${failure.slot} slot's unit ${failure.unit} ${unitText(failure)}.`,
        hint:
          failure.what === 'no-slot'
            ? 'Write `Environment=SWAP_POOL_SLOT=%i` into its [Service] section, then `systemctl daemon-reload`.'
            : say`See \`systemctl status ${failure.unit}\`; after a change \`systemctl daemon-reload\`.`,
      };
    case 'unit-disagrees':
      return {
        message:
          failure.pid === null
            ? say`The ${failure.slot} slot's unit ${failure.unit} is ${failure.state}${failure.unitPid === null ? '' : ` with pid ${String(failure.unitPid)}`}, but nobody of it listens for the slot.`
            : say`The ${failure.slot} slot's unit ${failure.unit} (${failure.state}) has ${failure.unitPid === null ? 'no main process' : `main pid ${String(failure.unitPid)}`}, but pid ${failure.pid} holds the socket.`,
        hint: say`See \`systemctl status ${failure.unit}\`: its ExecStart has to be the pool of this slot, in the foreground or with Type=forking and its PIDFile.`,
      };
    case 'probe-failed':
      return {
        message: say`The ${failure.slot} pool ${wrongText(failure.answer)} (${failure.asked === undefined ? '' : `${failure.asked}, `}${count(failure.tries, 'try', 'tries')}).`,
        hint: `The other pool was not touched. ${wrongHint(failure.answer)}`,
        ...merge(wrongDetails(failure.answer), log(failure.log)),
      };
    case 'stop-failed':
      return {
        message: say`The ${failure.slot} pool did not end (${failure.detail}): ${pidsText(failure.pids)}.`,
        hint: say`Look at what holds it: \`ps -o pid,stat,wchan:20,args -p ${failure.pids.join(',') || '1'}\`; then ${run('recover', app)}.`,
      };
    case 'drain-timeout':
      return {
        message: say`The ${failure.slot} pool is not drained after ${duration(failure.ms)}: ${loadText(failure)}.`,
        hint: `${run('recover', app)} goes on waiting, ${run('recover', app, '--now')} ends it with requests in flight.`,
      };
    case 'still-draining':
      return {
        message: say`The ${failure.slot} pool still drains: a deploy is not finished.`,
        hint: `${run('recover', app)} waits for it, ${run('recover', app, '--now')} ends it with requests in flight.`,
      };
    case 'pool-busy':
      return {
        message: say`The ${failure.slot} pool still serves after ${duration(failure.ms)}: ${loadText(failure)}. It goes on as before.`,
        hint: `Try again later; ${run(`pool force-stop ${failure.slot}`, app)} ends it with requests in flight.`,
      };
    case 'pool-not-running':
      return {
        message: say`The ${failure.slot} pool does not run: nobody listens on ${failure.address}.`,
        hint: `${run(`pool start ${failure.slot}`, app)} starts it.`,
      };
    case 'pool-orphaned':
      return {
        message: say`The ${failure.slot} pool has lost its master; its workers (${pidsText(failure.pids)}) go on serving, and nobody is there to be told.`,
        hint: `${run('deploy', app)} moves the site to the other slot and ends them when they are idle; orphans that serve nobody are ended by ${run(`pool stop ${failure.slot}`, app)}.`,
      };
    case 'pool-named':
      return {
        message: say`The ${failure.slot} pool was about to be stopped when nginx was pointed at it.`,
        hint: `It goes on as before. ${run('status', app)} shows which slot serves.`,
      };
    case 'pool-in-transition':
      return failure.doing === 'leaving'
        ? {
            message: say`The ${failure.slot} pool was told to stop or to reload, and comes to no end.`,
            hint: `See its log. ${run(`pool force-stop ${failure.slot}`, app)} ends it.`,
          }
        : {
            message: say`The ${failure.slot} pool is being started, and does not come up.`,
            hint: 'See its log, and who else starts it.',
          };
    case 'pool-reload-unproven':
      return {
        message: say`The ${failure.slot} pool was told to reload, and within ${duration(failure.ms)} no new master was seen on its socket.`,
        hint: `See its log; ${run(`pool status ${failure.slot}`, app)} shows what runs.`,
        ...log(failure.log),
      };
    case 'pool-logs-not-reopened':
      return {
        message: say`The ${failure.slot} pool has not opened ${list(failure.files)} again within ${duration(failure.ms)}.`,
        hint: 'See that its master may create the file there, and what its log says: it goes on writing to the old one.',
      };
    case 'signal-refused':
      return {
        message: say`${failure.signal} may not be sent to the ${failure.slot} pool's master, pid ${failure.pid}: ${errno(failure.code)}.`,
        hint: 'Run swap-pool as root, or as the user who started the pool.',
      };
    case 'pool-unable':
      return {
        message: say`A pool of kind ${failure.kind} cannot ${failure.verb}.`,
        hint: `${run('deploy', app)} starts the other slot anew and cuts nothing.`,
      };
    case 'unobservable':
      return {
        message: say`${sentenceStart(failure.what)} cannot be observed: ${failure.detail}.`,
        hint: "Run swap-pool as root (or as the pools' user), on the host and in the network namespace of nginx.",
      };

    // the proxy
    case 'nginx-not-running':
      return {
        message: say`No nginx runs with ${failure.config}.`,
        hint: 'Start it (`systemctl start nginx`), or name the one that runs: `nginx.config`, `nginx.pidfile`.',
      };
    case 'nginx-not-found':
      return {
        message: say`nginx was not found (${list(failure.searched)}).`,
        hint: 'Install it (`apt-get install nginx`), or name it in `nginx.binary`.',
      };
    case 'nginx-ambiguous':
      return {
        message: say`${failure.masters.length} nginx masters run, and it is not said which one is meant.`,
        hint: 'Name its configuration or pidfile: `nginx.config`, `nginx.pidfile`.',
        details: failure.masters.map(suspectText),
      };
    case 'nginx-arguments-unclear':
      return {
        message: say`nginx's arguments cannot be told apart for sure in its title: ${failure.title}.`,
        hint: 'Write them down as a list: `nginx: { arguments: [-c, /path/nginx.conf] }`.',
      };
    case 'nginx-pidfile-wrong':
      return {
        message: say`nginx's pidfile ${failure.path} cannot be trusted: ${failure.detail}.`,
        hint: 'Name the right one in `nginx.pidfile`, or restart nginx so that it writes its own again.',
      };
    case 'nginx-syntax':
      return {
        message: sentence(`${at(failure.place)}: ${failure.what}`),
        hint: "nginx's configuration must be understood before it is changed; `nginx -t` may say more.",
        places: [failure.place],
      };
    case 'nginx-include':
      return {
        message: sentence(`${at(failure.place)}: ${failure.what}`),
        hint: 'Every included file has to be read; make it readable, or mend the include.',
        places: [failure.place],
      };
    case 'nginx-config-broken':
      return {
        message: sentence(`nginx -t rejects nginx's configuration as it is now${complaint(failure.output)}`),
        hint: 'Mend it first, until `nginx -t` accepts it. The nginx that runs goes on with what it has.',
        ...log(failure.output),
      };
    case 'nginx-tree-differs':
      return {
        message: 'swap-pool and nginx do not read the same configuration files.',
        hint: 'See that `nginx.config` and `nginx.arguments` are those of the nginx that runs; compare with `nginx -T | grep "^# configuration file"`.',
        details: [
          ...failure.onlyOurs.map((file) => say`read by swap-pool only: ${file}`),
          ...failure.onlyTheirs.map((file) => say`read by nginx only: ${file}`),
        ],
      };
    case 'reference-missing':
      if (failure.outside !== undefined) {
        return {
          message: say`Where \`nginx.only\` says to look, nginx's configuration names ${failure.addresses.length > 1 ? 'none' : 'nothing'} of ${list(failure.addresses)}.`,
          hint: 'Let `nginx.only` name the upstream or the file that sends the site its requests; it leaves out these places.',
          details: failure.outside.map(at),
          places: failure.outside,
        };
      }
      return {
        message: say`nginx's configuration names ${failure.addresses.length > 1 ? 'none' : 'nothing'} of ${list(failure.addresses)}.`,
        hint:
          failure.variables.length === 0
            ? 'Let a `fastcgi_pass` or an upstream `server` name the active slot; `swap-pool init` shows an upstream file for it.'
            : say`A variable in \`fastcgi_pass\` cannot be followed (${list(failure.variables.map(at))}): name an upstream there.`,
        ...(failure.variables.length === 0 ? {} : { places: failure.variables }),
      };
    case 'reference-ambiguous':
      return {
        message:
          "nginx's configuration sends requests to both slots, so it cannot be told which one is active.",
        hint: 'Say where to look: `nginx: { only: [upstream NAME] }`; or mark one of a pair of servers `backup`.',
        details: failure.places.map(({ place, slot }) => say`${at(place)}: ${slot}`),
        places: failure.places.map(({ place }) => place),
      };
    case 'only-unknown':
      return {
        message: say`\`nginx.only\` names "${failure.only}", and nginx's configuration has no such upstream or file.`,
        hint: 'Write `upstream NAME`, or the full path of a file that nginx reads.',
      };
    case 'master-shared':
      return {
        message:
          "nginx's configuration also names another pool of a slot's master, and that pool ends when the master is stopped.",
        hint: SHARED,
        ...sharedPlaces(failure.places),
      };
    case 'link-not-named':
      return {
        message: say`nginx's configuration does not name the link ${failure.link}.`,
        hint: say`Write \`fastcgi_pass unix:${failure.link};\` (or \`server unix:${failure.link};\` in its upstream).`,
      };
    case 'link-and-slot-named':
      return {
        message: say`nginx's configuration names a slot's own address, or another link to it, beside the link ${failure.link}.`,
        hint: 'Let it name the link alone: a request that comes by the other way would be cut by the next deploy.',
        details: failure.places.map(at),
        places: failure.places,
      };
    case 'link-wrong':
      return {
        message: say`The link ${failure.link} is not as it should be: ${failure.detail}.`,
        hint: `It has to be a symbolic link to one slot's socket, and ours to replace. ${run('start', app)} restores a missing one.`,
      };
    case 'upgrade-pending':
      return {
        message: say`An upgrade of nginx's binary is under way (${failure.path}), and a reload would reach one master only.`,
        hint: say`\`swap-pool recover\` ends one that \`swap-pool nginx upgrade\` began. Another: \`kill -QUIT "$(cat ${failure.path})"\` lets the old master go.`,
      };
    case 'config-changed':
      return {
        message: say`${failure.file} was changed by somebody else in the meantime.`,
        hint: 'It was left as it is now. Look at the change, then try again.',
      };
    case 'config-unwritable':
      return {
        message: say`${failure.file} cannot be replaced: ${errno(failure.code)}.`,
        hint: writeHint(failure.code),
      };
    case 'edit-rejected':
      return {
        message: "nginx -t rejects the configuration with the slots' addresses exchanged.",
        hint: 'The running nginx never saw it. Mend what nginx names below, then try again.',
        ...log(failure.output),
      };
    case 'reload-swallowed':
      return {
        message: 'nginx did not take the new configuration: it goes on with its old workers.',
        hint: 'Its error log says why; often another program holds a `listen` port. See `ss -ltnp`.',
        ...log(failure.log),
      };
    case 'reload-unproven':
      return {
        message: say`It could not be proven within ${duration(failure.ms)} that nginx runs the new configuration: ${failure.detail}.`,
        hint: `Nothing is stopped on a guess. See nginx's error log, then ${run('recover', app)}.`,
      };
    case 'nginx-gone':
      return {
        message: say`nginx's master, pid ${failure.pid}, is gone.`,
        hint: `See its error log and start it (\`systemctl start nginx\`), then ${run('recover', app)}.`,
      };
    case 'nginx-busy':
      return {
        message: say`nginx has not ended after ${duration(failure.ms)}: ${count(failure.holders.length, 'worker')} still ${failure.holders.length === 1 ? 'serves' : 'serve'} somebody.`,
        hint: 'It takes no new requests, was not killed, and goes on finishing. `swap-pool nginx force-stop` cuts what is left; a longer `drain.timeout` waits longer.',
        ...holding(failure.holders),
      };
    case 'nginx-unstoppable':
      return {
        message: say`nginx could not be ended (${failure.detail}): ${pidsText(failure.pids)}.`,
        hint: say`Look at what holds it: \`ps -o pid,stat,wchan:20,args -p ${failure.pids.join(',') || '1'}\`.`,
      };
    case 'logs-not-reopened':
      return {
        message:
          failure.pids.length === 0
            ? 'nginx could not open its logs anew.'
            : say`nginx's ${pidsText(failure.pids)} still ${verb(failure.pids, 'writes', 'write')} to the old log files after ${duration(failure.ms)}.`,
        hint: "Its workers must be able to open them: see the owner of the files, and x on every folder above for the workers' user.",
        ...log(failure.log),
      };
    case 'upgrade-impossible':
      return failure.why === 'no-binary'
        ? {
            message: say`There is no binary at ${failure.program}, which an upgrade would run.`,
            hint: 'nginx runs the very path again that it was started by: put the new binary there.',
          }
        : {
            message: say`An nginx with \`daemon off\` does not upgrade its binary (${failure.program}).`,
            hint: 'nginx ignores USR2 while its parent is the one that started it. Restart it, or let it run as a daemon.',
          };
    case 'new-binary-rejects':
      return {
        message: say`The new binary ${failure.program} does not pass its own test.`,
        hint: 'The nginx that runs was not touched. Put a binary there that accepts the configuration.',
        ...log(failure.output),
      };
    case 'upgrade-failed':
      return {
        message: say`The upgrade to ${failure.program} failed: ${upgradeText(failure.at, failure.ms)}.`,
        hint:
          failure.at === 'listeners'
            ? 'The old binary serves as before. If the configuration on disk listens elsewhere, `swap-pool nginx reload` first.'
            : failure.at === 'leave'
              ? 'The old binary serves as before. A longer `drain.timeout` waits longer for the requests below.'
              : "The old binary serves as before. nginx's error log may say more.",
        ...merge(tail(failure.log), holding(failure.holders)),
      };
    case 'disk-differs-from-running':
      return {
        message: say`nginx's configuration on disk is newer than what nginx runs, and it names ${failure.slot}, which does not answer.`,
        hint: `Take the change back, or ${run(`pool start ${failure.slot}`, app)} first; a reload now would take the site down.`,
        details: failure.files.map((file) => inline(file)),
      };
    case 'verify-failed':
      return {
        message: say`Through nginx, ${failure.url} ${wrongText(failure.answer)}.`,
        hint: `The new pool passed its probe, so look at what nginx does with this URL: \`${argv(['curl', '-i', ...(failure.host === undefined ? [] : ['-H', `Host: ${failure.host}`]), failure.url])}\`.`,
        ...merge(wrongDetails(failure.answer)),
      };
    case 'verify-not-seen':
      return {
        message:
          failure.url === null
            ? say`No request through nginx reached the ${failure.slot} pool.`
            : say`${failure.url} was answered, but not by the ${failure.slot} pool.`,
        hint: 'See that the URL is one that this pool serves, past any cache, and that nginx may open its socket (error log).',
      };
    case 'old-pool-still-used':
      return {
        message: say`The ${failure.slot} pool still got ${count(failure.requests, 'request')} after the switch.`,
        hint: 'Find who else sends requests to it: a second nginx, a cron job, a monitor that uses its socket.',
      };

    // the deploy itself
    case 'deploy-open':
      return {
        message: say`The deploy ${failure.deploy} is unfinished${failure.step === null ? '' : say` (at ${failure.step})`}, and what is there may be a part of it.`,
        hint: `${run('recover', app)} ends it first.`,
      };
    case 'nothing-to-roll-back':
      return failure.why === 'none'
        ? {
            message: 'There is no finished deploy to roll back.',
            hint: `${run('history', app)} lists the deploys.`,
          }
        : {
            message: 'The last finished deploy already was a rollback.',
            hint: `${run('deploy', app)} switches to the other slot.`,
          };
    case 'interrupted':
      if (failure.draining !== undefined) {
        return {
          message: say`Interrupted by ${failure.signal} before anything was begun; the ${failure.draining} pool of an earlier deploy still drains.`,
          hint: `${run('recover', app)} waits for it, ${run('recover', app, '--now')} ends it with requests in flight.`,
        };
      }
      if (failure.demo === true) {
        return {
          message: say`The demo was ended by ${failure.signal}.`,
          hint: 'Its sandbox was taken away, whatever it was at; nothing else was touched.',
        };
      }
      return {
        message: say`Interrupted by ${failure.signal} before the switch was final.`,
        hint: 'What had begun was reverted. Run it again when it suits.',
      };
    case 'left-unfinished':
      return {
        message: say`The deploy ${failure.deploy} was left unfinished before its switch was final, and was undone.`,
        hint: `Nothing is left open. ${run('deploy', app)} does it again.`,
      };
    case 'stranded': {
      const cause = failure.cause === null ? null : failureMessage(failure.cause, app);
      return {
        message: say`Nothing more can be done safely without a person: ${failure.detail}.`,
        hint: `${run('status', app)} shows which slot serves; ${run('recover', app)} looks again.`,
        ...(cause === null ? {} : { details: [cause.message, ...(cause.details ?? [])] }),
      };
    }
    case 'not-serving':
      return {
        message: say`Not served: ${list(failure.apps)}.`,
        hint: `${run('start', failure.apps.length === 1 ? (failure.apps[0] ?? null) : null)} brings up what should serve; \`swap-pool doctor\` says what is wrong.`,
      };
    case 'pool-unreachable':
      return {
        message: say`The ${failure.slot} pool runs, but ${wrongText(failure.answer)}: ${failure.address}.`,
        hint:
          failure.answer.kind === 'permission'
            ? wrongHint(failure.answer)
            : `${run('start', app)} brings the other slot up instead, and ends this one when it has answered what it took.`,
      };
    case 'reference-unused':
      return unusedReference(failure.places);
    case 'files-unread':
      return {
        message: `nginx has not read its configuration as it is on disk now, so it cannot be told that it leads to ${failure.slot}: ${list(failure.files)}.`,
        hint: 'Where the change is meant: `nginx -t && nginx -s reload`. Else take it back, and reload it all the same.',
      };
    // init
    case 'file-exists':
      return {
        message: say`${list(failure.files)} ${failure.files.length === 1 ? 'exists and is' : 'exist and are'} not swap-pool's.`,
        hint: '`--force` replaces what is there and keeps a backup.',
      };
    case 'file-unreadable':
      return {
        message: say`${failure.path} cannot be read: ${errno(failure.code)}.`,
        hint: 'Name the file itself, and run as a user who may read it.',
      };
    case 'pool-file-unclear':
      return {
        message: say`${at(failure.place)}: ${failure.what}.`,
        hint: "Name the file with the pool's own section, such as /etc/php/8.2/fpm/pool.d/www.conf.",
        places: [failure.place],
      };
    case 'site-unclear':
      return {
        message: say`${failure.file} ${SITE[failure.why]}`,
        hint: SITE_HINT[failure.why],
        ...(failure.places.length === 0 ? {} : { details: failure.places.map(at), places: failure.places }),
      };
    case 'init-rejected':
      return {
        message: say`${failure.judge === 'config' ? 'swap-pool' : failure.judge} refuses what ${failure.file} would be.`,
        hint: 'Nothing was written. The lines above say what it minds.',
        ...log(failure.output),
      };
    case 'old-pool-busy':
      return {
        message: say`The old pool at ${failure.address} is not idle after ${duration(failure.ms)}: ${loadText(failure)}.`,
        hint: 'It goes on serving; run the same command again later.',
      };
    case 'old-pool-named':
      return {
        message: say`nginx still sends requests to the old pool at ${failure.address}.`,
        hint: `${run('start', app)} brings up the new one and lets nginx follow its files.`,
      };
    case 'unhealthy': {
      const { errors, warnings } = failure;
      const parts = [
        ...(errors > 0 ? [count(errors, 'error')] : []),
        ...(warnings > 0 ? [count(warnings, 'warning')] : []),
      ];
      return {
        message: say`Something is wrong: ${list(parts)}.`,
        hint: `Mend each as its line says; ${run('doctor', app)} looks again.`,
      };
    }
    case 'demo-cut':
      return {
        message: say`${failure.cut} of ${count(failure.requests, 'request')} ${failure.cut === 1 ? 'was' : 'were'} cut.`,
        hint: 'Please report it, with the table above.',
      };
    case 'demo-needs':
      return {
        message: say`The demo needs ${list(failure.missing)}.`,
        hint: 'Install it: `apt-get install nginx php-fpm`.',
      };
    case 'bug': {
      const [first = '', ...stack] = failure.detail.split('\n');
      return {
        message: sentence(`swap-pool has a bug: ${first}`),
        hint: `${run('status', app)} shows which slot serves; ${run('recover', app)} ends what was left. Please report it.`,
        ...log(stack.join('\n')),
      };
    }
    default:
      return { message: unworded(failure), hint: `${run('status', app)} shows which slot serves.` };
  }
}

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
        hint: 'Name a script in `probe.script`, or set `ping.path` in the pool.',
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
        hint: 'Raise `pm.start_servers`; php-fpm adds more only about once a second.',
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
        message: say`The ${warning.slot} pool runs, but somebody removed its socket ${warning.path}: nobody can come to it any more.`,
        hint: 'What it still answers is waited for, then it is stopped.',
      };
    case 'running-differs':
      return {
        message: `nginx runs an older configuration than the one on disk; a reload now puts live what may have changed since: ${list(warning.files)}.`,
        hint: 'They pass `nginx -t`. What was not meant to go live: take it back, and reload nginx. A name that ends in / is a folder in which files came or went.',
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
        message: say`The ${warning.slot} pool's master is gone; its workers (${pidsText(warning.pids)}) go on serving.`,
        hint: `${run('deploy', app)} moves the site to the other slot and ends them when they are idle.`,
      };
    case 'standby-running':
      return {
        message: say`The standby, ${warning.slot}, runs already${warning.pid === null ? '' : say` (pid ${warning.pid})`}.`,
        hint: 'It is drained and stopped by the same proof as any other pool, then started anew.',
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
      return warning.reverts
        ? {
            message: say`${warning.signal}: what is under way is finished, then everything is reverted.`,
            hint: `A second signal leaves at once; ${run('recover', app)} then ends it.`,
          }
        : {
            message: say`${warning.signal}: the new slot serves already; the drain is left to ${run('recover', app)}.`,
            hint: 'A second signal leaves at once.',
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
        hint: 'Write `KillSignal=SIGQUIT` into its [Service] section.',
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
        message: say`The ${warning.slot} pool has no \`process_control_timeout\`, so the reload cuts what it serves: ${loadText({ ...warning, retiring: 0 })}.`,
        hint: `${run('deploy', app)} puts a new configuration live and cuts none; or set \`process_control_timeout = 10s\` in the [global] section.`,
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
    case 'name-given-back':
      return {
        message: say`The ${warning.slot} pool's socket had lost its name to a stop that did not end; it is given back.`,
        hint: `${run(`pool stop ${warning.slot}`, app)} stops the pool if that is what was meant.`,
      };
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
    case 'old-pool-not-running':
      return {
        message: say`Nobody listens at ${warning.address}, so how many workers the old pool needs is not known.`,
        hint: 'See that `pm.start_servers` of the new one is near its peak.',
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
        message: say`The ${seen.slot} pool has lost its master, as after a HUP or a KILL: its workers still hold ${seen.address} (${accepted} accepted, ${queued} queued), and a new start there fails.`,
        hint:
          seen.serves === false
            ? 'Nothing is sent there: they can be ended once they provably serve nobody.'
            : `They serve the site: ${run('deploy', app)} moves it to the other slot and ends them then; nothing else does without a cut.`,
        details: [pidsText(seen.pids)],
      };
    }
    case 'several-lives':
      return {
        message: say`Several pools have bound the ${seen.slot} slot's address ${seen.address}; only the last can be reached, and the first that ends takes its socket and pidfile away.`,
        hint: 'Stop none of them by its pidfile. Find the one that answers, let the others finish, and end those by their pids (QUIT).',
        details: seen.holders.map(suspectText),
      };
    case 'master-of-other-config':
      return {
        message: say`A php-fpm with another configuration holds the ${seen.slot} slot's address ${seen.address}: ${suspectText(seen.master)} runs ${seen.runs}, the slot is ${seen.expected}.`,
        hint: say`Give that pool another \`listen\`, or stop it; or name ${seen.runs} in \`pool.config\`, if that is what should run.`,
      };
    case 'not-served':
      return {
        message: say`Nobody serves the site: it is sent to ${seen.slot}, and no pool answers for ${seen.address}.`,
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
      return {
        message: `nginx runs an older configuration than the one on disk: ${list(seen.files)} changed since its workers were born.`,
        hint: 'Somebody reloads it next: `nginx -t && nginx -s reload` now shows what comes of that; or take the change back.',
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
        message: say`${seen.path} has room for ${kibibytes(seen.available)} KiB more; a deploy's journal takes ${kibibytes(seen.needed)} KiB.`,
        hint: 'Make room there (`df -h`, `df -i`): a deploy that cannot write its journal does not begin.',
      };
    default:
      return { message: unworded(seen), hint: `${run('status', app)} shows which slot serves.` };
  }
}

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
  if (result.command === 'pool') return poolLine(result, app);
  const { outcome, from = null, to = null, drain } = result;
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
          ? 'Written. Nothing runs otherwise yet.'
          : 'The old pool serves nobody any more.';
      }
      if (to === null) return result.command === 'recover' ? 'Nothing is left open.' : 'Done.';
      if (result.served === false) return `${to} runs${took}; nobody is sent there yet.`;
      return from === null || from === to ? `${to} serves${took}${cut}` : `${from} -> ${to}${took}${cut}`;
    case 'unchanged':
      return to === null
        ? 'Unchanged: nothing was touched.'
        : `Unchanged: ${to} ${result.served === false ? 'runs' : 'serves'}, nothing was touched.`;
    case 'reverted':
      return `Reverted${took}: ${from === null ? 'nothing is left of it' : `${from} serves as before`}${cut}.`;
    case 'refused':
      return `Refused: nothing was touched${from === null ? '' : `, ${from} serves as before`}.`;
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
      return say`${notice.address}: the new worker ${notice.pid} takes connections`;
    case 'nginx-goes-back':
      return say`goes back to the old nginx, pid ${notice.to}`;
    case 'upgrade-found':
      return say`an upgrade of nginx's binary was left unfinished (old master ${notice.old}); it is ended first`;
    default:
      return unworded(notice);
  }
}

/** `812 (3 clients, 1 upstream)`. */
export function holderLine({ pid, clients, upstreams }: Holder): string {
  return `${String(pid)} (${count(clients, 'client')}, ${count(upstreams, 'upstream')})`;
}
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

const POOL_DONE = {
  start: 'runs',
  stop: 'is stopped',
  'force-stop': 'is stopped',
  restart: 'was stopped and runs again',
  'try-restart': 'was stopped and runs again',
  reload: 'was reloaded and answers',
  'reopen-logs': 'writes to its logs by their names again',
} as const;

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

/** What still holds a drain up: `2 accepted, 0 queued, 1 working`, and the proxy's old workers if there are any. */
export function loadText(load: {
  readonly connections: Connections;
  readonly working: number;
  readonly retiring: number;
}): string {
  const { accepted, queued } = load.connections;
  const parts = [
    `${String(accepted)} accepted`,
    `${String(queued)} queued`,
    `${String(load.working)} working`,
  ];
  if (load.retiring > 0) parts.push(count(load.retiring, 'old nginx worker'));
  return parts.join(', ');
}

/** The count is an upper bound, and 0 is exact: `0 requests`, `at most 3 requests`. */
const cutText = (cut: number): string => `${cut === 0 ? '' : 'at most '}${count(cut, 'request')}`;

/** `pid 4121 (deploy shop, by root) since 2026-11-21 20:43:01Z`. */
export function holderText(holder: LockHolder | null): string {
  if (holder === null) return 'its holder is not known';
  return say`pid ${holder.pid} (${holder.command}, by ${holder.user}) since ${when(holder.since)}`;
}

/** `pid 12 (nginx, user www-data)`. */
export function suspectText(suspect: Suspect): string {
  return say`pid ${suspect.pid} (${suspect.command}, user ${suspect.user})`;
}

/** A message as lines: the sentence, what belongs under it behind a bar, the hint. */
export function messageLines(message: Message): readonly string[] {
  return [
    message.message,
    ...(message.details ?? []).map((line) => `    | ${line}`),
    `hint: ${message.hint}`,
  ];
}

// ---------------------------------------------------------------- private

function questionText(question: Question): string {
  switch (question.kind) {
    case 'init-write':
      return `Write ${count(question.files, 'file')}?`;
    case 'pool-serves':
      return `${question.verb} ${question.slot}?`;
    case 'nginx-stop':
      return 'Go on?';
    case 'doctor-fix':
      return say`Mend ${count(question.findings, 'finding')} of ${list(question.apps)}?`;
    default:
      return unworded(question);
  }
}

/** What a yes would do to the site; the hint names the way that hurts nobody. null: nothing. */
function stakesOf(question: Question, app: string | null): Message | null {
  if (question.kind === 'init-write' || question.kind === 'doctor-fix') return null;
  if (question.kind === 'nginx-stop') {
    return {
      message: say`This stops nginx (pid ${question.pid}), and with it ${list(question.apps)} and whatever else it serves.`,
      hint: '`swap-pool nginx reload` makes it read its configuration anew, and `nginx upgrade` runs a new binary; both go on serving.',
    };
  }
  const { verb, slot, certain, connections, working } = question;
  const serves = certain
    ? say`${slot} serves the site`
    : say`nginx does not run what its files say, so ${slot} may serve the site`;
  const gone = verb === 'restart' || verb === 'try-restart' ? 'until it is up again' : 'from then on';
  return {
    message: say`${sentenceStart(serves)}: ${verb} would cut up to ${loadText({ connections, working, retiring: 0 })}, and the site would be without its pool ${gone}.`,
    hint: `${run('deploy', app)} moves the site to the other slot first, and cuts none.`,
  };
}
const unusedReference = (places: readonly Place[]): Message => ({
  message: say`Nothing in nginx's configuration sends requests to what names the slots: ${list(places.map(at))}.`,
  hint: 'Write `fastcgi_pass NAME;` with the name of that upstream into the site, then `nginx -t && nginx -s reload`.',
  places,
});

const SHARED =
  'Give each pool a master of its own: an FPM file with one [pool] and its own `pid`, started by itself.';

/** Places under a sentence, each once. */
const placesOf = (places: readonly Place[]): Pick<Message, 'details' | 'places'> =>
  places.length === 0 ? {} : { details: [...new Set(places.map(at))], places };

const sharedPlaces = (places: readonly OtherPool[]): Pick<Message, 'details' | 'places'> => ({
  details: places.map(({ place, slot, address }) => say`${at(place)}: ${address}, which ends with ${slot}`),
  places: places.map(({ place }) => place),
});

const SITE = {
  'no-pool': 'names no pool that init could move: it looks for the fastcgi_pass to the old one.',
  'several-pools': 'names several pools.',
  'not-included': "is not part of nginx's configuration.",
  'no-room': 'cannot be written: nothing in its http block includes a folder of *.conf files.',
  'name-taken': "names an upstream that nginx's configuration has already.",
} as const;

const SITE_HINT = {
  'no-pool': "Name the file with the `fastcgi_pass` itself, and with `--from` the pool's.",
  'several-pools': 'Say which of them with `--from`, the file of its pool.',
  'not-included': 'Name the site as nginx includes it, such as /etc/nginx/sites-enabled/shop.',
  'no-room': 'Add `include /etc/nginx/conf.d/*.conf;` to the http block.',
  'name-taken': 'Give the app another name, or rename that upstream.',
} as const;

const NEXT = {
  units: 'systemd reads the new units',
  boot: 'at boot, what should serve comes up before nginx',
  include: 'in your site',
  start: 'the first slot starts and is proven; then nginx is made to follow its files',
  flip: 'from now on a change of the configuration is deployed',
  'old-pool': 'waits until the old pool provably serves nobody',
  'stop-old': 'only then: the old pool was the only one of its php-fpm',
  'drop-old': 'only then; at a quiet time, for the other pools of that php-fpm are reloaded with it',
} as const;

/** What is asked at a terminal before a command goes on, and what it would do to the site. */
export function questionLines(question: Question, app: string | null = null): readonly string[] {
  const stakes = stakesOf(question, app);
  return [...(stakes === null ? [] : messageLines(stakes)), `${questionText(question)} [y/N] `];
}

/** What a command that is left to do after `init` is for. */
export const nextText = ({ why }: NextStep): string => NEXT[why];
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

function upgradeText(at: UpgradeStage, ms: number): string {
  const within = ms > 0 ? ` within ${duration(ms)}` : '';
  switch (at) {
    case 'start':
      return `no new master came up${within}`;
    case 'workers':
      return `the new master had too few workers${within}`;
    case 'listeners':
      return `the new workers did not wait on every socket of the old ones${within}`;
    case 'died':
      return 'the new master ended';
    case 'retire':
      return `the old workers went on taking requests${within}`;
    case 'answers':
      return `no new worker took a connection${within}`;
    case 'leave':
      return `old workers still served somebody after ${duration(ms)}`;
    case 'quit':
      return `the old master did not end${within}`;
    default:
      return unworded(at);
  }
}

const holding = (holders: readonly Holder[]): { details?: readonly string[] } =>
  holders.length === 0 ? {} : { details: holders.map((holder) => `worker ${holderLine(holder)}`) };

const LOCKED = {
  app: 'Another swap-pool is at work on this app',
  nginx: 'Another swap-pool is at work on this nginx',
  slot: "Another swap-pool is at work on one of the slots' addresses",
} as const;

const SEEN = {
  nonce: 'our request seen in the new pool',
  count: "the new pool's count grew",
  activity: "the new pool's workers woke",
  'no-traffic': 'no traffic to see',
} as const;

const ERRNO: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'no space left',
  EDQUOT: 'the quota is used up',
  EROFS: 'the file system is read-only',
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EIO: 'input/output error',
  ELOOP: 'too many links',
};

function errno(code: string): string {
  const words = ERRNO[code];
  return words === undefined ? inline(code) : `${words} (${code})`;
}

function writeHint(code: string): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'Make room there (`df -h`), then try again.';
  if (code === 'EROFS' || code === 'EIO')
    return 'See the state of that file system: `findmnt`, `dmesg | tail`.';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'Create the folder above it, then try again.';
  return 'Run it as root (`sudo`), or as the user who may write there.';
}

function at(place: Place): string {
  const column = place.column === undefined ? '' : `:${String(place.column)}`;
  return say`${place.file}:${place.line}` + column;
}

/** `swap-pool VERB APP OPTION`, in backticks; without an app it stands for the only one. */
function run(command: string, app: string | null, option = ''): string {
  return `\`${['swap-pool', command, app === null ? '' : inline(app), option].filter((word) => word !== '').join(' ')}\``;
}

function pidsText(pids: readonly number[]): string {
  return pids.length === 0 ? 'no process that can be named' : `pid ${list(pids)}`;
}

const verb = (pids: readonly number[], one: string, many: string): string => (pids.length === 1 ? one : many);

/** What stands for an address in `ss -l`: a path as it is, a TCP address by its port. */
function socketWord(address: string): string {
  const path = address.replace(/^unix:/, '');
  return argv([path.startsWith('/') ? path : path.replace(/^.*(?=:\d+$)/, '')]);
}

function unitText({ what, detail }: Extract<Failure, { reason: 'unit-invalid' }>): string {
  switch (what) {
    case 'not-found':
      return 'does not exist';
    case 'masked':
      return 'is masked';
    case 'bad':
      return say`cannot be used: ${detail}`;
    case 'no-slot':
      return detail === '' ? 'is not told which slot it is' : say`is told to be the slot "${detail}"`;
    default:
      return unworded(what);
  }
}

function wrongText(answer: WrongAnswer): string {
  switch (answer.kind) {
    case 'no-socket':
      return 'has no socket at its address';
    case 'refused':
      return 'refuses connections';
    case 'permission':
      return say`cannot be reached by ${answer.user}, the user of nginx's workers: permission denied on its socket`;
    case 'timeout':
      return say`gave no answer within ${duration(answer.ms)}`;
    case 'closed':
      return 'hung up before it had answered';
    case 'protocol':
      return say`gave an answer that cannot be read: ${answer.detail}`;
    case 'status':
      return typeof answer.expected === 'number'
        ? say`answered ${answer.status} where ${answer.expected} was expected`
        : say`answered ${answer.status} where a status ${answer.expected} was expected`;
    case 'body':
      return say`answered without "${inline(answer.expected, 80)}" in its body`;
    case 'fatal':
      return 'answered, but PHP reported a fatal error';
    case 'error':
      return say`could not be asked: ${errno(answer.code)}`;
    default:
      return unworded(answer);
  }
}

function wrongHint(answer: WrongAnswer): string {
  switch (answer.kind) {
    case 'no-socket':
    case 'refused':
      return "See the pool's log, and that its `listen` is the address that swap-pool status shows.";
    case 'permission':
      return say`Let that user in: \`listen.group = ${answer.user}\` and \`listen.mode = 0660\` in the pool, and x on every folder above the socket.`;
    case 'timeout':
      return 'See what the probe script waits for, or give it longer: `probe.timeout`.';
    case 'closed':
      return "A worker that dies shows in the pool's log.";
    case 'protocol':
      return 'See that a FastCGI server listens there, and not an HTTP one.';
    case 'status':
      return answer.unopened === true
        ? "The pool's user cannot open the script: see that it exists for that user, who must enter every folder above it and read it."
        : "Mend what the probe script reports; the app's own log may say more.";
    case 'body':
    case 'fatal':
      return "Mend what the probe script reports; the app's own log may say more.";
    case 'error':
      return "See the pool's log.";
    default:
      return unworded(answer);
  }
}

function wrongDetails(answer: WrongAnswer): readonly string[] {
  if (answer.kind === 'body' || answer.kind === 'status') return head(answer.body ?? '', 5);
  return answer.kind === 'fatal' ? tail(answer.stderr) : [];
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

const kibibytes = (bytes: number): string => thousands(Math.floor(bytes / 2 ** 10));
const mebibytes = (bytes: number): string => thousands(Math.round(bytes / 2 ** 20));

/** The end of a log as details; nothing when it is empty. */
function log(text: string): { details?: readonly string[] } {
  return merge(tail(text));
}

function merge(
  lines: readonly string[],
  more: { details?: readonly string[] } = {},
): { details?: readonly string[] } {
  const details = [...lines, ...(more.details ?? [])];
  return details.length === 0 ? {} : { details };
}

/** Tenths of a second once they say something: `71 ms`, `0.4 s`, `2 min 3 s`. */
function closingTime(ms: number): string {
  return ms >= 95 && ms < 999.5 ? `${(ms / 1000).toFixed(1)} s` : duration(ms);
}

/** Someone else's phrase as a sentence of ours. A leading path or number stays as it is. */
/** What nginx says is wrong, with its file and line; nothing where it does not say so. */
function complaint(output: string): string {
  const what = /\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.+)/.exec(output)?.[1];
  return what === undefined ? '' : `: ${what}`;
}

function sentence(text: string): string {
  const line = inline(text).replace(/^error: /i, '');
  return /[.!?]$/.test(line) ? sentenceStart(line) : `${sentenceStart(line)}.`;
}

function sentenceStart(text: string): string {
  return /^(?!nginx|php|swap)[a-z]+[ ,:]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}

/** The compiler lets nothing come here; a value of another version could, at run time. */
function unworded(value: never): string {
  return inline(JSON.stringify(value));
}
