import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adopt, perSlot, poolsOf } from '../../src/init/adopt.js';
import { lastOf, parseFpmFile, setting } from '../../src/init/fpm-file.js';

const parse = (text: string) => parseFpmFile(Buffer.from(text));
const entriesOf = (text: string, section = 'www') =>
  parse(text).sections.find(({ name }) => name === section)?.entries ?? [];
const adopted = (text: string, workers: number | null = null, master: string | null = null) =>
  adopt(parse(text), master === null ? null : parse(master), { workers, proxyUser: 'www-data' });

describe('parseFpmFile', () => {
  it.each<[string, string, string | null, string]>([
    ['a = b', 'a', null, 'b'],
    ['  a=b ; why', 'a', null, 'b'],
    ['a = "b ; c" ; why', 'a', null, 'b ; c'],
    ["a = 'b ; c'", 'a', null, 'b ; c'],
    ['a = "say \\"b\\""', 'a', null, 'say "b"'],
    ['php_admin_value[memory_limit] = 1G', 'php_admin_value', 'memory_limit', '1G'],
    ['env[PATH] = $PATH', 'env', 'PATH', '$PATH'],
    ['pm.status_path=/status', 'pm.status_path', null, '/status'],
    ['a =', 'a', null, ''],
    ['a = ${B}/c', 'a', null, '${B}/c'],
  ])('reads %s', (line, key, index, value) => {
    expect(entriesOf(`[www]\n${line}\n`)).toMatchObject([{ line: 2, key, index, value, text: line.trim() }]);
  });

  it('passes over comments, blank lines, a BOM and Windows line ends', () => {
    const text = '\ufeff; a comment\r\n\r\n[www]\r\n;user = root\r\nuser = www-data\r\n';
    expect(entriesOf(text)).toMatchObject([{ line: 5, key: 'user', value: 'www-data' }]);
  });

  it('puts what stands before the first section into [global], and sections of one name together', () => {
    const { sections } = parse('pid = a\n[x]\nuser = u\n[Global]\npid = b\n[x]\ngroup = g\n');
    expect(sections.map(({ name, entries }) => [name, entries.map(({ text }) => text)])).toEqual([
      ['global', ['pid = a', 'pid = b']],
      ['x', ['user = u', 'group = g']],
    ]);
  });

  it('names the lines that are nothing', () => {
    expect(parse('[www]\nuser = u\nhello\n# no comment\n').unclear).toEqual([3, 4]);
  });

  it('keeps every byte of a line, UTF-8 or not', () => {
    const bytes = Buffer.from([...Buffer.from('[www]\na = '), 0xff, 0xe9, 0x0a]);
    expect(parseFpmFile(bytes).sections[1]?.entries[0]?.value).toBe('\u00ff\u00e9');
  });

  it('reads back what setting() writes', () => {
    const value = fc.string({ unit: fc.constantFrom(...'ab/.-_$ ;=?()"{}') });
    fc.assert(
      fc.property(value, (text) => {
        expect(entriesOf(`[www]\n${setting('a', text)}\n`)[0]?.value).toBe(text);
      }),
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseFpmFile(bytes)));
  });
});

describe('adopt', () => {
  const POOL = `[www]
user = site
php_admin_value[memory_limit] = 512M ; as much as it takes
listen = /run/php/$pool.sock
listen.owner = nginx
pm = dynamic
pm.max_children = 20
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
pm.status_path = /fpm
slowlog = /var/log/$pool.slow.log
env[A] = $A
`;

  it("keeps the pool's own settings in their order, and takes out what the slots must not share", () => {
    expect(adopted(POOL)).toMatchObject({
      section: 'www',
      listen: '/run/php/www.sock',
      statusPath: '/fpm',
      pingPath: null,
      listenMore: [],
      settings: [
        'user = site',
        'php_admin_value[memory_limit] = 512M ; as much as it takes',
        'listen.owner = nginx',
        'pm = dynamic',
        'pm.max_children = 20',
        'pm.start_servers = 2',
        'pm.min_spare_servers = 1',
        'pm.max_spare_servers = 3',
        'slowlog = /var/log/$pool-${SWAP_POOL_SLOT}.slow.log',
        'env[A] = $A',
      ],
      logs: ['/var/log/www-${SWAP_POOL_SLOT}.slow.log'],
    });
  });

  it.each([
    [null, 2, 3],
    [1, 2, 3],
    [12, 12, 12],
    [50, 20, 20],
  ])('starts as many workers as the old pool has: %s', (workers, start, most) => {
    expect(adopted(POOL, workers)?.settings).toEqual(
      expect.arrayContaining([`pm.start_servers = ${start}`, `pm.max_spare_servers = ${most}`]),
    );
  });

  it('names the number where the old pool left it to FPM', () => {
    const pool =
      '[w]\nlisten = /a\npm = dynamic\npm.max_children = 9\npm.min_spare_servers = 1\npm.max_spare_servers = 5';
    expect(adopted(pool, 7)?.settings).toEqual(
      expect.arrayContaining(['pm.start_servers = 7', 'pm.max_spare_servers = 7']),
    );
  });

  it('leaves static and ondemand pools as they are', () => {
    for (const pm of ['static', 'ondemand']) {
      const settings = [`pm = ${pm}`, 'pm.max_children = 9'];
      expect(adopted(['[w]', 'listen = /a', ...settings].join('\n'), 5)?.settings).toEqual(settings);
    }
  });

  it('takes of its master what is not about that master alone', () => {
    const master =
      '[global]\npid = /p\nerror_log = /e\nrlimit_files = 9\nprocess_control_timeout = 3s\ninclude = /x\n';
    expect(adopted(POOL, null, master)).toMatchObject({ global: ['rlimit_files = 9'], controlTimeout: '3s' });
    expect(adopted(POOL, null, 'process_control_timeout = 0')?.controlTimeout).toBeNull();
  });

  it('lets the proxy open the socket of a pool that listened on a port', () => {
    expect(adopted('[w]\nlisten = 127.0.0.1:9000')?.listenMore).toEqual(['listen.owner = www-data']);
    expect(adopted('[w]\nlisten = 9000\nlisten.mode = 0666')?.listenMore).toEqual([]);
  });

  it('wants to be told which of several pools', () => {
    const two = parse('[a]\nlisten = /a\n[b]\nlisten = /b\n');
    expect(poolsOf(two)).toEqual(['a', 'b']);
    expect(adopt(two, null, { workers: null, proxyUser: 'x' })).toBeNull();
    expect(adopt(two, null, { section: 'b', workers: null, proxyUser: 'x' })?.listen).toBe('/b');
    expect(adopt(two, null, { section: 'c', workers: null, proxyUser: 'x' })).toBeNull();
    expect(adopt(two, null, { section: 'global', workers: null, proxyUser: 'x' })).toBeNull();
  });

  it('the last of two settings of one key counts', () => {
    expect(lastOf(entriesOf('[www]\nlisten = /a\nlisten = /b\n'), 'listen')).toBe('/b');
  });

  it.each([
    ['/var/log/www.log', '/var/log/www-${SWAP_POOL_SLOT}.log'],
    ['/var/log/www', '/var/log/www-${SWAP_POOL_SLOT}'],
    ['log/$pool.slow.log', 'log/$pool-${SWAP_POOL_SLOT}.slow.log'],
    ['/a/${SWAP_POOL_SLOT}.log', '/a/${SWAP_POOL_SLOT}.log'],
    ['/a.d/b', '/a.d/b-${SWAP_POOL_SLOT}'],
  ])('%s becomes a log of its own for each slot', (path, own) => {
    expect(perSlot(path)).toBe(own);
  });
});
