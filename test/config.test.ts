import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../src/config.js';
import type { Config } from '../src/config/resolve.js';
import { growth } from './support/growth.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swap-pool-config-'));
  writeFileSync(join(dir, 'f.conf'), '');
  writeFileSync(join(dir, 'run'), '', { mode: 0o755 });
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const load = (yaml: string | Uint8Array) => {
  const file = join(dir, 'shop.yaml');
  writeFileSync(file, yaml);
  return loadConfig(file, { root: false });
};
const good = (yaml: string): Config => {
  const result = load(yaml);
  if (!result.ok) throw new Error(JSON.stringify(result.failure, null, 1));
  return result.value;
};
/** Every problem as `line:column what -> fix`. */
const bad = (yaml: string | Uint8Array): string[] => {
  const result = load(yaml);
  if (result.ok || result.failure.reason !== 'config-invalid') throw new Error(JSON.stringify(result));
  return result.failure.problems.map(({ place, what, fix }) => {
    expect(place.file).toBe(join(dir, 'shop.yaml'));
    const at = `${String(place.line)}:${String(place.column ?? '-')}`;
    return `${at} ${what} -> ${fix}`.replaceAll(dir, 'DIR');
  });
};

describe('what a good file comes to', () => {
  test('the-least-that-works-has-every-default', () => {
    const pool = { manager: 'direct', kind: 'php-fpm', config: join(dir, 'f.conf'), env: {} };
    expect(good('pool: {config: f.conf}')).toEqual({
      app: 'shop',
      file: join(dir, 'shop.yaml'),
      pool: { blue: pool, green: pool },
      switch: { by: 'rewrite' },
      nginx: { only: [], reloadTimeout: 30_000 },
      probe: { params: {}, successes: 3, interval: 250, timeout: 10_000 },
      drain: { timeout: 300_000, onTimeout: 'keep' },
      stop: { timeout: 10_000 },
      watch: [],
    });
  });

  test('every-key-arrives', () => {
    mkdirSync(join(dir, 'blue'));
    writeFileSync(join(dir, 'blue/fpm.conf'), '');
    const config = good(`
pool:
  manager: direct
  kind: php-fpm
  config: "{slot}/fpm.conf"
  section: shop
  binary: ./run
  env: { APP_ENV: prod, WHERE: "/srv/{slot}" }
  listen: run/{slot}.sock
  pidfile: /run/{slot}.pid
  status: /status-{slot}
slots:
  green: { config: f.conf, env: { WHERE: here }, listen: "127.0.0.1:9001", section: "{slot}2" }
switch: { by: symlink, link: /run/swap-pool/shop.sock }
nginx:
  binary: run
  config: f.conf
  pidfile: n.pid
  arguments: [-g, "daemon on;"]
  only: [upstream   shop, sites/shop.conf]
  reload-timeout: 1m
probe:
  script: /srv/shop/public/health.php
  uri: /health.php
  params: { HTTP_HOST: shop.example }
  expect: { status: 204, body: ok }
  successes: 1
  interval: 1ms
  timeout: 1m30s
verify: { url: "http://127.0.0.1/health.php?x=1", host: shop.example, expect: { status: 301, body: ok } }
drain: { timeout: 0s, on-timeout: stop }
stop: { timeout: 2s }
watch: [current/.version, "/srv/*.php"]
`);
    expect(config).toEqual({
      app: 'shop',
      file: join(dir, 'shop.yaml'),
      pool: {
        blue: {
          manager: 'direct',
          kind: 'php-fpm',
          config: join(dir, 'blue/fpm.conf'),
          section: 'shop',
          binary: join(dir, 'run'),
          env: { APP_ENV: 'prod', WHERE: '/srv/blue' },
          listen: join(dir, 'run/blue.sock'),
          pidfile: '/run/blue.pid',
          status: '/status-blue',
        },
        green: {
          manager: 'direct',
          kind: 'php-fpm',
          config: join(dir, 'f.conf'),
          section: 'green2',
          binary: join(dir, 'run'),
          env: { APP_ENV: 'prod', WHERE: 'here' },
          listen: '127.0.0.1:9001',
          pidfile: '/run/green.pid',
          status: '/status-green',
        },
      },
      switch: { by: 'symlink', link: '/run/swap-pool/shop.sock' },
      nginx: {
        binary: join(dir, 'run'),
        config: join(dir, 'f.conf'),
        pidfile: join(dir, 'n.pid'),
        arguments: ['-g', 'daemon on;'],
        only: ['upstream shop', join(dir, 'sites/shop.conf')],
        reloadTimeout: 60_000,
      },
      probe: {
        script: '/srv/shop/public/health.php',
        scriptAt: { file: join(dir, 'shop.yaml'), line: 23, column: 11 },
        uri: '/health.php',
        params: { HTTP_HOST: 'shop.example' },
        expect: { status: 204, body: 'ok' },
        successes: 1,
        interval: 1,
        timeout: 90_000,
      },
      verify: {
        url: 'http://127.0.0.1/health.php?x=1',
        host: 'shop.example',
        expect: { status: 301, body: 'ok' },
      },
      drain: { timeout: 0, onTimeout: 'stop' },
      stop: { timeout: 2000 },
      watch: [join(dir, 'current/.version'), '/srv/*.php'],
    });
  });

  test('a-number-in-the-environment-is-the-text-it-was-written-as', () => {
    const config = good(
      `
pool:
  config: f.conf
  env: { A: 1.10, B: 0777, C: 0x1F, D: true, E: "1.10", F: 1e3, G: "" }
  listen: 9000
slots: { green: { listen: 9001 } }
`,
    );
    expect(config.pool.blue.env).toEqual({
      A: '1.10',
      B: '0777',
      C: '0x1F',
      D: 'true',
      E: '1.10',
      F: '1e3',
      G: '',
    });
    expect(config.pool.blue.listen).toBe('9000');
  });

  test('a-manager-and-a-kind-arrive-with-the-slot-in-every-string', () => {
    writeFileSync(join(dir, 'init-green'), '', { mode: 0o755 });
    writeFileSync(join(dir, 'init-blue'), '', { mode: 0o755 });
    expect(
      good('pool: {config: f.conf, manager: systemd, systemd: {unit: "s@{slot}.service"}}').pool.green,
    ).toEqual({
      manager: 'systemd',
      unit: 's@green.service',
      kind: 'php-fpm',
      config: join(dir, 'f.conf'),
      env: {},
    });
    expect(
      good('pool: {config: f.conf, manager: init, init: {script: "init-{slot}"}}').pool.green,
    ).toMatchObject({
      manager: 'init',
      script: join(dir, 'init-green'),
    });
    expect(
      good(
        'pool: {kind: fastcgi, listen: "/run/{slot}.sock", manager: command, command: {start: [./run, -s, "/run/{slot}.sock"]}}',
      ).pool.green,
    ).toEqual({
      manager: 'command',
      start: [join(dir, 'run'), '-s', '/run/green.sock'],
      kind: 'fastcgi',
      listen: '/run/green.sock',
      env: {},
    });
  });

  test('two-slots-may-each-name-their-config-and-the-pool-none', () => {
    const config = good('slots: {blue: {config: f.conf}, green: {config: run}}');
    expect(config.pool.green).toMatchObject({ config: join(dir, 'run') });
  });

  test.each(['rewrite', '{by: rewrite}'])('switch-may-be-written-as-%s', (form) => {
    expect(good(`pool: {config: f.conf}\nswitch: ${form}`).switch).toEqual({ by: 'rewrite' });
  });

  test('anchors-and-aliases-work', () => {
    const config = good(
      'pool: {config: &c f.conf}\nslots: {blue: &s {config: *c, env: {N: 1}}, green: *s}\n',
    );
    expect(config.pool.green).toMatchObject({ config: join(dir, 'f.conf'), env: { N: '1' } });
  });

  test('a-byte-order-mark-and-crlf-change-nothing', () => {
    expect(good('\ufeffpool:\r\n  config: f.conf\r\n').pool.blue).toMatchObject({
      config: join(dir, 'f.conf'),
    });
  });
});

const POOL_KEYS =
  'manager, kind, config, section, binary, env, listen, pidfile, status, systemd, init, command';
const APP_KEYS = 'pool, slots, switch, nginx, probe, verify, drain, stop, watch';
const DURATION = 'write a duration such as 500ms, 30s, 5m or 1h30m';
const LEAST = 'the least that works is  pool: { config: FILE }';
const MISSING = `pool.config is missing -> name FPM's own file; ${LEAST}`;
const PATH = "write a file's path; in quotes when it begins with {slot}";
const SWITCH = 'write rewrite, or { by: symlink, link: FILE }';
const P = 'pool: {config: f.conf}\n';

describe('every problem has its place and what to do', () => {
  const table: [name: string, yaml: string, problems: string[]][] = [
    // the whole file
    ['empty', '', [`1:1 the file is empty -> ${LEAST}`]],
    ['only a comment', '# nothing\n', [`1:1 the file is empty -> ${LEAST}`]],
    ['a list', '\n- pool', [`2:1 the file is a list -> write a map with any of ${APP_KEYS}`]],
    ['a word', 'pool', [`1:1 the file is "pool" -> write a map with any of ${APP_KEYS}`]],
    ['NUL bytes', '\0\0', [`1:1 the file is "\\u0000\\u0000" -> write a map with any of ${APP_KEYS}`]],

    // YAML
    [
      'a tab',
      'pool:\n\tconfig: f.conf',
      ['2:1 is not YAML: Tabs are not allowed as indentation -> indent with spaces'],
    ],
    [
      'a key twice',
      `${P}stop: {timeout: 1}\npool: {config: f.conf, bad: 1}`,
      [
        '2:17 stop.timeout is the number 1 -> give it a unit: 1s, 1ms, …',
        '3:1 the key pool stands twice in its map -> keep one of the two',
        `3:24 unknown key pool.bad -> the keys here are ${POOL_KEYS}`,
      ],
    ],
    [
      'two documents',
      `${P}---\n${P}`,
      ['2:1 a second document begins -> one file is one app: make a file of its own for what follows'],
    ],
    [
      'an open bracket',
      'pool: {config: f.conf',
      [
        '1:22 is not YAML: Flow map in block collection must be sufficiently indented and end with a } -> correct the YAML; a value with special characters goes in quotes',
      ],
    ],
    [
      'two syntax errors',
      'pool: @x\nstop: `x`\n',
      [
        '1:7 is not YAML: Plain value cannot start with reserved character @ -> correct the YAML; a value with special characters goes in quotes',
        '2:7 is not YAML: Plain value cannot start with reserved character ` -> correct the YAML; a value with special characters goes in quotes',
      ],
    ],
    [
      'a tag',
      'pool: {config: !secret f.conf}',
      ['1:16 is not YAML: Unresolved tag: !secret -> remove the tag, or put the value in quotes'],
    ],
    [
      'an alias to nothing',
      'pool: {config: *here}',
      [
        '1:16 cannot be resolved: Unresolved alias (the anchor must be set before the alias): here -> write the value itself',
      ],
    ],
    [
      'a map as a key',
      '? [pool]\n: 1',
      [
        '1:3 is not YAML: With stringKeys, all keys must be strings -> correct the YAML; a value with special characters goes in quotes',
      ],
    ],

    // unknown and missing keys
    [
      'unknown keys at every level',
      `${P}pol: 1\nnginx: {reload_timeout: 1s}\nslots:\n  red: {}\n  blue: {x: 1}`,
      [
        `2:1 unknown key pol -> the keys here are ${APP_KEYS}`,
        '3:9 unknown key nginx.reload_timeout -> the keys here are binary, config, pidfile, arguments, only, reload-timeout',
        '5:3 unknown key slots.red -> the keys here are blue, green',
        `6:10 unknown key slots.blue.x -> the keys here are ${POOL_KEYS}`,
      ],
    ],
    ['no pool', 'stop: {timeout: 1s}', [`1:1 ${MISSING}`]],
    ['no config', '# x\nstop: {timeout: 1s}\npool:\n  env: {}', [`3:1 ${MISSING}`]],
    ['one slot without config', 'slots: {blue: {config: f.conf}}', [`1:1 ${MISSING}`]],
    [
      'a map merged as YAML 1.1 did',
      `x: &x {config: f.conf}\npool: {<<: *x}`,
      [
        `1:1 unknown key x -> the keys here are ${APP_KEYS}`,
        `2:1 ${MISSING}`,
        `2:8 unknown key pool.<< -> the keys here are ${POOL_KEYS}`,
      ],
    ],
    ['__proto__', `${P}__proto__: {a: 1}`, [`2:1 unknown key __proto__ -> the keys here are ${APP_KEYS}`]],
    ['constructor', `${P}constructor: 1`, [`2:1 unknown key constructor -> the keys here are ${APP_KEYS}`]],

    // wrong types
    [
      'wrong sections',
      'pool: 3\nslots: [a]\nnginx: x\nprobe:\nverify: true\nstop: 1.5\n',
      [
        `1:7 pool is the number 3 -> write a map with any of ${POOL_KEYS}`,
        '2:8 slots is a list -> write a map with any of blue, green',
        '3:8 nginx is "x" -> write a map with any of binary, config, pidfile, arguments, only, reload-timeout',
        '4:1 probe has no value -> write a map with any of script, uri, params, expect, successes, interval, timeout',
        '5:9 verify is true -> write a map with any of url, host, expect',
        '6:7 stop is the number 1.5 -> write a map with any of timeout',
      ],
    ],
    [
      'wrong leaves',
      `pool:
  config: 5
  section: []
  env: [A]
  listen: unix:/run/x.sock
  pidfile: ""
  status: status
  binary:
`,
      [
        `2:11 pool.config is the number 5 -> ${PATH}`,
        "3:12 pool.section is a list -> write the name of one of FPM's [pools]",
        '4:8 pool.env is a list -> write a map of names and strings',
        '5:11 pool.listen is "unix:/run/x.sock" -> write it as FPM does: /path, HOST:PORT or PORT',
        `6:12 pool.pidfile is "" -> ${PATH}`,
        `7:11 pool.status is "status" -> write the path of FPM's status page, such as /status`,
        `8:3 pool.binary has no value -> ${PATH}`,
      ],
    ],
    [
      '{slot} without quotes',
      'pool:\n  config: {slot}',
      ['2:11 pool.config is a map -> put {slot} in quotes: "{slot}"'],
    ],
    ['a line break in a path', 'pool: {config: "f\\nx"}', [`1:16 pool.config is "f\\nx" -> ${PATH}`]],
    ['NUL in a path', 'pool: {config: "f\\0"}', [`1:16 pool.config is "f\\u0000" -> ${PATH}`]],
    [
      'an alias to a wrong value',
      'pool: &p {config: f.conf}\nstop: {timeout: *p}',
      [`2:17 stop.timeout is a map -> ${DURATION}`],
    ],
    [
      'a wrong value inside an alias',
      `x: &x {timeout: 5}\n${P}stop: *x`,
      [
        `1:1 unknown key x -> the keys here are ${APP_KEYS}`,
        '1:17 stop.timeout is the number 5 -> give it a unit: 5s, 5ms, …',
      ],
    ],

    // who starts it, and what it is
    [
      'an unknown manager',
      'pool: {config: f.conf, manager: upstart}',
      ['1:33 pool.manager is "upstart" -> write direct, systemd, init or command'],
    ],
    [
      'an unknown kind',
      'pool: {config: f.conf, kind: uwsgi}',
      ['1:30 pool.kind is "uwsgi" -> write php-fpm or fastcgi'],
    ],
    [
      'a unit that is not named',
      'pool: {config: f.conf, manager: systemd}',
      ['1:33 pool.systemd is missing -> name the unit: systemd: { unit: "shop-fpm@{slot}.service" }'],
    ],
    [
      'a script that is not named',
      'pool: {config: f.conf, manager: init}',
      ['1:33 pool.init is missing -> name the script: init: { script: "/etc/init.d/shop-fpm-{slot}" }'],
    ],
    [
      'a command that is not said',
      'pool: {config: f.conf, manager: command}',
      ['1:33 pool.command is missing -> say what starts it: command: { start: [/path/program, …] }'],
    ],
    [
      'another manager’s key',
      'pool: {config: f.conf, init: {script: run}}',
      ['1:24 pool.init does nothing with manager direct -> remove it, or write manager: init'],
    ],
    [
      'one unit for both',
      'pool: {config: f.conf, manager: systemd, systemd: {unit: php8.2-fpm.service}}',
      [
        '1:58 pool.systemd.unit is one unit for both slots -> one master has one life: name a unit for each slot, such as "shop-fpm@{slot}.service"',
      ],
    ],
    [
      'a unit that is an option',
      'pool: {config: f.conf, manager: systemd, systemd: {unit: "--x.service"}}',
      [
        '1:58 pool.systemd.unit is "--x.service" -> write the name of a service, such as shop-fpm@{slot}.service',
        '1:58 pool.systemd.unit is one unit for both slots -> one master has one life: name a unit for each slot, such as "shop-fpm@{slot}.service"',
      ],
    ],
    [
      'an environment that a unit has itself',
      'pool: {config: f.conf, manager: systemd, env: {A: 1}, systemd: {unit: "s@{slot}.service"}}',
      ['1:42 pool.env does nothing with manager systemd -> write Environment= into the unit'],
    ],
    [
      'a server started by nobody',
      'pool: {kind: fastcgi, listen: "/run/{slot}.sock"}',
      [
        '1:14 nothing says who starts this pool -> write manager: command, init or systemd; only php-fpm is started directly',
      ],
    ],
    [
      'a server with FPM’s keys and no address',
      'pool: {config: f.conf, kind: fastcgi, manager: init, init: {script: run}}',
      [
        '1:8 pool.config does nothing with kind fastcgi -> remove it: only php-fpm has one',
        '1:30 pool.listen is missing -> say where it listens, {slot} in it: /path, HOST:PORT or PORT',
      ],
    ],
    [
      'slots of two managers',
      'pool: {config: f.conf}\nslots: {green: {manager: init, init: {script: run}}}',
      [
        "2:26 slots.green.manager is not the other slot's -> both slots have one manager: write it under pool",
      ],
    ],
    [
      'programs that are not there',
      'pool: {kind: fastcgi, listen: "/{slot}", manager: command, command: {start: [/bin/sh, /none.sh]}}',
      [
        '1:87 pool.command.start[1]: there is no /none.sh -> create it, or correct the path; a relative one counts from the folder of this file',
      ],
    ],
    [
      'a program without a path',
      'pool: {kind: fastcgi, listen: "/{slot}", manager: command, command: {start: [fcgiwrap]}}',
      [
        '1:77 pool.command.start is a list -> the first word is the path of the program; PATH is not searched',
        '1:78 pool.command.start[0]: there is no DIR/fcgiwrap -> create it, or correct the path; a relative one counts from the folder of this file',
      ],
    ],
    [
      'a script that cannot be run',
      'pool: {config: f.conf, manager: init, init: {script: f.conf}}',
      ['1:54 pool.init.script: DIR/f.conf is not executable -> name the program itself'],
    ],

    // the environment
    [
      'environment',
      `pool:
  config: f.conf
  env:
    SWAP_POOL_SLOT: blue
    1A: x
    A-B: x
    "A=B": x
    "": x
    N: "a\\0b"
    E:
    L: [a]
    M: {a: b}
`,
      [
        '4:5 pool.env.SWAP_POOL_SLOT cannot be set -> remove it: swap-pool sets it',
        '5:5 pool.env.1A cannot be set -> a name is made of letters, digits and _, with no digit in front',
        '6:5 pool.env.A-B cannot be set -> a name is made of letters, digits and _, with no digit in front',
        '7:5 pool.env.A=B cannot be set -> a name is made of letters, digits and _, with no digit in front',
        '8:5 pool.env. cannot be set -> a name is made of letters, digits and _, with no digit in front',
        '9:8 pool.env.N is "a\\u0000b" -> write a string without NUL; "" is the empty one',
        '10:5 pool.env.E has no value -> write a string without NUL; "" is the empty one',
        '11:8 pool.env.L is a list -> write a string without NUL; "" is the empty one',
        '12:8 pool.env.M is a map -> write a string without NUL; "" is the empty one',
      ],
    ],
    [
      'environment of one slot',
      `${P}slots:\n  blue:\n    env: { SWAP_POOL_SLOT: x }`,
      ['4:12 slots.blue.env.SWAP_POOL_SLOT cannot be set -> remove it: swap-pool sets it'],
    ],

    // switch
    [
      'bare symlink',
      `${P}switch: symlink`,
      ['2:9 switch is "symlink" -> name the link: { by: symlink, link: FILE }'],
    ],
    ['unknown switch', `${P}switch: dns`, [`2:9 switch is "dns" -> ${SWITCH}`]],
    ['a number as switch', `${P}switch: 3`, [`2:9 switch is the number 3 -> ${SWITCH}`]],
    ['no value for switch', `${P}switch:`, [`2:1 switch has no value -> ${SWITCH}`]],
    ['an unknown by', `${P}switch: {by: dns}`, [`2:14 switch.by is "dns" -> ${SWITCH}`]],
    ['no by', `${P}switch: {link: /x}`, [`2:1 switch.by is missing -> ${SWITCH}`]],
    ['no link', `${P}switch:\n  by: symlink`, [`2:1 switch.link is missing -> ${PATH}`]],
    ['a wrong link', `${P}switch: {by: symlink, link: 3}`, [`2:29 switch.link is the number 3 -> ${PATH}`]],
    [
      'a link for rewrite',
      `${P}switch: {by: rewrite, link: /x}`,
      ['2:23 unknown key switch.link -> the keys here are by'],
    ],
    [
      'an unknown key of a link',
      `${P}switch: {by: symlink, link: /x, to: y}`,
      ['2:33 unknown key switch.to -> the keys here are by, link'],
    ],

    // nginx
    [
      'nginx lists',
      `${P}nginx:\n  arguments: -g\n  only:\n    - upstream\n    - upstream a b\n    - 3\n    - ""`,
      [
        '3:14 nginx.arguments is "-g" -> write a list; every argument is a string; put numbers in quotes',
        '5:7 nginx.only[0] is "upstream" -> write FILE or upstream NAME',
        '6:7 nginx.only[1] is "upstream a b" -> write FILE or upstream NAME',
        '7:7 nginx.only[2] is the number 3 -> write FILE or upstream NAME',
        '8:7 nginx.only[3] is "" -> write FILE or upstream NAME',
      ],
    ],
    [
      'an argument that is a number',
      `${P}nginx: {arguments: [-g, 1]}`,
      ['2:25 nginx.arguments[1] is the number 1 -> every argument is a string; put numbers in quotes'],
    ],

    // durations
    [
      'durations',
      `${P}probe: {interval: 250, timeout: 0s}\ndrain: {timeout: 5 m, on-timeout: cut}\nstop: {timeout: 600h}\nnginx: {reload-timeout: "30"}`,
      [
        '2:19 probe.interval is the number 250 -> give it a unit: 250s, 250ms, …',
        '2:33 probe.timeout is "0s" -> write a duration above 0, such as 250ms or 10s',
        `3:18 drain.timeout is "5 m" -> ${DURATION}`,
        '3:35 drain.on-timeout is "cut" -> write keep or stop',
        '4:17 stop.timeout is "600h" -> write at most 24 days, that is 576h',
        '5:25 nginx.reload-timeout is "30" -> give it a unit: 30s, 30ms, …',
      ],
    ],

    // probe and verify
    [
      'probe',
      `${P}probe:
  script: f.conf
  uri: health.php
  params: {HTTP HOST: x, A: null}
  successes: 0
  expect: {status: 99, body: ""}
`,
      [
        '4:8 probe.uri is "health.php" -> write a path such as /health.php',
        '5:12 probe.params.HTTP HOST cannot be set -> a name is made of letters, digits and _, with no digit in front',
        '5:29 probe.params.A has no value -> write a string without NUL; "" is the empty one',
        '6:14 probe.successes is the number 0 -> write a whole number from 1 to 1000',
        '7:20 probe.expect.status is the number 99 -> write a whole number from 100 to 599',
        '7:30 probe.expect.body is "" -> write a part of the body that must be there',
      ],
    ],
    [
      'what would be asked of nobody',
      `${P}probe: {uri: /health.php, expect: {body: ok}}`,
      [
        "2:9 probe.uri does nothing without probe.script -> name the application's own script in probe.script: it is what is asked",
        "2:27 probe.expect does nothing without probe.script -> name the application's own script in probe.script: it is what is asked",
      ],
    ],
    [
      'verify without url',
      `${P}verify: {host: shop.example}`,
      ['2:1 verify.url is missing -> write a URL such as http://127.0.0.1/health.php'],
    ],
    ...[
      'ftp://x/',
      'http://',
      'http:///x',
      'http:shop',
      '//x/',
      'http://a b/',
      'x',
      '',
      'http://[::1/',
      'file:///etc/passwd',
    ].map((url): [string, string, string[]] => [
      `the url ${url}`,
      `${P}verify: {url: ${JSON.stringify(url)}}`,
      [`2:15 verify.url is ${JSON.stringify(url)} -> write a URL such as http://127.0.0.1/health.php`],
    ]),

    // files
    [
      'files that are missing, with what else is wrong',
      `pool:
  config: no-{slot}.conf
  binary: f.conf
nginx: {binary: none, config: ., arguments: [-c, /nowhere/nginx.conf]}
slots: {green: {config: f.conf/x}}
watch: x
`,
      [
        '2:11 pool.config: there is no DIR/no-blue.conf -> create it, or correct the path; a relative one counts from the folder of this file',
        '3:11 pool.binary: DIR/f.conf is not executable -> name the program itself',
        '4:17 nginx.binary: there is no DIR/none -> create it, or correct the path; a relative one counts from the folder of this file',
        '4:31 nginx.config: DIR is no file -> name a file',
        '4:50 nginx.arguments[1]: there is no /nowhere/nginx.conf -> create it, or correct the path; a relative one counts from the folder of this file',
        '5:25 slots.green.config: there is no DIR/f.conf/x -> create it, or correct the path; a relative one counts from the folder of this file',
        '6:8 watch is "x" -> write a list; every entry is a path, * and ? allowed',
      ],
    ],
    [
      'a file missing for both slots is told once, two are told twice',
      'pool: {config: none, binary: "x{slot}"}',
      [
        '1:16 pool.config: there is no DIR/none -> create it, or correct the path; a relative one counts from the folder of this file',
        '1:30 pool.binary: there is no DIR/xblue -> create it, or correct the path; a relative one counts from the folder of this file',
        '1:30 pool.binary: there is no DIR/xgreen -> create it, or correct the path; a relative one counts from the folder of this file',
      ],
    ],

    // columns count bytes
    [
      'a column after wide characters',
      'pool: {config: f.conf, section: "żółw", nope: 1}',
      [`1:44 unknown key pool.nope -> the keys here are ${POOL_KEYS}`],
    ],
  ];
  test.each(table)('%s', (_name, yaml, problems) => {
    expect(bad(yaml)).toEqual(problems);
  });
});

/** What `of` gives for 0, 1, … */
const list = (length: number, of: (index: number) => string): string[] =>
  Array.from({ length }, (_, index) => of(index));

describe('hostile bytes', () => {
  test('bytes-that-are-not-utf-8-are-placed', () => {
    const bytes = Buffer.concat([
      Buffer.from('pool:\n  config: "é'),
      Buffer.from([0xff]),
      Buffer.from('"\n'),
    ]);
    expect(bad(bytes)).toEqual(['2:14 is not UTF-8 -> save the file as UTF-8']);
    expect(bad(Buffer.from('\ufeffpool: {}', 'utf16le'))).toEqual([
      '1:1 is not UTF-8 -> save the file as UTF-8',
    ]);
  });

  test('a-huge-file-is-refused-unread', () => {
    const file = join(dir, 'shop.yaml');
    execFileSync('truncate', ['-s', '100M', file]);
    const read = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
    const before = read();
    const result = loadConfig(file, { root: false });
    expect(result).toMatchObject({ failure: { problems: [{ what: 'is larger than 64 KiB' }] } });
    expect(read() - before).toBeLessThan(1_000_000);
  });

  test('an-alias-bomb-does-not-go-off', () => {
    const nine = (name: string): string => Array.from({ length: 9 }, () => name).join(', ');
    const levels = Array.from(
      { length: 8 },
      (_, n) => `a${String(n + 1)}: &a${String(n + 1)} [${nine(`*a${String(n)}`)}]`,
    );
    const [problem, ...others] = bad([`a0: &a0 [${nine('x')}]`, ...levels].join('\n'));
    expect(problem).toMatch(/^2:10 cannot be resolved: Excessive alias count/);
    expect(others).toEqual([]);
  });

  test('nesting-without-end-is-placed-where-it-becomes-too-deep', () => {
    expect(bad(`pool:\n  config: ${'['.repeat(60_000)}`)).toEqual([
      '2:109 is nested too deeply -> an app needs three levels',
    ]);
  });

  // files twice as large: no more than quadratic (4), far from what explodes
  test.each<[string, (size: number) => string]>([
    ['brackets', (n) => '['.repeat(10 * n)],
    ['maps', (n) => '{a: '.repeat(2.5 * n)],
    ['closed brackets', (n) => `a: ${'['.repeat(5 * n)}${']'.repeat(5 * n)}`],
    ['dashes', (n) => '- '.repeat(5 * n)],
    ['anchors', (n) => '&a '.repeat(3 * n)],
    ['keys', (n) => list(n, (key) => `k${String(key)}: 1`).join('\n')],
    ['aliases', (n) => `a: &a x\nb: [${'*a,'.repeat(2.5 * n)}]`],
    ['aliases of a list', (n) => `a: &a [x]\nb: [${'*a,'.repeat(2.5 * n)}]`],
    ['a chain', (n) => list(n / 2, (key) => `? &a${String(key + 1)} [*a${String(key)}]`).join('\n')],
    [
      'a long chain',
      (n) => `a:\n- &a0 x\n${list(n / 2.1, (key) => `- &a${String(key + 1)} [*a${String(key)}]`).join('\n')}`,
    ],
  ])('%s-end-in-problems-and-cost-no-more-than-their-square', (_name, yaml) => {
    const load = (size: number): void => {
      expect(bad(yaml(size)).length).toBeGreaterThan(0);
    };
    expect(growth(load, 1500, 3000)).toBeLessThan(10);
  });

  test('a-node-that-contains-itself-ends-in-problems', () => {
    expect(bad('pool: &p {config: *p, env: *p}\nslots: &s {blue: *s, green: *p}').length).toBeGreaterThan(0);
  });

  test('a-fifo-is-not-waited-for', () => {
    const file = join(dir, 'shop.yaml');
    execFileSync('mkfifo', [file]);
    expect(loadConfig(file, { root: false })).toMatchObject({
      failure: { problems: [{ what: 'is no file' }] },
    });
  });

  test('a-missing-file-says-so', () => {
    expect(loadConfig(join(dir, 'none.yaml'), { root: false })).toEqual({
      ok: false,
      failure: {
        reason: 'config-invalid',
        problems: [
          {
            place: { file: join(dir, 'none.yaml'), line: 1 },
            what: 'there is no such file',
            fix: 'create it: `swap-pool init` writes one',
          },
        ],
      },
    });
  });
});

describe.runIf(process.getuid?.() === 0)('as root', () => {
  const loadAsRoot = (yaml: string) => {
    const file = join(dir, 'shop.yaml');
    writeFileSync(file, yaml);
    return loadConfig(file, { root: true });
  };
  const unsafe = (path: string) => ({ ok: false, failure: { reason: 'unsafe-path', path: join(dir, path) } });

  test('what-root-alone-can-write-is-believed-under-tmp-too', () => {
    expect(loadAsRoot('pool: {config: f.conf, binary: run}')).toMatchObject({ ok: true });
  });

  test('a-config-that-others-can-write-is-not-even-parsed', () => {
    writeFileSync(join(dir, 'shop.yaml'), '');
    chmodSync(join(dir, 'shop.yaml'), 0o666);
    expect(loadAsRoot('}')).toMatchObject(unsafe('shop.yaml'));
    expect(loadConfig(join(dir, 'shop.yaml'), { root: false })).toMatchObject({
      failure: { reason: 'config-invalid' },
    });
  });

  test('a-folder-that-others-can-write-is-refused', () => {
    chmodSync(dir, 0o777);
    expect(loadAsRoot('pool: {config: f.conf}')).toMatchObject(unsafe('.'));
  });

  test.each([
    ['pool: {config: bad/f}', 'bad/f'],
    ['pool: {config: f.conf, binary: bad/f}', 'bad/f'],
    ['pool: {config: f.conf}\nslots: {green: {config: "bad/{slot}"}}', 'bad/green'],
    ['pool: {config: f.conf}\nnginx: {binary: bad/f}', 'bad/f'],
    ['pool: {config: f.conf}\nnginx: {config: bad/f}', 'bad/f'],
    ['pool: {config: f.conf}\nnginx: {config: link}', 'bad/f'],
    ['pool: {config: f.conf}\nnginx: {arguments: [-g, x, -c, DIR/bad/f]}', 'bad/f'],
  ])('what-the-config-names-is-looked-at-too: %s', (yaml, path) => {
    mkdirSync(join(dir, 'bad'));
    for (const name of ['f', 'green']) {
      writeFileSync(join(dir, 'bad', name), '');
      chmodSync(join(dir, 'bad', name), 0o777);
    }
    symlinkSync('bad/f', join(dir, 'link'));
    expect(loadAsRoot(yaml.replace('DIR', dir))).toMatchObject(unsafe(path));
  });
});

describe('laws', () => {
  const outcome = (text: string | Uint8Array): void => {
    const result = load(text);
    if (result.ok) return;
    if (result.failure.reason !== 'config-invalid') throw new Error(result.failure.reason);
    expect(result.failure.problems.length).toBeGreaterThan(0);
    for (const { place, what, fix } of result.failure.problems) {
      expect(place.line).toBeGreaterThan(0);
      expect(place.column ?? 1).toBeGreaterThan(0);
      expect(what !== '' && fix !== '').toBe(true);
    }
  };

  test('any-bytes-end-in-a-config-or-in-problems', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), outcome), { numRuns: 300 });
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 100 }), outcome), { numRuns: 300 });
  });

  test('any-text-of-yaml-pieces-ends-in-a-config-or-in-problems', () => {
    const piece = fc.constantFrom(
      ...[
        'pool',
        'config',
        'slots',
        'blue',
        'env',
        'switch',
        'by',
        'symlink',
        'nginx',
        'only',
        '__proto__',
        'toString',
      ],
      ...[
        ': ',
        ':',
        '\n',
        '\n  ',
        '\n- ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        ', ',
        '&a ',
        '*a',
        '? ',
        '!t ',
        '!!str ',
        '<<',
      ],
      ...[
        '"',
        "'",
        '|\n',
        '>-\n ',
        '#',
        '---\n',
        '...\n',
        '%YAML 1.1\n',
        '\t',
        '\r\n',
        '1',
        '1.5',
        'null',
        '~',
        'f.conf',
        '{slot}',
      ],
    );
    const text = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''));
    fc.assert(fc.property(text, outcome), { numRuns: 2000 });
  });

  test('any-value-under-any-key-ends-in-a-config-or-in-problems', () => {
    const keys = [
      ...`${APP_KEYS}, ${POOL_KEYS}, by, link, url, expect, timeout, blue, green, script, params`.split(', '),
    ];
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom<unknown>(
          'f.conf',
          '',
          '5s',
          '/x',
          'rewrite',
          'symlink',
          'http://x/',
          3,
          -1,
          null,
          true,
          1e21,
        ),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...keys), tie('value'), { maxKeys: 4 }),
      ),
    }));
    const file = fc.dictionary(fc.constantFrom(...APP_KEYS.split(', ')), value, { maxKeys: 5 });
    fc.assert(
      fc.property(file, (value) => {
        outcome(JSON.stringify(value, null, 1));
      }),
      { numRuns: 1000 },
    );
  });
});
