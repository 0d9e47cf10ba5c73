/** What went wrong, in one sentence, and what to do about it. PURE. */
import type { Failure, Holder, Place, UpgradeStage, WrongAnswer } from '../../event.js';
import { argv, count, duration, head, inline, list, say, tail } from '../text.js';
import {
  SHARED,
  at,
  errno,
  holderLine,
  holderText,
  loadText,
  log,
  merge,
  pidsText,
  run,
  sentence,
  sentenceStart,
  sharedPlaces,
  suspectText,
  unusedReference,
  unworded,
  verb,
  withoutReload,
  writeHint,
} from './phrase.js';
import type { Message } from './phrase.js';
import { NEITHER, overlapping } from './lives.js';
import { questionText, stakesOf } from './question.js';
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
        message: say`No ${failure.program} was found (${list(failure.searched)}).`,
        hint:
          failure.program === 'flock'
            ? 'Install it: it is part of util-linux, and takes the locks without which nothing is begun.'
            : 'Install it (`apt-get install php-fpm`), or name it in `pool.binary`.',
      };
    case 'binary-ambiguous':
      return {
        message: say`There are several php-fpm, and none of them runs the pool yet: ${list(failure.found)}.`,
        hint: 'Name the one that is meant in `pool.binary`.',
      };
    case 'pool-config-invalid':
      if (failure.homeless === true) {
        return {
          message: say`${failure.file} names files for the ${failure.slot} pool in folders that do not exist.`,
          hint: 'Create the folder, or correct the path; `php-fpm -t` does not look for it, a start fails.',
          ...log(failure.output),
        };
      }
      return {
        message: say`php-fpm does not accept ${failure.file} for the ${failure.slot} pool.`,
        hint: say`Check it by hand: \`SWAP_POOL_SLOT=${failure.slot} php-fpm -t -y ${argv([failure.file])}\`, with your own php-fpm's name.`,
        ...log(failure.output),
      };
    case 'pool-test-timeout':
      return {
        message: say`php-fpm has not said within ${duration(failure.ms)} what it makes of ${failure.file} for the ${failure.slot} pool.`,
        hint: say`See by hand what it waits for: \`SWAP_POOL_SLOT=${failure.slot} php-fpm -t -y ${argv([failure.file])}\`, with your own php-fpm's name.`,
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
            hint:
              failure.option === true
                ? 'Name one of them: `--section NAME`.'
                : 'Name one of them in `pool.section`.',
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
        message: say`A switch by symlink needs unix sockets, and the ${failure.slot} pool listens on ${failure.address}.`,
        hint: 'Let both slots listen on a unix socket, or write `switch: rewrite`.',
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
            : `What that deploy was at is not known. Point nginx at a pool that runs and answers, and reload it; then ${run('recover', app)} sets the journal aside.`,
      };

    // pools
    case 'slot-foreign':
      if (failure.lives !== undefined) {
        return {
          message: overlapping(failure.slot, failure.address),
          hint: `${NEITHER} ${run('doctor', app)} says which of them answers, and how the other one is ended without a cut.`,
          details: failure.lives.map(suspectText),
        };
      }
      return {
        message: say`The ${failure.slot} slot's address ${failure.address} is held by ${
          failure.holder === null ? 'a process that cannot be seen' : suspectText(failure.holder)
        }, which is not its pool.`,
        hint:
          failure.holder?.pid === 1
            ? 'systemd holds it for a unit (socket activation): stop the .socket unit, a slot needs a socket of its own.'
            : say`End that process, or give the slot another address. To look: \`ss -lpn | grep -F ${socketWord(failure.address)}\`.`,
      };
    case 'slot-alive':
      if (failure.elsewhere === true) {
        return {
          message: say`The ${failure.slot} slot's own pool lives, ${pidsText(failure.pids)}, and does not listen at ${failure.address}, where its configuration has it now.`,
          hint: `\`listen\` was changed while it ran. Put the old address back, and ${run('deploy', app)}; to give the slot another one, stop its pool before that: ${run(`pool stop ${failure.slot}`, app)}.`,
        };
      }
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
        hint: wrongHint(failure.answer),
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
    case 'nginx-orphaned':
      return {
        message: say`nginx's master is gone, and its workers serve on without it (${failure.config}, ${pidsText(failure.pids)}).`,
        hint: 'Nobody can reload them, and no other nginx gets their addresses. `swap-pool nginx stop` lets them finish, `nginx force-stop` does not wait; then start it (`systemctl start nginx`).',
      };
    case 'nginx-stopping':
      return {
        message: say`nginx was told to quit (${failure.config}, pid ${failure.pid}): it takes no new connection, and ends when ${count(failure.workers.length, 'worker')} ${failure.workers.length === 1 ? 'has' : 'have'} finished.`,
        hint: 'Until then it hears of nothing else. `swap-pool nginx stop` waits for its end, `nginx force-stop` does not and cuts what is left; then start it (`systemctl start nginx`).',
      };
    case 'nginx-not-found':
      return {
        message: say`No nginx was found that answers to -V (${list(failure.searched)}).`,
        hint: 'Install it (`apt-get install nginx`), mend what stands there, or name another one in `nginx.binary`.',
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
    case 'nginx-test-timeout':
      return {
        message: say`\`nginx -t\` has not said within ${duration(failure.ms)} whether it accepts ${failure.config}.`,
        hint: 'See how long it takes by hand, `time nginx -t`, and what it waits for: mostly a host name that is looked up. A deploy gives it `nginx.reload-timeout`.',
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
      if (failure.detail === 'EPERM') {
        return {
          message: say`nginx may not be signalled: ${pidsText(failure.pids)}.`,
          hint: 'Run swap-pool as root, or as the user who started nginx.',
        };
      }
      return {
        message: say`nginx could not be ended (${failure.detail}): ${pidsText(failure.pids)}.`,
        hint: say`Look at what holds it: \`ps -o pid,stat,wchan:20,args -p ${failure.pids.join(',') || '1'}\`.`,
      };
    case 'logs-not-reopened':
      if (failure.unheard === true) {
        return {
          message: say`nginx's master, ${pidsText(failure.pids)}, has not taken the signal within ${duration(failure.ms)}: no log was opened anew.`,
          hint: say`Look at what holds it: \`ps -o pid,stat,wchan:20,args -p ${failure.pids.join(',')}\`. Once it goes on it opens them.`,
          ...log(failure.log),
        };
      }
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
      if (failure.atOnce === true) {
        return {
          message: say`Left at once, on a second signal (${failure.signal}): what was begun is as it stood then.`,
          hint: `${run('status', app)} says how things are; ${run('recover', app)} ends a deploy that was left.`,
        };
      }
      if (failure.demo === true) {
        return {
          message: say`The demo was ended by ${failure.signal}.`,
          hint: 'Its sandbox was taken away, whatever it was at; nothing else was touched.',
        };
      }
      if (failure.during !== undefined) {
        return {
          message: say`Interrupted by ${failure.signal} ${INTERRUPTED[failure.during].when}.`,
          hint: INTERRUPTED[failure.during].hint,
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
        message:
          failure.of === 'nginx-upgrade'
            ? say`The upgrade of nginx's binary got stuck: ${failure.detail}.`
            : say`Nothing more can be done safely without a person: ${failure.detail}.`,
        hint:
          failure.of === 'nginx-upgrade'
            ? '`swap-pool recover` looks again and ends what can be ended; `swap-pool nginx status` says who serves.'
            : failure.cause?.reason === 'pool-died'
              ? `${run('recover', app)} starts it again and goes on; past the switch ${run('rollback', app)} takes the other one back as it runs.`
              : `${run('status', app)} shows which slot serves; ${run('recover', app)} looks again.`,
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
        hint:
          failure.down === undefined
            ? 'Where the change is meant: `nginx -t && nginx -s reload`. Else take it back, and reload it all the same.'
            : withoutReload(failure.down, app),
      };
    // init
    case 'file-exists':
      return {
        message: say`${list(failure.files)} ${failure.files.length === 1 ? 'exists and is' : 'exist and are'} not swap-pool's.`,
        hint: '`--force` replaces what is there and keeps a backup.',
      };
    case 'file-of-another-app':
      return {
        message: say`${failure.file} is ${failure.owner}'s: a dot and an underscore in an app's name make one name for cron and logrotate.`,
        hint: 'Nothing was written. Choose another name for one of the two apps.',
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
      return failure.places.length === 0
        ? {
            message: say`nginx has not read its files as they are now, and may still send requests to the old pool at ${failure.address}: ${list(failure.unread)}.`,
            hint: `${run('start', app)} brings up the new one and lets nginx follow; where the new one serves already, \`swap-pool nginx reload\` does.`,
          }
        : {
            message: say`nginx's files still send requests to the old pool at ${failure.address}, or may, in ${count(failure.places.length, 'place')}.`,
            hint: say`Let each place name the upstream of the new pool, ${app ?? 'APP'}, or take it away; then \`swap-pool nginx reload\`, and the same command again. A variable whose values cannot be told stops this command: where you know that none is the old pool, end the old one by hand.`,
            details: failure.places.map(at),
            places: failure.places,
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
    case 'output-lost':
      return {
        message: sentence(`The output could not be written: ${errno(failure.code)}`),
        hint: writeHint(failure.code),
      };
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

/** Places under a sentence, each once. */
const placesOf = (places: readonly Place[]): Pick<Message, 'details' | 'places'> =>
  places.length === 0 ? {} : { details: [...new Set(places.map(at))], places };

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

const INTERRUPTED = {
  question: { when: 'before anything was begun', hint: 'Nothing was touched. Run it again when it suits.' },
  pool: {
    when: 'before it was done',
    hint: 'Where the pool had been told to stop or to reload it goes on doing so; `swap-pool status` says how it stands.',
  },
  'nginx-stop': {
    when: 'while nginx was stopping',
    hint: 'It takes no new requests and goes on finishing; `swap-pool nginx status` says who still serves.',
  },
  'nginx-upgrade': {
    when: 'before the new binary was in charge',
    hint: 'The old binary serves as before. Run it again when it suits.',
  },
} as const;

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
    case 'crashed':
      return 'workers of the new binary did not live on';
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

/** What nginx says is wrong, with its file and line; nothing where it does not say so. */
function complaint(output: string): string {
  const what = /\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.+)/.exec(output)?.[1];
  return what === undefined ? '' : `: ${what}`;
}
