import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from '../../src/nginx/parser.js';
import type { Directive } from '../../src/nginx/parser.js';
import { idleClientPlaces, keepConn, mainSettings } from '../../src/nginx/settings.js';
import { bytesOf } from '../../src/nginx/spelling.js';
import { enclosing, paths, placeOf, readTree, walk } from '../../src/nginx/tree.js';
import { memory } from './disk.js';
import { anyBytes, configText, realistic } from './generate.js';

const main = '/etc/nginx/nginx.conf';
const names = (directives: readonly Directive[]): unknown[] =>
  directives.map((each) => (each.block === null ? each.name : [each.name, names(each.block)]));

describe('one file', () => {
  it('blocks-hold-what-stands-between-their-braces', () => {
    const { directives } = parse(bytesOf('a; b c { d; e { } } f "g";'));
    expect(names(directives)).toEqual(['a', ['b', ['d', ['e', []]]], 'f']);
    expect(directives[1]).toMatchObject({ offset: 3, length: 16, body: 'directives' });
  });

  it.each([
    ['}', 1, 1, 'unexpected "}"'],
    ['a {', 1, 4, 'unexpected end of file, expecting "}"'],
    ['a {\n}\n}', 3, 1, 'unexpected "}"'],
    ['map a b { c d {', 1, 15, 'unexpected "{"'],
    ['a { "b"c }', 1, 8, 'unexpected "c"'],
  ])('%j is a problem with line and column', (text, line, column, what) => {
    expect(parse(bytesOf(text)).problem).toEqual({ kind: 'problem', line, column, what });
  });

  it('a-hundred-thousand-open-blocks-are-no-stack-overflow', () => {
    expect(parse(bytesOf('a{'.repeat(100_000))).problem).not.toBeNull();
    const deep = readTree(main, memory({ [main]: 'a{'.repeat(20_000) + '}'.repeat(20_000) }));
    expect([...walk(deep)].length).toBe(20_000);
  });
});

describe('the tree', () => {
  const walked = (files: Record<string, string>): string[] =>
    [...walk(readTree(main, memory(files)))].map((visit) =>
      [...enclosing(visit), visit.directive].map((each) => each.name).join('>'),
    );

  it('what-is-included-belongs-to-the-block-that-includes-it', () => {
    expect(
      walked({
        [main]: 'http { include sites/*; }',
        '/etc/nginx/sites/b': 'server { include /etc/nginx/php; }',
        '/etc/nginx/sites/a': 'upstream x { include php; } y;',
        '/etc/nginx/sites/.c': 'z;',
        '/etc/nginx/php': 'p;',
      }),
    ).toEqual([
      'http',
      'http>include',
      'http>upstream',
      'http>upstream>include',
      'http>upstream>p',
      'http>y',
      'http>server',
      'http>server>include',
      'http>server>p',
    ]);
  });

  it('entries-of-data-blocks-are-no-directives-but-their-files-are-followed', () => {
    const files = {
      [main]:
        'http { map $a $b { include m/*; fastcgi_pass x; } geo $c { include g; } split_clients $d $e { include n; } types { include t; } }',
      '/etc/nginx/m/1': 'fastcgi_pass unix:/run/blue.sock;',
      '/etc/nginx/g': 'fastcgi_pass y;',
      '/etc/nginx/t': 'fastcgi_pass z;',
    };
    expect(walked(files)).toEqual(['http', 'http>map', 'http>geo', 'http>split_clients', 'http>types']);
    const tree = readTree(main, memory(files));
    expect(tree.problems).toEqual([]);
    expect(paths(tree)).toEqual([main, '/etc/nginx/m/1', '/etc/nginx/g', '/etc/nginx/t']);
  });

  it.each([
    ['a file that is missing', 'a;\n include none;', '"/etc/nginx/none" cannot be read: ENOENT'],
    ['a variable is not expanded', '\n include $x;', '"/etc/nginx/$x" cannot be read: ENOENT'],
    ['a glob in geo is a name', '\n geo $a { include n*; }', '"/etc/nginx/n*" cannot be read: ENOENT'],
    ['a file that includes itself', '\n include nginx.conf;', '"/etc/nginx/nginx.conf" includes itself'],
    ['two names', '\n include a b;', 'invalid number of arguments'],
    ['no name', '\n include;', 'invalid number of arguments'],
    ['a block', '\n include a { }', 'not terminated by ";"'],
    ['a name that is no UTF-8', '\n include \u00ff;', 'the name is no UTF-8'],
  ])('%s', (_name, text, what) => {
    expect(readTree(main, memory({ [main]: text })).problems).toMatchObject([
      { reason: 'nginx-include', place: { file: main, line: 2 }, what },
    ]);
  });

  it('a-main-file-that-is-missing-is-a-problem', () => {
    expect(readTree(main, memory({})).problems).toMatchObject([
      { reason: 'nginx-include', place: { file: main } },
    ]);
    expect([...walk(readTree(main, memory({})))]).toEqual([]);
  });

  it('a-problem-in-an-included-file-names-that-file', () => {
    const tree = readTree(main, memory({ [main]: 'include a;', '/etc/nginx/a': '\n }' }));
    expect(tree.problems).toEqual([
      { reason: 'nginx-syntax', place: { file: '/etc/nginx/a', line: 2, column: 2 }, what: 'unexpected "}"' },
    ]);
  });

  it('files-that-double-each-other-end', () => {
    const files: Record<string, string> = { [main]: 'include f0;' };
    for (let at = 0; at < 60; at++) {
      files[`/etc/nginx/f${String(at)}`] = `include f${String(at + 1)}; include f${String(at + 1)};`;
    }
    files['/etc/nginx/f60'] = 'a;';
    expect(readTree(main, memory(files)).problems[0]).toMatchObject({ reason: 'nginx-include' });
  });

  it('files-that-include-each-other-without-end-end', () => {
    const files: Record<string, string> = { [main]: 'include f0;' };
    for (let at = 0; at < 2000; at++) files[`/etc/nginx/f${String(at)}`] = `include f${String(at + 1)};`;
    expect(readTree(main, memory(files)).problems).toMatchObject([{ what: 'included too deep' }]);
  });

  it('never-throws-and-every-span-holds-its-directive', () => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, configText.map(bytesOf)), (bytes) => {
        const source = memory({ '/etc/nginx/mime.types': '' });
        const read: typeof source.read = (path) =>
          path === main ? { ok: true, bytes, real: main } : source.read(path);
        const tree = readTree(main, { ...source, read });
        for (const visit of walk(tree)) {
          const { offset, length, word } = visit.directive;
          expect(offset).toBe(word.offset);
          expect(';}').toContain(String.fromCharCode(bytes[offset + length - 1] ?? 0));
          expect(placeOf(visit)).toEqual({ file: main, line: word.line, column: word.column });
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('settings', () => {
  const files = {
    [main]: `${realistic}\nerror_log a; include more; daemon "off";`,
    '/etc/nginx/more': 'error_log b\u00c3\u00a4 warn;',
    '/etc/nginx/mime.types': '',
  };
  const tree = readTree(main, memory(files));

  it('are-those-of-the-main-level', () => {
    const values = (name: Parameters<typeof mainSettings>[1]): unknown =>
      mainSettings(tree, name).map((setting) => setting.values);
    expect(values('pid')).toEqual([['/run/nginx.pid']]);
    expect(values('error_log')).toEqual([['a'], ['b\u00e4', 'warn']]);
    expect(values('worker_processes')).toEqual([['auto']]);
    expect(values('user')).toEqual([['www-data']]);
    expect(values('daemon')).toEqual([['off']]);
    expect(values('master_process')).toEqual([]);
    expect(mainSettings(tree, 'pid')[0]?.place).toEqual({ file: main, line: 4, column: 1 });
  });

  it('keep-alive-connections-to-pools-are-seen-anywhere', () => {
    const kept = (text: string): boolean => keepConn(readTree(main, memory({ [main]: text })));
    expect(kept('http { server { location / { fastcgi_keep_conn On; } } }')).toBe(true);
    expect(kept('http { fastcgi_keep_conn off; map $a $b { fastcgi_keep_conn on; } }')).toBe(false);
  });

  it.each([
    ['http { server { listen 80; } }', [1]],
    ['http { keepalive_timeout 0;\n server { } }', []],
    ['http { keepalive_timeout 65s;\n server { } }', [2]],
    ['http { keepalive_min_timeout 1s;\n server { } }', []],
    ['http { server { keepalive_min_timeout 1s; }\n server { } }', [2]],
    ['http { server { location / { keepalive_timeout 0; } } }', [1]],
    ['http { upstream a { server unix:/a; } }\nstream { server { } }', []],
  ])('whose idle clients a reload would close: %s', (text, lines) => {
    expect(idleClientPlaces(readTree(main, memory({ [main]: text }))).map(({ line }) => line)).toEqual(lines);
  });
});
