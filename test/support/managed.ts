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
  readonly rig: Pick<RigOptions, 'prepare' | 'others'>;
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

/** spawn-fcgi binds and leaves four fcgiwraps behind, none of which leads the others. */
export const spawnFcgi = (): Managed => ({
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
      const as = process.geteuid?.() === 0 ? `-u, ${user}, -g, ${group}, -U, ${user}, -G, ${group}, ` : '';
      writePool(sandbox, [
        'kind: fastcgi',
        'manager: command',
        `listen: ${socket(sandbox)}`,
        `command: { start: [/usr/bin/spawn-fcgi, -s, ${socket(sandbox)}, ${as}-M, "0660", -F, "4", --, /usr/sbin/fcgiwrap] }`,
      ]);
    },
  },
  load: NO_FINISH,
  processes: [/^\/usr\/sbin\/fcgiwrap/, /^\/usr\/bin\/perl .*\.php/],
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
function writePool(sandbox: Sandbox, lines: readonly string[]): void {
  const { config } = sandbox.site();
  const pool = ['pool:', ...lines.map((line) => `  ${line}`), 'switch:'].join('\n');
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
