import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { SLOTS, otherSlot, type Slot } from '../../src/event.js';
import { freePort, ordinaryUser } from '../../src/demo/machine.js';
import { readText } from '../../src/system/files.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { Contender } from '../contender.js';
import { endPool, openSandbox, socketOf, startDaemon, startPool, until } from '../stage.js';

const HAPROXY = '/usr/sbin/haproxy';
/** How often it is asked who is left: no more than it takes, as it answers with what it serves by. */
const ASKED_MS = 50;

export const haproxy: Contender = {
  name: 'haproxy',
  title: 'HAProxy, fcgi-app',
  notes: [
    'Two servers, switched over the runtime socket: the new one `ready`, the old one `drain`, wait until it has no session, QUIT.',
    'No connection to a pool is kept (`no option keep-conn`), and bodies are read before a pool is bothered, as nginx does it.',
    'No nginx is in the way. FPM has `process_control_timeout = 10s`: HAProxy cannot see work after fastcgi_finish_request.',
  ],
  needs: [HAPROXY],
  open: async (bench) => {
    const programs = { ...bench.programs, haproxy: HAPROXY };
    const sandbox = await openSandbox(bench, { switch: 'symlink' }, { programs });
    const port = await freePort();
    const config = sandbox.path('haproxy.cfg');
    const pidfile = sandbox.path('run', 'haproxy.pid');
    const admin = sandbox.path('run', 'haproxy.sock');
    writeFileSync(config, text(sandbox, port, admin));
    try {
      await startPool(sandbox, 'blue');
      await startDaemon([HAPROXY, '-D', '-f', config, '-p', pidfile], sandbox.path('log', 'haproxy.log'));
      await until('HAProxy’s socket', async () => (await ask(admin, 'show info')).includes('Uptime'));
    } catch (error) {
      await sandbox.close();
      throw error;
    }
    let active: Slot = 'blue';
    return {
      sandbox,
      port,
      active: () => active,
      deploy: async (mark) => {
        const to = otherSlot(active);
        mark('start');
        await startPool(sandbox, to);
        mark('switch');
        await ask(admin, `set server php/${to} state ready; set server php/${active} state drain`);
        mark('drain');
        await until('no session', async () => (await sessions(admin, active)) === 0, ASKED_MS);
        mark('stop');
        await endPool(sandbox, active);
        await ask(admin, `set server php/${active} state maint`);
        active = to;
      },
      account: () => null,
      pids: () => {
        const read = readText(pidfile);
        return read.ok ? read.value.split('\n').filter(Boolean).map(Number) : [];
      },
    };
  },
};

function text(sandbox: Sandbox, port: number, admin: string): string {
  const { user, group } = ordinaryUser();
  return `global
${process.geteuid?.() === 0 ? `  user ${user}\n  group ${group}` : ''}
  stats socket ${admin} level admin
  maxconn 8192
  # room for a body of the mix
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-request 30s
  timeout http-keep-alive 75s
  option http-buffer-request
fcgi-app php
  docroot ${sandbox.path('www')}
  no option keep-conn
frontend site
  bind 127.0.0.1:${port}
  default_backend php
backend php
  use-fcgi-app php
${SLOTS.map(
  (slot) =>
    `  server ${slot} unix@${socketOf(sandbox, slot)} proto fcgi${slot === 'blue' ? '' : ' disabled'}\n`,
).join('')}`;
}

/** Sessions that a server has or that wait for it. */
async function sessions(admin: string, slot: Slot): Promise<number> {
  const table = (await ask(admin, 'show stat')).split('\n').map((line) => line.split(','));
  const head = table[0]?.map((name) => name.replace(/^# /, '')) ?? [];
  const line = table.find((fields) => fields[0] === 'php' && fields[1] === slot) ?? [];
  return Number(line[head.indexOf('scur')]) + Number(line[head.indexOf('qcur')]);
}

/** One line to the runtime socket, and its whole answer; empty when nobody is there. */
const ask = (admin: string, line: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    const socket = connect({ path: admin });
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1');
    });
    socket.on('close', () => {
      resolve(answer);
    });
    socket.on('error', () => undefined);
    socket.end(`${line}\n`);
  });
