import { writeFileSync } from 'node:fs';
import { otherSlot, type Slot } from '../../src/event.js';
import { freePort } from '../../src/demo/machine.js';
import { now } from '../../src/system/clock.js';
import { readText } from '../../src/system/files.js';
import type { Contender } from '../contender.js';
import { endPool, openSandbox, socketOf, startDaemon, startPool, until } from '../stage.js';

const CADDY = '/usr/bin/caddy';
/** How often it is asked who is left: no more than it takes, as it answers with what it serves by. */
const ASKED_MS = 50;

export const caddy: Contender = {
  name: 'caddy',
  title: 'Caddy, php_fastcgi',
  notes: [
    'Two upstreams with `lb_policy first`, whose order is changed over the admin API; then wait until Caddy counts no request on the old one, and QUIT.',
    'With `lb_try_duration` and `fail_duration`, so that a request which comes to the old pool after its end goes to the new one: with a single upstream, uploads were cut.',
    'Bodies are read before a pool is bothered (`buffer_requests`), as nginx does it, and the grace period has no end.',
    'A change over the API is a new server in the same process, and the old one closes its idle connections: those hits are counted apart, without asking who had read the request, which favours it.',
    'No nginx is in the way. FPM has `process_control_timeout = 10s`: Caddy cannot see work after fastcgi_finish_request.',
  ],
  needs: [CADDY],
  open: async (bench) => {
    const programs = { ...bench.programs, caddy: CADDY };
    const sandbox = await openSandbox(bench, { switch: 'symlink' }, { programs });
    const port = await freePort();
    const api = `http://127.0.0.1:${await freePort()}`;
    const config = sandbox.path('caddy.json');
    const pidfile = sandbox.path('run', 'caddy.pid');
    const dial = (slot: Slot): string => `unix/${socketOf(sandbox, slot)}`;
    const handler = {
      '@id': 'pool',
      handler: 'reverse_proxy',
      buffer_requests: true,
      transport: { protocol: 'fastcgi', root: sandbox.path('www'), split_path: ['.php'] },
      upstreams: [{ dial: dial('blue') }, { dial: dial('green') }],
      load_balancing: { selection_policy: { policy: 'first' }, try_duration: '5s', try_interval: '20ms' },
      health_checks: { passive: { fail_duration: '2s', max_fails: 1 } },
    };
    const listen = [`127.0.0.1:${port}`];
    const server = { listen, automatic_https: { disable: true }, routes: [{ handle: [handler] }] };
    writeFileSync(
      config,
      JSON.stringify({
        admin: { listen: api.slice('http://'.length), config: { persist: false } },
        logging: {
          logs: {
            default: {
              level: 'ERROR',
              writer: { output: 'file', filename: sandbox.path('log', 'caddy.log') },
            },
          },
        },
        apps: { http: { servers: { site: server } } },
      }),
    );
    try {
      await startPool(sandbox, 'blue');
      const home = sandbox.path('temp');
      const env = { HOME: home, XDG_DATA_HOME: home, XDG_CONFIG_HOME: home };
      const argv = [CADDY, 'start', '--config', config, '--pidfile', pidfile];
      await startDaemon(argv, sandbox.path('log', 'caddy.start.log'), env);
    } catch (error) {
      await sandbox.close();
      throw error;
    }
    const reloads: number[] = [];
    let active: Slot = 'blue';
    return {
      sandbox,
      port,
      active: () => active,
      deploy: async (mark) => {
        const from = active;
        const to = otherSlot(from);
        mark('start');
        await startPool(sandbox, to);
        mark('switch');
        const began = now();
        await patch(`${api}/id/pool/upstreams`, [{ dial: dial(to) }, { dial: dial(from) }]);
        mark('drain');
        await until('no request', async () => (await requests(api, dial(from))) === 0, ASKED_MS);
        // it closes connections as they become idle, to the end of the old server
        for (let at = began; at < now(); at += 1000) reloads.push(at);
        mark('stop');
        await endPool(sandbox, from);
        active = to;
      },
      account: () => ({ reloads, read: new Set() }),
      pids: () => {
        const read = readText(pidfile);
        return read.ok ? [Number(read.value)] : [];
      },
    };
  },
};

async function patch(url: string, value: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(url, { method: 'PATCH', body: JSON.stringify(value), headers });
  if (!answer.ok) throw new Error(`Caddy: ${answer.status} ${await answer.text()}`);
}

/** Requests that Caddy has on an upstream; it forgets one when nobody uses it any more. */
async function requests(api: string, address: string): Promise<number> {
  const answer = await fetch(`${api}/reverse_proxy/upstreams`);
  const upstreams = (await answer.json()) as { readonly address: string; readonly num_requests: number }[];
  return upstreams.find((one) => one.address === address)?.num_requests ?? 0;
}
