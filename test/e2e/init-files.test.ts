/** What `init` writes, where it refuses, and that it then has written nothing. No nginx and no pool runs here. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { InitReport } from '../../src/event.js';
import { Command, PROGRAM, type CommandOptions, type Run } from '../support/command.js';
import { failureMessage } from '../../src/ui/message/failure.js';
import { atTerminal } from '../support/terminal.js';

let home: string;
const at = (...names: string[]): string => join(home, ...names);

function put(path: string, content: string | Buffer, mode = 0o644): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content);
  chmodSync(at(path), mode);
}

const POOL = (): string =>
  `[www]\nuser = www-data\nlisten = ${at('run/old.sock')}\nlisten.owner = www-data\npm = static\npm.max_children = 2\n`;
const SITE = (): string =>
  `server {\n    listen 127.0.0.1:9;\n    location ~ \\.php$ {\n        fastcgi_pass unix:${at('run/old.sock')};\n    }\n}\n`;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'swap-pool-init-test-'));
  chmodSync(home, 0o755);
  for (const folder of ['apps', 'run', 'log', 'tmp', 'nginx/conf.d', 'nginx/sites-enabled'])
    mkdirSync(at(folder), { recursive: true });
  put(
    'nginx/nginx.conf',
    `user www-data;\npid ${at('run/nginx.pid')};\nerror_log ${at('log/nginx.log')};\nevents {}\nhttp {\n    access_log off;\n    include conf.d/*.conf;\n    include sites-enabled/*;\n}\n`,
  );
  put('pool.d/www.conf', POOL());
  put('nginx/sites-available/shop', SITE());
  symlinkSync('../sites-available/shop', at('nginx/sites-enabled/shop'));
});

afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

function run(args: readonly string[], options: CommandOptions = {}): Promise<Run> {
  const env = {
    SWAP_POOL_CONFIG_DIR: at('apps'),
    SWAP_POOL_ETC_DIR: at('etc'),
    SWAP_POOL_RUN_DIR: at('run'),
    SWAP_POOL_STATE_DIR: at('state'),
    TMPDIR: at('tmp'),
  };
  return new Command([...(options.program === undefined ? ['init'] : []), ...args], {
    ...options,
    env: { ...env, ...options.env },
  }).end;
}

const STOCK = (): string[] => [
  'shop',
  ...['--from', at('pool.d/www.conf'), '--site', at('nginx/sites-enabled/shop')],
  ...['--nginx-config', at('nginx/nginx.conf'), '--manager', 'direct'],
];
const init = (args: readonly string[] = ['--yes'], options?: CommandOptions) =>
  run([...STOCK(), ...args], options);

/** Every file, link and folder but the logs: path, mode and content. */
function everything(): Map<string, string> {
  const all = readdirSync(home, { recursive: true, encoding: 'utf8' }).sort();
  return new Map(
    all
      .filter((path) => !/^(log|tmp)(\/|$)/.test(path))
      .map((path) => {
        const { mode } = lstatSync(at(path));
        return [
          path,
          `${mode.toString(8)} ${statSync(at(path)).isFile() ? readFileSync(at(path), 'latin1') : ''}`,
        ];
      }),
  );
}

const reportOf = ({ result }: Run): InitReport => result['init'] as InitReport;
const filesAsked = ({ stdout }: Run): number => Number(/(\d+) files\? /.exec(stdout)?.[1]);
const commands = ({ next }: InitReport) => next.filter((step) => step.why !== 'include');
const actions = (of: Run): string[] => [...new Set(reportOf(of).files.map(({ action }) => action))].sort();
const reason = ({ result }: Run): unknown => (result['failure'] as { reason?: string } | undefined)?.reason;

describe('init', () => {
  it('writes what an app needs, and a second time finds it done', async () => {
    const first = await init();
    expect(first, first.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    expect(actions(first)).toEqual(['create', 'edit']);
    expect(readFileSync(at('nginx/sites-available/shop'), 'utf8')).toBe(
      SITE().replace(/fastcgi_pass .*;/, 'fastcgi_pass shop;\n        fastcgi_next_upstream error;'),
    );
    expect(lstatSync(at('nginx/sites-enabled/shop')).isSymbolicLink()).toBe(true);
    for (const { file, action } of reportOf(first).files.filter((each) => each.action !== 'edit')) {
      expect(readFileSync(file, 'utf8').slice(0, 120), `${action} ${file}`).toContain('managed by swap-pool');
    }
    const backup = reportOf(first).backup ?? '';
    expect(readFileSync(join(backup, at('nginx/sites-available/shop')), 'utf8')).toBe(SITE());
    const before = everything();
    const second = await init();
    expect(second).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
    expect(actions(second)).toEqual(['same']);
    expect(everything()).toEqual(before);
  });

  it('keeps what was changed since in a file of its own, and with --force replaces it and keeps a backup', async () => {
    await init();
    const mine = `${readFileSync(at('apps/shop.fpm.conf'), 'utf8')}php_admin_value[memory_limit] = 1G\n`;
    put('apps/shop.fpm.conf', mine);
    expect(actions(await init())).toEqual(['keep', 'same']);
    expect(readFileSync(at('apps/shop.fpm.conf'), 'utf8')).toBe(mine);
    const forced = await init(['--yes', '--force']);
    expect(reportOf(forced).files.filter(({ action }) => action === 'replace')).toEqual([
      { file: at('apps/shop.fpm.conf'), action: 'replace' },
    ]);
    expect(readFileSync(at('apps/shop.fpm.conf'), 'utf8')).not.toContain('1G');
    expect(readFileSync(join(reportOf(forced).backup ?? '', at('apps/shop.fpm.conf')), 'utf8')).toBe(mine);
  });

  it('shows no secret of the pool to anybody who could not read it before', async () => {
    put('pool.d/www.conf', `${POOL()}env[DB_PASSWORD] = "hunter2"\n`, 0o640);
    // who is not root cannot give a file to another group, and then keeps it to himself
    const root = process.getuid?.() === 0;
    if (root) chownSync(at('pool.d/www.conf'), 0, 33);
    const expected = root ? [0o640, 33] : [0o600, process.getgid?.()];
    const readers = (path: string): readonly number[] => [statSync(path).mode & 0o777, statSync(path).gid];
    const done = await init(['--yes']);
    expect(done, done.stderr).toMatchObject({ exit: 0 });
    expect(readers(at('apps/shop.fpm.conf'))).toEqual(expected);
    chmodSync(at('apps/shop.fpm.conf'), 0o644);
    chmodSync(at('pool.d/www.conf'), 0o600);
    put('apps/shop.fpm.conf', `${readFileSync(at('apps/shop.fpm.conf'), 'utf8')}; mine\n`);
    const forced = await init(['--yes', '--force']);
    expect(forced, forced.stderr).toMatchObject({ exit: 0 });
    const holding = [...everything()]
      .filter(([, content]) => content.includes('hunter2'))
      .map(([path]) => path);
    expect(holding.length).toBe(3);
    for (const path of holding.filter((each) => each !== 'pool.d/www.conf'))
      expect(readers(at(path))[0], path).toBe(0o600);
  });

  it('leads everybody to the folders of its own environment, and refuses a file that nobody would find', async () => {
    const done = await init(['--yes']);
    const words = ['CONFIG', 'STATE', 'RUN'].map(
      (name) => `SWAP_POOL_${name}_DIR=${at({ CONFIG: 'apps', STATE: 'state', RUN: 'run' }[name] ?? '')}`,
    );
    const env = `/usr/bin/env ${words.join(' ')} `;
    const written = reportOf(done).files.map(({ file }) => file);
    const callers = written.filter((path) => /\.(?:cjs|js) /.test(readFileSync(path, 'utf8')));
    expect(callers.length).toBeGreaterThan(2);
    for (const path of callers) expect(readFileSync(path, 'utf8'), path).toContain(env);
    for (const { why, command } of commands(reportOf(done)).filter(({ why }) =>
      ['start', 'old-pool'].includes(why),
    ))
      expect(command, why).toMatch(new RegExp(`^${words.join(' ')} swap-pool `));
    expect(readFileSync(at('etc/logrotate.d/swap-pool-shop'), 'utf8')).toContain(env);

    const before = everything();
    const elsewhere = await run(['-c', at('elsewhere/shop.yaml'), ...STOCK(), '--yes']);
    expect([elsewhere.exit, reason(elsewhere)]).toEqual([2, 'usage']);
    expect(elsewhere.stderr).toContain(`SWAP_POOL_CONFIG_DIR=${at('elsewhere')}`);
    expect(everything()).toEqual(before);
    expect(await run(['-c', at('apps/shop.yaml'), ...STOCK(), '--yes'])).toMatchObject({ exit: 0 });
  });

  it('does not leave an app to units that look elsewhere', async () => {
    const args = ['--manager', 'systemd', '--yes'];
    expect(await init(args)).toMatchObject({ exit: 0 });
    const other = await init([...args, '--force'], { env: { SWAP_POOL_STATE_DIR: at('other') } });
    expect([other.exit, reason(other)]).toEqual([2, 'usage']);
  });

  it('says that a reload has to wait for the start, and where the old pool stays named', async () => {
    put('nginx/snippet.conf', `\nfastcgi_pass unix:${at('run/old.sock')};\n`);
    put('nginx/conf.d/map.conf', `map $host $pool { default unix:${at('run/old.sock')}; }\n`);
    put(
      'nginx/sites-available/shop',
      SITE().replace('server {', 'server {\n location /a { include snippet.conf; }'),
    );
    const done = await init(['--yes'], { json: false });
    expect(done.exit, done.stderr).toBe(0);
    expect(done.stdout).toContain('Do not reload nginx before `swap-pool start shop`');
    expect(done.stderr).toContain(`${at('nginx/snippet.conf')}:2`);
    expect(done.stderr).toContain(`${at('nginx/conf.d/map.conf')}:1`);
    expect(done.stderr).not.toContain(at('nginx/sites-enabled/shop'));
  });

  it('does not even with --force exchange the slots that a deploy has exchanged', async () => {
    await init();
    const upstream = at('nginx/conf.d/shop-upstream.conf');
    const text = readFileSync(upstream, 'utf8');
    const swapped = text.replace(/-(blue|green)\.sock/g, (_, slot) =>
      slot === 'blue' ? '-green.sock' : '-blue.sock',
    );
    writeFileSync(upstream, swapped);
    await init(['--yes', '--force']);
    expect(readFileSync(upstream, 'utf8')).toBe(swapped);
  });

  it('needs no old pool and no site', async () => {
    const fresh = await run([
      'shop',
      '--nginx-config',
      at('nginx/nginx.conf'),
      '--manager',
      'direct',
      '--yes',
    ]);
    expect(fresh, fresh.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
    expect(reportOf(fresh).next).toContainEqual({
      why: 'include',
      directives: 'fastcgi_pass shop; fastcgi_next_upstream error;',
    });
    const words = ['shop', '--nginx-config', at('nginx/nginx.conf'), '--switch', 'symlink', '--print'];
    const link = await run([...words, '--force', '--manager', 'direct']);
    expect(reportOf(link).next).toContainEqual({ why: 'include', directives: 'fastcgi_pass shop;' });
    expect(readFileSync(at('nginx/sites-available/shop'), 'utf8')).toBe(SITE());
  });

  it.each([
    ['--print', ['--print'], 0, undefined],
    ['an answer that nobody can give', [], 2, 'answer-needed'],
  ])('%s writes nothing, and shows every file', async (_, args, exit, failure) => {
    const before = everything();
    const shown = await init(args);
    expect(shown).toMatchObject({ exit });
    expect(reason(shown)).toBe(failure);
    const files = shown.events.find(({ type }) => type === 'files')?.['files'] as { diff: string }[];
    expect(files.length).toBeGreaterThan(6);
    expect(files.every(({ diff }) => diff.startsWith('--- '))).toBe(true);
    expect(everything()).toEqual(before);
    expect(readdirSync(at('tmp'))).toEqual([]);
  });

  it.runIf(process.geteuid?.() === 0)(
    '--print shows the files to a user who may not write beside nginx’s, and says that nginx was not asked',
    async () => {
      chmodSync(at('tmp'), 0o1777);
      const before = everything();
      const nobody = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
      const program = [...nobody, process.execPath, PROGRAM, 'init'];
      const shown = await init(['--print'], { program });
      expect(shown, shown.stderr).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
      const told = shown.events.filter(({ type }) => type === 'warning').map((line) => line['warning']);
      expect(told).toContainEqual(
        expect.objectContaining({
          reason: 'nginx-not-asked',
          config: at('nginx/nginx.conf'),
          code: 'EACCES',
        }),
      );
      expect(shown.events.find(({ type }) => type === 'files')?.['files']).not.toEqual([]);
      // who is to write them is told what is wrong
      expect(reason(await init(['--yes'], { program }))).toBe('config-unwritable');
      expect(everything()).toEqual(before);
    },
  );

  it.each(['n', '', 'yess'])('at a terminal writes nothing after %j', async (answer) => {
    const before = everything();
    const refused = await run([], { program: atTerminal(['init', ...STOCK()], answer), json: false });
    expect(refused.stdout).toMatch(/^[^]*\+\+\+ [^]*\d files\? \[y\/N\] /);
    expect(refused.exit, refused.stdout).toBe(1);
    const question = { kind: 'init-write', files: filesAsked(refused) } as const;
    expect(refused.stdout).toContain(failureMessage({ reason: 'declined', question }, 'shop').message);
    expect(everything()).toEqual(before);
  });

  it('at a terminal shows every file before it asks, writes after a yes, and prints the very commands that are next', async () => {
    const before = everything();
    const done = await run([], { program: atTerminal(['init', ...STOCK()], 'yes'), json: false });
    expect(done.exit, done.stdout).toBe(0);
    expect(everything()).not.toEqual(before);
    const again = reportOf(await init());
    const [shown = '', told = ''] = done.stdout.split('files? [y/N] ');
    for (const { file } of again.files) expect(shown).toContain(`+++ ${file}`);
    expect(again.next.length).toBeGreaterThan(2);
    for (const { command } of commands(again)) expect(told).toContain(`  ${command}  `);
  });

  it('killed at any change, again and again, it leaves an nginx that starts, and is finished by the next one', async () => {
    let deaths = 0;
    const expected = /fastcgi_pass shop;/;
    for (let change = 1; ; change += 1) {
      const killed = await init(['--yes'], { dieAt: { when: 'act', record: 0, change } });
      if (killed.signal === null) {
        expect(killed, killed.stderr).toMatchObject({ exit: 0 });
        break;
      }
      deaths += 1;
      execFileSync('/usr/sbin/nginx', ['-t', '-q', '-c', at('nginx/nginx.conf')]);
      rmSync(at('run/nginx.pid'));
    }
    expect(deaths).toBeGreaterThan(20);
    expect(readFileSync(at('nginx/sites-available/shop'), 'utf8')).toMatch(expected);
    expect(await init()).toMatchObject({ exit: 0, result: { outcome: 'unchanged' } });
    expect([...everything().keys()].filter((path) => path.includes('.swap-pool-'))).toEqual([]);
  });
});

describe('init shows each file to its own judge, and writes nothing where one says no:', () => {
  const rejected = (judge: string, file: string) => ({ reason: 'init-rejected', judge, file: at(file) });
  const unit = (name: string) => rejected('systemd-analyze', `etc/systemd/system/${name}`);
  const cases: readonly (readonly [
    template: string,
    from: RegExp,
    to: string,
    manager: string,
    failure: () => Record<string, unknown>,
  ])[] = [
    [
      'upstream.conf',
      /^upstream/m,
      'no_such;\nupstream',
      'direct',
      () => rejected('nginx', 'nginx/conf.d/shop-upstream.conf'),
    ],
    ['fpm.conf', /^pid/m, 'no_such = 1\npid', 'direct', () => ({ reason: 'pool-config-invalid' })],
    ['app.yaml', /^pool/m, 'no_such: 1\npool', 'direct', () => ({ reason: 'config-invalid' })],
    ['boot.init', /^esac/m, 'fi', 'init', () => rejected('sh', 'etc/init.d/swap-pool-shop')],
    ['fpm.init', /^esac/m, 'fi', 'init', () => rejected('sh', 'etc/init.d/shop-fpm-blue')],
    [
      'logrotate',
      /^ *rotate .*/m,
      'rotate never',
      'direct',
      () => rejected('logrotate', 'etc/logrotate.d/swap-pool-shop'),
    ],
    ['fpm@.service', /^Type=.*/m, 'Type=none', 'systemd', () => unit('shop-fpm@.service')],
    ['swap-pool@.service', /^ExecStart=/m, 'ExecStart=bin/', 'systemd', () => unit('swap-pool@.service')],
    [
      'swap-pool-flip@.timer',
      /^OnCalendar=.*/m,
      'OnCalendar=never',
      'systemd',
      () => unit('swap-pool-flip@.timer'),
    ],
  ];

  const there: Readonly<Record<string, boolean>> = {
    systemd: existsSync('/usr/bin/systemd-analyze'),
    logrotate: existsSync('/usr/sbin/logrotate'),
  };
  it.each(cases.filter(([template, , , manager]) => (there[manager] ?? true) && (there[template] ?? true)))(
    '%s',
    async (template, from, to, manager, failure) => {
      // a package whose own template is broken
      cpSync(dirname(PROGRAM), at('package/dist'), { recursive: true });
      cpSync('templates', at('package/templates'), { recursive: true });
      const path = at('package/templates', template);
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, text.replace(from, to));
      expect(readFileSync(path, 'utf8')).not.toBe(text);
      const before = everything();
      const refused = await init(['--manager', manager, '--yes'], {
        program: [process.execPath, at('package/dist/swap-pool.cjs'), 'init'],
      });
      expect(
        refused.events.find(({ type }) => type === 'failure')?.['failure'],
        refused.stderr,
      ).toMatchObject(failure());
      expect(refused.exit).toBe(failure()['reason'] === 'config-invalid' ? 2 : 1);
      expect(everything()).toEqual(before);
    },
  );
});

describe('init takes', () => {
  const cases: readonly (readonly [what: string, prepare: () => void, args?: readonly string[]])[] = [
    [
      'a pool file with Windows line ends, a BOM and bytes that are no UTF-8',
      () => {
        const text = `\ufeff; caf\u00e9\n${POOL()}env[NAME] = caf`.replaceAll('\n', '\r\n');
        put('pool.d/www.conf', Buffer.concat([Buffer.from(text), Buffer.from([0xe9, 0x0a])]));
      },
    ],
    [
      'a pool with a prefix and a relative socket',
      () => {
        put('pool.d/www.conf', POOL().replace(/^listen = .*$/m, `prefix = ${home}\nlisten = run/old.sock`));
      },
    ],
    [
      'a pool on a port',
      () => {
        put('pool.d/www.conf', POOL().replace(/^listen = .*\nlisten.owner.*$/m, 'listen = 127.0.0.1:9001'));
        put('nginx/sites-available/shop', SITE().replace(/unix:\S+;/, 'localhost:9001;'));
      },
    ],
    [
      'one of several pools',
      () => {
        put('pool.d/www.conf', `${POOL()}[api]\nlisten = /nowhere.sock\npm = static\npm.max_children = 1\n`);
      },
      ['--section', 'www'],
    ],
    [
      'settings that are included',
      () => {
        put('more.inc', 'pm.max_requests = 500\n');
        put('pool.d/www.conf', `${POOL()}include = ${at('more.inc')}\n`);
      },
    ],
    [
      'a site that asks by the name of an upstream',
      () => {
        put('nginx/conf.d/php.conf', `upstream php {\n    server unix:${at('run')}/old.sock;\n}\n`);
        put('nginx/sites-available/shop', SITE().replace(/unix:\S+;/, 'php;'));
      },
    ],
    [
      'a socket by another spelling of its folder',
      () => {
        symlinkSync(at('run'), at('also-run'));
        put('nginx/sites-available/shop', SITE().replace('/run/old.sock', '/also-run/old.sock'));
      },
    ],
    [
      'a site with other pools and variables beside its own',
      () => {
        put(
          'nginx/sites-available/shop',
          SITE().replace(
            'server {',
            'server {\n location /a { fastcgi_pass 127.0.0.1:1; }\n location /b { set $p unix:/x; fastcgi_pass $p; }',
          ),
        );
      },
    ],
  ];

  it.each(cases.map(([what, ...rest]) => ({ what, rest })))(
    '$what',
    async ({ rest: [prepare, args = []] }) => {
      prepare();
      const done = await init(['--yes', ...args]);
      expect(done, done.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
      expect(readFileSync(at('nginx/sites-available/shop'), 'latin1')).toMatch(
        /fastcgi_pass shop;\s*fastcgi_next_upstream error;/,
      );
      expect(await init(['--yes', ...args])).toMatchObject({ result: { outcome: 'unchanged' } });
    },
  );
});

it('init warns of other pools that the site asks, and of an old pool that does not run', async () => {
  put(
    'nginx/sites-available/shop',
    SITE().replace('server {', 'server {\n location /a { fastcgi_pass 127.0.0.1:1; }'),
  );
  const done = await init();
  expect(done, done.stderr).toMatchObject({ exit: 0 });
  const warned = done.events.filter(({ type }) => type === 'warning').map((line) => line['warning']);
  expect(warned).toMatchObject([
    { reason: 'old-pool-not-running', address: `unix:${at('run/old.sock')}` },
    { reason: 'site-names-others', places: [{ line: 2 }] },
  ]);
});

describe('init refuses, and has then written nothing:', () => {
  const long = 'l'.repeat(95);
  const cases: readonly (readonly [
    what: string,
    reason: string,
    exit: number,
    prepare: () => void,
    args?: () => readonly string[],
  ])[] = [
    [
      'a file of somebody else',
      'file-exists',
      1,
      () => {
        put('apps/shop.yaml', 'pool: {}\n');
      },
    ],
    [
      'the file that cron or logrotate reads for another app',
      'file-of-another-app',
      1,
      () => {
        const [, , ...rest] = readFileSync('templates/logrotate', 'utf8').split('\n');
        put(
          'etc/logrotate.d/swap-pool-shop',
          ['# managed by swap-pool: the logs of both slots of sh.op.', '/x.log {', ...rest].join('\n'),
        );
      },
      () => ['--force', '--yes'],
    ],
    [
      'no pool file',
      'file-unreadable',
      2,
      () => {
        rmSync(at('pool.d/www.conf'));
      },
    ],
    [
      'a pool file that is none',
      'pool-file-unclear',
      2,
      () => {
        put('pool.d/www.conf', 'server { }\n');
      },
    ],
    [
      'several pools and none named',
      'pool-section-unclear',
      2,
      () => {
        put('pool.d/www.conf', `${POOL()}[b]\nlisten = /b\n`);
      },
    ],
    [
      'a pool that listens nowhere',
      'pool-file-unclear',
      2,
      () => {
        put('pool.d/www.conf', '[www]\nuser = www-data\n');
      },
    ],
    [
      'an include that opens another section',
      'pool-config-invalid',
      1,
      () => {
        put('more.inc', `[www]\nlisten = ${at('run/x.sock')}\n[zzz]\n`);
        put('pool.d/www.conf', `${POOL()}include = ${at('more.inc')}\n`);
      },
    ],
    [
      'a pool that php-fpm refuses',
      'pool-config-invalid',
      1,
      () => {
        put('pool.d/www.conf', `${POOL()}no_such_key = 1\n`);
      },
    ],
    [
      'a site that nginx refuses already',
      'nginx-config-broken',
      1,
      () => {
        put('nginx/sites-available/shop', SITE().replace('listen ', 'no_such_directive;\n    listen '));
      },
    ],
    [
      'a site that is broken',
      'nginx-syntax',
      1,
      () => {
        put('nginx/sites-available/shop', SITE().replace(/}\n$/, ''));
      },
    ],
    [
      'a site without the pool',
      'site-unclear',
      2,
      () => {
        put('nginx/sites-available/shop', SITE().replace('old.sock', 'other.sock'));
      },
    ],
    [
      'a site with a variable alone',
      'site-unclear',
      2,
      () => {
        put('nginx/sites-available/shop', SITE().replace(/unix:\S+;/, '$pool;'));
      },
    ],
    [
      'a site that nginx does not include',
      'site-unclear',
      2,
      () => {
        rmSync(at('nginx/sites-enabled/shop'));
      },
      () => ['--site', at('nginx/sites-available/shop')],
    ],
    [
      'no folder for the upstream',
      'site-unclear',
      2,
      () => {
        const conf = readFileSync(at('nginx/nginx.conf'), 'utf8');
        put(
          'nginx/nginx.conf',
          conf.replace('include conf.d/*.conf;', '').replace('sites-enabled/*', 'sites-enabled/shop'),
        );
      },
    ],
    [
      "an upstream's name that is taken",
      'site-unclear',
      2,
      () => {
        put('nginx/conf.d/a.conf', 'upstream shop {\n    server 127.0.0.1:1;\n}\n');
      },
    ],
    [
      'a socket path that is too long',
      'address-invalid',
      2,
      () => {
        mkdirSync(at(long));
      },
    ],
    [
      'a folder that is a file',
      'config-unwritable',
      1,
      () => {
        put('etc', 'a file\n');
      },
    ],
  ];

  it.each(cases.map(([what, ...rest]) => ({ what, rest })))('$what', async ({ what, rest }) => {
    const [expected, exit, prepare, args = () => []] = rest;
    prepare();
    const before = everything();
    const env = what.includes('too long') ? { SWAP_POOL_RUN_DIR: at(long) } : {};
    const refused = await init(['--yes', ...args()], { env });
    expect(reason(refused), refused.stderr).toBe(expected);
    expect(refused.exit).toBe(exit);
    expect(everything()).toEqual(before);
    expect(existsSync(at('run/nginx.pid'))).toBe(false);
  });

  it.each(['Shop', '../shop', 'a b', '.shop', '', 'x'.repeat(101)])('the name %j', async (name) => {
    const refused = await run([name, '--yes', '--nginx-config', at('nginx/nginx.conf')]);
    expect([refused.exit, reason(refused)]).toEqual([2, 'usage']);
  });
});
