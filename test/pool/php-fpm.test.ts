import { existsSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseDump } from '../../src/pool/php-fpm.js';
import { fpmTree } from '../../src/pool/fpm-tree.js';
import { collide, spell } from '../../src/pool/slots.js';
import type { FpmConfig } from '../../src/pool/slots.js';
import type { Address } from '../../src/system/sockets.js';
import { FPM, Rig, fpmSlot, isRoot, mkdir, reason, value, withRig } from './rig.js';
import type { RigOptions } from './rig.js';

/** Opens a rig whose driver is expected not to come to be. */
async function refusal(options: RigOptions, prepare: (rig: Rig) => void = () => undefined): Promise<unknown> {
  const rig = await Rig.open();
  try {
    rig.write('fpm.conf', rig.fpmConfig(options));
    prepare(rig);
    const slot = { ...(rig.config.pool.blue as FpmConfig), ...options.slot };
    const created = await rig.create({ ...rig.config, pool: { blue: slot, green: slot } });
    return created.ok ? 'ok' : created.failure;
  } finally {
    await rig.close();
  }
}

describe('FPM is asked what its configuration means', () => {
  it('tells-both-slots-from-one-file', () =>
    withRig(
      {
        pool: 'pm = dynamic\npm.max_children = 7\npm.start_servers = 3\npm.min_spare_servers = 1\npm.max_spare_servers = 4\nlisten.backlog = 33\nping.path = /ping\nping.response = hi\npm.status_path = /st\npm.status_listen = DIR/st-${SWAP_POOL_SLOT}.sock',
      },
      (rig) => {
        const { blue, green } = rig.pool.slots;
        expect(blue).toMatchObject({
          slot: 'blue',
          binary: FPM,
          section: rig.name,
          address: { kind: 'unix', path: rig.path('blue.sock') },
          others: [],
          statusAddress: { kind: 'unix', path: rig.path('st-blue.sock') },
          statusPath: '/st',
          pingPath: '/ping',
          pingResponse: 'hi',
          pidfile: rig.path('blue.pid'),
          errorLog: rig.path('fpm.log'),
          controlTimeout: 60_000,
          backlog: 33,
          pm: 'dynamic',
          startWorkers: 3,
          maxChildren: 7,
          user: isRoot ? 'www-data' : null,
        });
        expect(green.address).toEqual({ kind: 'unix', path: rig.path('green.sock') });
        expect(rig.pool.address('green')).toBe(`unix:${rig.path('green.sock')}`);
        return Promise.resolve();
      },
    ));

  it.each(['error', 'warning', 'alert'])('asks-through-log_level-%s-and-leaves-the-live-log-alone', (level) =>
    withRig({ global: `log_level = ${level}\ndaemonize = no` }, (rig) => {
      expect(fpmSlot(rig, 'blue').maxChildren).toBe(2);
      expect(existsSync(rig.path('fpm.log')) ? rig.log() : '').toBe('');
      return Promise.resolve();
    }),
  );

  it('takes-a-configuration-at-a-path-with-special-characters', async () => {
    await withRig({}, async (rig) => {
      const odd = rig.path('it\'s a [b]*? "x"; ${HOME}.conf');
      renameSync(rig.path('fpm.conf'), odd);
      const slot = { ...rig.config.pool.blue, config: odd };
      const pool = value(await rig.create({ ...rig.config, pool: { blue: slot, green: slot } }));
      const life = value(await pool.start('blue'));
      expect(value(pool.observe('blue')).state).toBe('running');
      value(await pool.stop('blue', life, () => undefined));
    });
  });

  it('resolves-the-folder-of-a-socket-and-never-its-last-part', async () => {
    await withRig({ listen: 'DIR/link/${SWAP_POOL_SLOT}.sock' }, async (rig) => {
      mkdir(rig.path('real'));
      symlinkSync(rig.path('real'), rig.path('link'));
      rig.pool = value(await rig.create());
      expect(rig.pool.address('blue')).toBe(`unix:${rig.path('real/blue.sock')}`);
      await rig.start();
      expect(value(rig.pool.observe('blue'))).toMatchObject({ state: 'running', idle: 2 });
      expect(reason(rig.pool.mayStart('blue'))).toBe('slot-alive');
    });
  });

  it('gives-the-environment-of-the-app-to-the-configuration', () =>
    withRig({ slot: { env: { CHILDREN: '5' } }, pool: 'pm.max_children = ${CHILDREN}' }, (rig) => {
      expect(fpmSlot(rig, 'green').maxChildren).toBe(5);
      return Promise.resolve();
    }));

  it('knows-the-sockets-of-the-other-pools-of-a-master', () =>
    withRig(
      {
        slot: { section: 'second' },
        pool: '[second]\nuser = www-data\nlisten = DIR/second-${SWAP_POOL_SLOT}.sock\npm = ondemand\npm.max_children = 9',
      },
      (rig) => {
        const { blue } = rig.pool.slots;
        expect(blue).toMatchObject({ section: 'second', pm: 'ondemand', startWorkers: 0, maxChildren: 9 });
        expect(spell(blue.address)).toBe(`unix:${rig.path('second-blue.sock')}`);
        expect(blue.others.map(spell)).toEqual([`unix:${rig.path('blue.sock')}`]);
        return Promise.resolve();
      },
    ).catch((error: unknown) => {
      if (isRoot) throw error;
    }));
});

describe('what cannot be two slots is refused', () => {
  const S = '${SWAP_POOL_SLOT}';
  it.each([
    [
      'a configuration that FPM refuses, in its words',
      { pool: 'pm.max_children = 0' },
      { reason: 'pool-config-invalid', output: expect.stringContaining('pm.max_children') as unknown },
    ],
    [
      'one socket for both',
      { listen: 'DIR/one.sock' },
      { reason: 'slots-share', shared: [{ what: 'listen' }] },
    ],
    [
      'one port for both',
      { listen: '127.0.0.1:19911' },
      {
        reason: 'slots-share',
        shared: [
          {
            what: 'listen',
            value: '127.0.0.1:19911',
            places: [
              {
                file: expect.stringMatching(/fpm.conf$/) as unknown,
                line: expect.any(Number) as unknown,
                column: 1,
              },
            ],
          },
        ],
      },
    ],
    [
      'one pidfile for both',
      { pidfile: 'DIR/one.pid' },
      { reason: 'slots-share', shared: [{ what: 'pid', places: [{ line: 2 }] }] },
    ],
    [
      'all of it at once',
      {
        pidfile: 'DIR/one.pid',
        listen: 'DIR/one.sock',
        pool: 'pm.status_path = /s\n  pm.status_listen = "DIR/s.sock"',
      },
      {
        reason: 'slots-share',
        shared: [
          {
            what: 'pid',
            value: expect.stringMatching(/one.pid$/) as unknown,
            places: [{ line: 2, column: 1 }],
          },
          { what: 'listen', value: expect.stringMatching(/one.sock$/) as unknown, places: [{ column: 1 }] },
          {
            what: 'pm.status_listen',
            value: expect.stringMatching(/s.sock$/) as unknown,
            places: [{ column: 3 }],
          },
        ],
      },
    ],
    [
      'one status socket for both',
      { pool: 'pm.status_path = /s\npm.status_listen = DIR/s.sock' },
      { reason: 'slots-share', shared: [{ what: 'pm.status_listen' }] },
    ],
    [
      'two pools and no word which',
      {
        pool: `[two]\nlisten = DIR/two-${S}.sock\n${isRoot ? 'user = www-data\n' : ''}pm = static\npm.max_children = 1`,
      },
      { reason: 'pool-section-unclear', sections: [expect.any(String) as unknown, 'two'] },
    ],
    ['what is no pool', { slot: { section: 'global' } }, { reason: 'pool-section-unclear', asked: 'global' }],
    [
      'a pool that is not there',
      { slot: { section: 'nobody' } },
      { reason: 'pool-section-unclear', asked: 'nobody' },
    ],
    [
      'a socket whose name is too long',
      { listen: `DIR/${'x'.repeat(100)}-${S}.sock` },
      { reason: 'address-invalid' },
    ],
    [
      'a listen that the app names otherwise',
      { slot: { listen: '/elsewhere.sock' } },
      { reason: 'address-invalid', address: '/elsewhere.sock' },
    ],
  ] as const)('%s', async (_, options, failure) => {
    expect(await refusal(options as RigOptions)).toMatchObject(failure);
  });

  it('a link in the place of the socket', async () => {
    const failure = await refusal({}, (rig) => {
      symlinkSync('target.sock', rig.path('blue.sock'));
    });
    expect(failure).toMatchObject({ reason: 'listen-is-link', slot: 'blue', target: 'target.sock' });
  });

  it('a program that is not there', async () => {
    expect(await refusal({ slot: { binary: '/nowhere/php-fpm' } })).toMatchObject({
      reason: 'pool-config-invalid',
      output: 'ENOENT',
    });
  });
});

describe('parts', () => {
  it('a dump becomes sections, without what is undefined', () => {
    const at = '[21-Nov-2026 21:09:20] NOTICE:';
    const dump = parseDump(
      `${at} [global]\n${at} \tpid = undefined\n${at}  \n${at} [w w]\n${at} \tlisten = a = b\nnoise\n[x] WARNING: \tpid = 1\n`,
    );
    expect([...dump].map(([name, keys]) => [name, [...keys]])).toEqual([
      ['global', []],
      ['w w', [['listen', 'a = b']]],
    ]);
  });

  it.each([
    [{ kind: 'tcp', host: '*', port: 9000 }, '127.0.0.1:9000'],
    [{ kind: 'tcp', host: '::1', port: 9000 }, '[::1]:9000'],
    [{ kind: 'tcp', host: '10.0.0.1', port: 9000 }, '10.0.0.1:9000'],
    [{ kind: 'unix', path: '/run/x.sock' }, 'unix:/run/x.sock'],
  ] as const)('an address is spelled as a proxy names it: %j', (address, text) => {
    expect(spell(address)).toBe(text);
  });

  it('two pools collide on one port of one address or of all', () => {
    const tcp = (host: string, port = 9000): Address => ({ kind: 'tcp', host, port });
    expect(collide(tcp('127.0.0.1'), tcp('127.0.0.1'))).toBe(true);
    expect(collide(tcp('127.0.0.1'), tcp('*'))).toBe(true);
    expect(collide(tcp('127.0.0.1'), tcp('127.0.0.2'))).toBe(false);
    expect(collide(tcp('127.0.0.1'), tcp('127.0.0.1', 9001))).toBe(false);
    expect(collide(tcp('127.0.0.1'), { kind: 'unix', path: '/127.0.0.1:9000' })).toBe(false);
  });

  it('the configuration tree follows includes, variables and quotes', async () => {
    await withRig({}, (rig) => {
      mkdir(rig.path('d'));
      rig.write(
        'd/b.conf',
        '; error_log = /no\n[p]\nerror_log = /not/global\ninclude = "${DIR}/fpm.conf" ; again',
      );
      rig.write('d/a.conf', "error_log = 'x/${NAME}.log' ; why");
      rig.write('main.conf', `[global]\ninclude=${rig.folder}/d/*.conf\n[global]\n`);
      const tree = fpmTree(rig.path('main.conf'), { NAME: 'n', DIR: rig.folder });
      expect(tree.files.map((file) => file.slice(rig.folder.length + 1))).toEqual([
        'main.conf',
        'd/a.conf',
        'd/b.conf',
        'fpm.conf',
      ]);
      expect(tree.errorLog).toBe(rig.path('fpm.log'));
      expect(readFileSync(rig.path('fpm.conf'), 'utf8')).toContain('error_log');
      expect(fpmTree(rig.path('d/a.conf'), { NAME: 'n' }).errorLog).toBe('/var/x/n.log');
      // PHP's own images: the program says below which folder
      rig.write('main.conf', '[global]\nerror_log = log/n.log\ninclude=d/*.conf\n');
      const built = fpmTree(rig.path('main.conf'), {}, rig.path('sbin/php-fpm'));
      expect(built.files).toEqual(['main.conf', 'd/a.conf', 'd/b.conf'].map((name) => rig.path(name)));
      expect(fpmTree(rig.path('d/a.conf'), { NAME: 'n' }, rig.path('sbin/php-fpm')).errorLog).toBe(
        rig.path('var/x/n.log'),
      );
      expect(fpmTree(rig.path('nowhere.conf'), {})).toEqual({
        files: [rig.path('nowhere.conf')],
        errorLog: null,
        kept: [],
      });
      return Promise.resolve();
    });
  });
});
