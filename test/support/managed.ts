/** Pools that somebody else starts than swap-pool itself, or that are no php-fpm, for a rig. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { LoadPlan } from '../../src/demo/load.js';
import { ordinaryUser } from '../../src/demo/machine.js';
import { findPrograms } from '../../src/demo/programs.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import { SLOTS, type Slot } from '../../src/event.js';
import { SHORT, type RigOptions } from './rig.js';

export interface Managed {
  /** Programs that not every machine has: scripts/setup.mjs installs them where it can. */
  readonly needs?: readonly string[];
  readonly rig: Pick<RigOptions, 'prepare' | 'others' | 'site'>;
  /** What it can be asked: not every server works on after its answer. */
  readonly load: LoadPlan;
  /** Its processes, by their command, as `allow.processes` takes them. */
  readonly processes: readonly RegExp[];
}

const FCGI_PM = spawnSync('/usr/bin/perl', ['-MFCGI', '-e', '1']).status === 0;
const CGI = ['fast', 'slow', 'post', 'upload', 'health', 'verify', 'whoami'];
const { finish: _, ...NO_FINISH } = SHORT;

/** php-fpm by an LSB script a slot; `change` may spoil the script. */
export const byInit = (change: (script: string, slot: Slot) => string = (script) => script): Managed => ({
  rig: {
    prepare: (sandbox) => {
      for (const slot of SLOTS) {
        const path = sandbox.path(`init-${slot}`);
        writeFileSync(path, change(lsbScript(sandbox, slot), slot), { mode: 0o755 });
      }
      const { fpmConfig } = sandbox.site();
      const script = sandbox.path('init-{slot}');
      writePool(sandbox, [
        `config: ${fpmConfig.blue}`,
        `binary: ${fpm()}`,
        'manager: init',
        `init: { script: "${script}" }`,
      ]);
    },
  },
  load: SHORT,
  processes: [],
});

/** php-fpm by a command line. */
export const byCommand = (): Managed => ({
  rig: {
    prepare: (sandbox) => {
      const { fpmConfig } = sandbox.site();
      writePool(sandbox, [
        `config: ${fpmConfig.blue}`,
        `binary: ${fpm()}`,
        'manager: command',
        `command: { start: [${fpm()}, -D, -y, ${fpmConfig.blue}] }`,
      ]);
    },
  },
  load: SHORT,
  processes: [],
});

/** fcgiwraps that spawn-fcgi has started; `pool` gives the YAML of it, and may write what that names. */
const fcgiwrap = (
  pool: (sandbox: Sandbox, as: readonly string[]) => readonly string[],
  more: Pick<RigOptions, 'site'> & {
    readonly slots?: (sandbox: Sandbox, as: readonly string[]) => string[];
  } = {},
): Managed => ({
  needs: ['/usr/bin/spawn-fcgi', '/usr/sbin/fcgiwrap'],
  rig: {
    others: ['/usr/sbin/fcgiwrap', '/usr/bin/spawn-fcgi', '/usr/bin/perl'],
    prepare: (sandbox) => {
      for (const name of CGI) {
        const path = sandbox.path('www', `${name}.php`);
        copyFileSync('test/support/servers/cgi.pl', path);
        chmodSync(path, 0o755);
      }
      const { user, group } = ordinaryUser();
      const as = process.geteuid?.() === 0 ? ['-u', user, '-g', group] : [];
      writePool(sandbox, ['kind: fastcgi', ...pool(sandbox, as)], more.slots?.(sandbox, as));
    },
    ...(more.site === undefined ? {} : { site: more.site }),
  },
  load: NO_FINISH,
  processes: [/^\/usr\/sbin\/fcgiwrap/, /^\/usr\/bin\/perl .*\.php/],
});

/** Who may connect, as spawn-fcgi is told it. */
const forOwner = ([, user, , group]: readonly string[]): readonly string[] =>
  user === undefined || group === undefined ? ['-M', '"0660"'] : ['-U', user, '-G', group, '-M', '"0660"'];

/** spawn-fcgi binds and leaves four fcgiwraps behind, none of which leads the others. */
export const spawnFcgi = (): Managed =>
  fcgiwrap((sandbox, as) => {
    const words = ['-s', socket(sandbox), ...as, ...forOwner(as), '-F', '"4"'];
    return [
      'manager: command',
      `listen: ${socket(sandbox)}`,
      `command: { start: [/usr/bin/spawn-fcgi, ${words.join(', ')}, --, /usr/sbin/fcgiwrap] }`,
    ];
  });

/** The same over TCP, which has no name that could be taken away. */
export const spawnFcgiOverTcp = (): Managed =>
  fcgiwrap(() => ['manager: command'], {
    site: { transport: 'tcp' },
    slots: (sandbox, as) =>
      SLOTS.map((slot) => {
        const listen = sandbox.site().address[slot];
        const [host = '', port = ''] = listen.split(':');
        const words = ['-a', host, '-p', `"${port}"`, ...as, '-F', '"4"'].join(', ');
        const start = `[/usr/bin/spawn-fcgi, ${words}, --, /usr/sbin/fcgiwrap]`;
        return `${slot}: { listen: "${listen}", command: { start: ${start} } }`;
      }),
  });

/** One fcgiwrap that leads four, by an LSB script a slot: known by its pidfile, too. */
export const spawnFcgiByInit = (): Managed =>
  fcgiwrap((sandbox, as) => {
    for (const slot of SLOTS) {
      const words = [...as, ...forOwner(as)].join(' ').replaceAll('"', '');
      const path = sandbox.path(`init-${slot}`);
      writeFileSync(path, fcgiScript(sandbox, slot, words), { mode: 0o755 });
    }
    return [
      'manager: init',
      `listen: ${socket(sandbox)}`,
      `pidfile: ${JSON.stringify(sandbox.path('run', 'demo-{slot}.pid'))}`,
      `init: { script: ${JSON.stringify(sandbox.path('init-{slot}'))} }`,
    ];
  });

/** A perl server in the foreground: a parent and four children. */
export const prefork = (): Managed => ({
  needs: FCGI_PM ? [] : ['libfcgi-perl'],
  rig: {
    others: ['/usr/bin/perl'],
    prepare: (sandbox) => {
      writePool(sandbox, [
        'kind: fastcgi',
        'manager: command',
        `listen: ${socket(sandbox)}`,
        `command: { start: [/usr/bin/perl, ${resolve('test/support/servers/prefork.pl')}, ${socket(sandbox)}] }`,
      ]);
    },
  },
  load: SHORT,
  processes: [/prefork\.pl/],
});

/** The same, kept by a shell that waits for it and holds no socket. */
export const keptByShell = (): Managed => ({
  ...prefork(),
  rig: {
    others: ['/usr/bin/perl', '/bin/sh', '/usr/bin/sh', '/usr/bin/dash'],
    prepare: (sandbox) => {
      const script = sandbox.path('serve.sh');
      const server = resolve('test/support/servers/prefork.pl');
      writeFileSync(script, `#!/bin/sh\n/usr/bin/perl ${server} "$1"\ntrue\n`, { mode: 0o755 });
      writePool(sandbox, [
        'kind: fastcgi',
        'manager: command',
        `listen: ${socket(sandbox)}`,
        `command: { start: [${script}, ${socket(sandbox)}] }`,
      ]);
    },
  },
  processes: [/prefork\.pl/, /serve\.sh/],
});

/** One process that waits in epoll, with threads of its own. */
export const loop = (): Managed => ({
  rig: {
    others: [process.execPath],
    prepare: (sandbox) => {
      writePool(sandbox, [
        'kind: fastcgi',
        'manager: command',
        `listen: ${socket(sandbox)}`,
        `command: { start: [${process.execPath}, ${resolve('test/support/servers/loop.cjs')}, ${socket(sandbox)}] }`,
      ]);
    },
  },
  load: NO_FINISH,
  processes: [/loop\.cjs/],
});

/** Whether it cannot run here. */
export const lacks = ({ needs = [] }: Managed): boolean => needs.some((path) => !existsSync(path));

/** Puts another pool into the app's YAML. */
function writePool(sandbox: Sandbox, lines: readonly string[], slots: readonly string[] = []): void {
  const { config } = sandbox.site();
  const below = (key: string, own: readonly string[]): readonly string[] =>
    own.length === 0 ? [] : [`${key}:`, ...own.map((line) => `  ${line}`)];
  const pool = [...below('pool', lines), ...below('slots', slots), 'switch:'].join('\n');
  writeFileSync(
    config,
    readFileSync(config, 'utf8').replace(/^pool:[^]*?^switch:/m, () => pool),
  );
}

const socket = (sandbox: Sandbox): string => JSON.stringify(sandbox.path('run', 'demo-{slot}.sock'));

function fpm(): string {
  const programs = findPrograms();
  if (!programs.ok) throw new Error(JSON.stringify(programs.failure));
  return programs.value.fpm;
}

/** As a site has it: what README shows. */
const lsbScript = (sandbox: Sandbox, slot: Slot): string => `#!/bin/sh
### BEGIN INIT INFO
# Provides:          demo-fpm-${slot}
# Required-Start:    $remote_fs $network
# Required-Stop:     $remote_fs $network
# Default-Start:
# Default-Stop:      0 1 6
# Short-Description: the ${slot} pool of demo
### END INIT INFO
PATH=/usr/sbin:/usr/bin:/sbin:/bin
DAEMON=${fpm()}
CONFIG=${sandbox.site().fpmConfig[slot]}
PIDFILE=${sandbox.site().pidfile[slot]}
export SWAP_POOL_SLOT=${slot}

running() {
  [ -f "$PIDFILE" ] && kill -0 "$(cat "$PIDFILE")" 2>/dev/null
}

case "$1" in
  start)
    running && exit 0
    "$DAEMON" --daemonize --fpm-config "$CONFIG"
    ;;
  stop)
    running || exit 0
    pid=$(cat "$PIDFILE")
    kill -QUIT "$pid"
    tries=0
    while kill -0 "$pid" 2>/dev/null; do
      tries=$((tries + 1))
      [ "$tries" -gt 300 ] && exit 1
      sleep 0.1
    done
    ;;
  status)
    running && exit 0
    [ -f "$PIDFILE" ] && exit 1
    exit 3
    ;;
  restart | force-reload)
    "$0" stop && "$0" start
    ;;
  *)
    echo "usage: $0 start|stop|status|restart|force-reload" >&2
    exit 2
    ;;
esac
`;

/** A script as for any daemon that leaves a pidfile; what the server has forked is in its process group. */
const fcgiScript = (sandbox: Sandbox, slot: Slot, words: string): string => `#!/bin/sh
PIDFILE=${sandbox.site().pidfile[slot]}
export SWAP_POOL_SLOT=${slot}

case "$1" in
  start)
    /usr/bin/spawn-fcgi -s ${sandbox.path('run', `demo-${slot}.sock`)} ${words} -P "$PIDFILE" -- /usr/sbin/fcgiwrap -c 4
    ;;
  stop)
    [ -f "$PIDFILE" ] || exit 0
    pid=$(cat "$PIDFILE")
    kill -TERM "-$pid"
    while kill -0 "-$pid" 2>/dev/null; do
      sleep 0.1
    done
    rm -f "$PIDFILE"
    ;;
  *)
    exit 2
    ;;
esac
`;
