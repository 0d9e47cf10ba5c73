/** Units that are no php-fpm, that never come up, that do not end, or that live where their sockets cannot be seen. */
import { readFileSync } from 'node:fs';
import { describe, expect } from 'vitest';
import { SLOTS } from '../../src/event.js';
import { SCRIPTS } from '../../src/demo/sandbox.js';
import type { Run } from '../support/command.js';
import { SHORT } from '../support/rig.js';
import { onHost, type Host } from './host.js';
import { APPLICATION, startSite, startUnits } from './site.js';

const YAML = '/etc/swap-pool/shop.yaml';
const UNIT = '/etc/systemd/system/shop-app@.service';
const SOCKET = '/run/swap-pool/shop-{slot}.sock';
/** A CGI program has answered when it has ended. */
const { finish: _, ...NO_FINISH } = SHORT;

const warned = (run: Run): unknown[] =>
  run.events.flatMap(({ warning }) => (warning as { reason?: unknown } | undefined)?.reason ?? []);

const stateOf = (host: Host, unit: string): string => host.trySh(`systemctl is-active ${unit}`).stdout.trim();

/** Another pool in the app's YAML. */
function putPool(host: Host, lines: readonly string[]): void {
  const pool = ['pool:', ...lines.map((line) => `  ${line}`), ''].join('\n');
  host.write(
    YAML,
    host.read(YAML).replace(/^pool:\n( .*\n)+/m, () => pool),
  );
}

/** Changes a slot's unit, or all. */
function dropIn(host: Host, unit: string, text: string): void {
  host.write(`/etc/systemd/system/${unit}.service.d/x.conf`, text);
  host.sh('systemctl daemon-reload');
}

/** fcgiwraps as spawn-fcgi starts them. `more`: what keeps it in the foreground, or not. */
const fcgiwrap = (slot: string, more: readonly string[]): string[] => [
  ...[
    '/usr/bin/spawn-fcgi',
    '-s',
    SOCKET.replace('{slot}', slot),
    '-U',
    'www-data',
    '-u',
    'www-data',
    ...more,
  ],
  ...['--', '/usr/sbin/fcgiwrap', '-c', '16'],
];

/** The site, served by units that are no php-fpm: blue runs. */
async function startServers(host: Host): Promise<void> {
  await startSite(host, 'symlink');
  expect(await host.swapPool(['pool', 'stop', 'blue', 'shop', '--yes'])).toMatchObject({ exit: 0 });
  const program = readFileSync('test/support/servers/cgi.pl', 'utf8');
  for (const name of SCRIPTS) host.write(`${APPLICATION}/public/${name}.php`, program, '755');
  const unit = [
    '[Service]',
    'Environment=SWAP_POOL_SLOT=%i',
    `ExecStart=${fcgiwrap('%i', ['-n']).join(' ')}`,
    'Restart=on-failure',
    '',
  ];
  host.write(UNIT, unit.join('\n'));
  host.sh('systemctl daemon-reload');
  putPool(host, [
    ...['kind: fastcgi', `listen: ${SOCKET}`],
    ...['manager: systemd', 'systemd: { unit: "shop-app@{slot}.service" }'],
  ]);
  const run = await host.swapPool(['start', 'shop']);
  expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0 });
  expect(host.answering()).toBe('blue');
}

const states = (host: Host): string[] => SLOTS.map((slot) => stateOf(host, `shop-app@${slot}`));

onHost(
  'deploys of FastCGI servers cut nothing: by units, by a command, and on the way from the one to the other',
  {},
  async (host) => {
    await startServers(host);
    await host.load(NO_FINISH);
    const deploys = async (to: string, active: readonly string[]): Promise<void> => {
      const run = await host.swapPool(['deploy', 'shop'], { properties: { KillMode: 'control-group' } });
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { to, drain: { cut: 0 } } });
      expect(warned(run)).toEqual([]);
      expect(host.answering()).toBe(to);
      expect(states(host)).toEqual(active);
    };
    await deploys('green', ['inactive', 'active']);
    await deploys('blue', ['active', 'inactive']);
    putPool(host, [
      ...['kind: fastcgi', `listen: ${SOCKET}`, 'manager: command'],
      `command: { start: ${JSON.stringify(fcgiwrap('{slot}', []))} }`,
    ]);
    await deploys('green', ['inactive', 'inactive']);
    await deploys('blue', ['inactive', 'inactive']);
  },
);

onHost('servers that do not hear TERM are killed, told so, and not started again', {}, async (host) => {
  await startServers(host);
  const deaf = `[Service]\nRestart=always\nExecStart=\nExecStart=/bin/sh -c 'trap "" TERM; exec ${fcgiwrap('%i', ['-n']).join(' ')}'\n`;
  dropIn(host, 'shop-app@green', deaf);
  host.write(YAML, `${host.read(YAML)}stop: { timeout: 1s }\n`);
  host.allow.failedUnits.push(/^shop-app@green/);
  await host.load(NO_FINISH);
  for (const [verb, told] of [
    ['force-stop', ['stop-escalates']],
    ['stop', ['stop-command-failed', 'stop-escalates', 'stop-escalates']],
  ] as const) {
    expect(await host.swapPool(['pool', 'start', 'green', 'shop'])).toMatchObject({ exit: 0 });
    const run = await host.swapPool(['pool', verb, 'green', 'shop']);
    expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    expect(warned(run)).toEqual(told);
    expect(run.events).toContainEqual(
      expect.objectContaining({ step: 'stop', note: { kind: 'signal', signal: 'SIGKILL' } }),
    );
    expect(['inactive', 'failed']).toContain(stateOf(host, 'shop-app@green'));
    expect(await host.swapPool(['pool', 'status', 'green', 'shop'])).toMatchObject({ exit: 3 });
    expect(host.sh('systemctl show -P NRestarts shop-app@green')).toBe('0');
  }
  expect(host.answering()).toBe('blue');
});

onHost(
  'a server of another network namespace, or that systemd listens for, keeps its socket',
  {},
  async (host) => {
    await startServers(host);
    dropIn(host, 'shop-app@green', '[Service]\nPrivateNetwork=yes\n');
    await host.load(NO_FINISH);
    host.sh('systemctl start shop-app@green');
    const socket = SOCKET.replace('{slot}', 'green');
    const connects = `require('net').connect('${socket}').on('connect', () => process.exit(0)).on('error', () => process.exit(1))`;
    const lives = (): boolean => host.trySh(`node -e "${connects}"`).status === 0;
    await host.until(lives);
    for (const [words, reason] of [
      [['pool', 'start', 'green', 'shop'], 'unit-disagrees'],
      [['pool', 'stop', 'green', 'shop'], 'slot-foreign'],
      [['pool', 'force-stop', 'green', 'shop'], 'slot-foreign'],
      [['deploy', 'shop'], 'unit-disagrees'],
    ] as const) {
      const run = await host.swapPool(words);
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 1, result: { failure: { reason } } });
      expect([lives(), states(host)]).toEqual([true, ['active', 'active']]);
    }
    host.sh('systemctl stop shop-app@green && rm -r /etc/systemd/system/shop-app@green.service.d');

    host.write(
      '/etc/systemd/system/shop-app@.socket',
      `[Socket]\nListenStream=${SOCKET.replace('{slot}', '%i')}\n`,
    );
    host.sh('systemctl daemon-reload && systemctl start shop-app@green.socket');
    for (const words of [
      ['pool', 'stop', 'green', 'shop'],
      ['deploy', 'shop'],
    ]) {
      expect(await host.swapPool(words)).toMatchObject({
        exit: 1,
        result: {
          failure: { reason: 'slot-foreign', message: expect.stringContaining('pid 1 ') as string },
        },
      });
    }
    expect(lives()).toBe(true);
    // what it leaves behind is nobody's
    host.sh('systemctl stop shop-app@green.socket shop-app@green.service');
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
  },
);

describe('a unit that is started again and again', () => {
  /** php-fpm's own, under load. Green serves; blue's ends at once, as often as systemd starts it. */
  async function startAll(host: Host): Promise<void> {
    await startUnits(host, 'symlink');
    await host.load();
    // from now on what nginx runs is proven
    expect(await host.swapPool(['deploy', 'shop'])).toMatchObject({ exit: 0, result: { to: 'green' } });
    const lines = ['Type=simple', 'ExecStart=', 'ExecStart=/bin/sh -c "echo no licence; exit 3"'];
    const loop = ['[Unit]', 'StartLimitIntervalSec=0', '[Service]', 'Restart=always', 'RestartSec=300ms'];
    dropIn(host, 'shop-fpm@blue', [...loop, ...lines, ''].join('\n'));
  }
  const restarts = (host: Host): number => Number(host.sh('systemctl show -P NRestarts shop-fpm@blue'));
  const loops = async (host: Host): Promise<void> => {
    host.sh('systemctl start shop-fpm@blue');
    await host.until(() => restarts(host) > 0);
  };
  const isOff = (host: Host): void => {
    expect(['inactive', 'failed']).toContain(stateOf(host, 'shop-fpm@blue'));
    expect(host.answering()).toBe('green');
  };

  onHost('is ended by stop, by force-stop and by a deploy that says why', {}, async (host) => {
    await startAll(host);
    for (const verb of ['stop', 'force-stop']) {
      await loops(host);
      const run = await host.swapPool(['pool', verb, 'blue', 'shop']);
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      isOff(host);
      expect(await host.swapPool(['pool', verb, 'blue', 'shop'])).toMatchObject({
        exit: 0,
        result: { outcome: 'unchanged' },
      });
    }
    await loops(host);
    const run = await host.swapPool(['deploy', 'shop']);
    expect(run, run.stdout + run.stderr).toMatchObject({
      exit: 1,
      result: { outcome: 'reverted', failure: { reason: 'start-timeout' } },
    });
    expect(run.stderr).toContain('no licence');
    isOff(host);
  });

  onHost('is ended by recover when the deploy that started it was killed', {}, async (host) => {
    await startAll(host);
    const deploy = host.spawn(['swap-pool', 'deploy', 'shop'], { json: true });
    await host.until(() => host.sh('systemctl show -P SubState shop-fpm@blue') === 'auto-restart');
    host.kill(deploy, 'SIGKILL');
    await deploy.end;
    const run = await host.swapPool(['recover', 'shop']);
    expect(run, run.stdout + run.stderr).toMatchObject({ exit: 1, result: { outcome: 'reverted' } });
    isOff(host);
    expect(await host.swapPool(['recover', 'shop'])).toMatchObject({ exit: 0 });
  });
});
