import { describe, expect, it } from 'vitest';
import { backupPairs } from '../../src/nginx/backup.js';
import { activeSlot, findLink, findReferences, hostsNamed } from '../../src/nginx/references.js';
import type { SlotAddresses } from '../../src/nginx/references.js';
import { anyBytes, configText } from './generate.js';
import { found, links, main, tcp, tree, unix } from './slots.js';
import fc from 'fast-check';
import { bytesOf } from '../../src/nginx/spelling.js';
import { readTree } from '../../src/nginx/tree.js';
import { memory } from './disk.js';

const shown = (
  text: string,
  addresses: SlotAddresses = unix,
  only: readonly string[] = [],
): readonly string[] =>
  found(tree(text), addresses, only).references.map(
    ({ slot, role, place, token }) => `${slot} ${role} ${String(place.line)} ${token.value}`,
  );
const active = (text: string, addresses: SlotAddresses = unix, only: readonly string[] = []) =>
  activeSlot(found(tree(text), addresses, only), addresses);

describe('places that name a slot are found', () => {
  it.each([
    ['fastcgi_pass unix:/run/php/blue.sock;', ['blue primary 1 unix:/run/php/blue.sock']],
    ['fastcgi_pass unix:/var/run/php/green.sock;', ['green primary 1 unix:/var/run/php/green.sock']],
    ["fastcgi_pass 'unix:/srv/link/blue.sock';", ['blue primary 1 unix:/srv/link/blue.sock']],
    ['"fastcgi_pass" UNIX:/run//php/./blue.sock;', ['blue primary 1 UNIX:/run//php/./blue.sock']],
    [
      'upstream a { server unix:/run/php/blue.sock;\nserver unix:/run/php/green.sock backup;\nserver unix:/run/php/green.sock weight=2 down backup; }',
      [
        'blue primary 1 unix:/run/php/blue.sock',
        'green backup 2 unix:/run/php/green.sock',
        'green down 3 unix:/run/php/green.sock',
      ],
    ],
    ['stream { upstream a { server unix:/run/php/blue.sock; } }', ['blue primary 1 unix:/run/php/blue.sock']],
    [
      'location / { if ($a) { fastcgi_pass unix:/run/php/blue.sock; } limit_except GET { fastcgi_pass unix:/run/php/green.sock; } }',
      ['blue primary 1 unix:/run/php/blue.sock', 'green primary 1 unix:/run/php/green.sock'],
    ],
  ])('%j', (text, expected) => {
    expect(shown(text)).toEqual(expected);
  });

  it.each([
    ['another pool', 'fastcgi_pass unix:/run/php/red.sock;'],
    ['another folder', 'fastcgi_pass unix:/run/other/blue.sock;'],
    ['a longer name', 'fastcgi_pass unix:/run/php/xblue.sock;'],
    ['a comment', '# fastcgi_pass unix:/run/php/blue.sock;'],
    ['a string', 'add_header a "fastcgi_pass unix:/run/php/blue.sock;";'],
    ['another directive', 'proxy_pass http://unix:/run/php/blue.sock;'],
    ['a parameter', 'fastcgi_param A unix:/run/php/blue.sock;'],
    ['an entry of a map', 'map $a $b { fastcgi_pass unix:/run/php/blue.sock; }'],
    ['a server that is no upstream', 'server { server unix:/run/php/blue.sock; }'],
    ['a Lua block', 'content_by_lua_block { fastcgi_pass unix:/run/php/blue.sock; }'],
    ['bytes that are no UTF-8', 'fastcgi_pass unix:/run/php/\u00ff/blue.sock;'],
    ['no argument', 'fastcgi_pass; upstream a { server; }'],
  ])('%s is none', (_name, text) => {
    expect(shown(text)).toEqual([]);
  });

  it('tcp-is-compared-as-the-sockets-that-nginx-connects-to', () => {
    expect(shown('fastcgi_pass localhost:9000;', tcp)).toEqual(['blue primary 1 localhost:9000']);
    expect(shown('fastcgi_pass 0.0.0.0:9001;', tcp)).toEqual(['green primary 1 0.0.0.0:9001']);
    expect(shown('fastcgi_pass [::1]:9000;', tcp)).toEqual([]);
    expect(shown('fastcgi_pass 192.0.2.7:9000;', tcp)).toEqual([]);
    const any: SlotAddresses = {
      blue: { kind: 'tcp', host: '', port: 80 },
      green: { kind: 'tcp', host: '0.0.0.0', port: 81 },
    };
    expect(
      shown('fastcgi_pass me:80; upstream a { server 127.0.0.1; server [::1]:80 down; }', any),
    ).toHaveLength(3);
    // Without a port, fastcgi_pass names an upstream.
    expect(shown('fastcgi_pass localhost;', any)).toEqual([]);
    expect(
      hostsNamed(
        tree('fastcgi_pass me:9000; upstream b { server me:9001; server x:1; server 10.0.0.1:9000; }'),
        Object.values(tcp),
      ),
    ).toEqual(['me']);
  });

  it('non-ASCII-names-are-UTF-8', () => {
    const umlaut: SlotAddresses = { ...unix, blue: { kind: 'unix', path: '/run/php/\u00e4.sock' } };
    expect(shown('fastcgi_pass unix:/run/php/\u00c3\u00a4.sock;', umlaut)).toHaveLength(1);
  });

  it('only-says-where-to-look', () => {
    const text =
      'upstream Shop { server unix:/run/php/blue.sock; } upstream b { server unix:/run/php/green.sock; }';
    expect(shown(text, unix, ['upstream shop'])).toEqual(['blue primary 1 unix:/run/php/blue.sock']);
    expect(shown(text, unix, ['upstream b', 'upstream shop'])).toHaveLength(2);
    expect(shown(`${text} fastcgi_pass $x;`, unix, [main])).toHaveLength(2);
    const unknown = (only: string) =>
      findReferences(tree(text), { addresses: unix, only: [only], resolve: links });
    expect(unknown('upstream c')).toEqual({
      ok: false,
      failure: { reason: 'only-unknown', only: 'upstream c' },
    });
    expect(unknown('/etc/nginx/none')).toMatchObject({ ok: false, failure: { reason: 'only-unknown' } });
  });
});

describe('the active slot', () => {
  it('is-the-one-that-all-primary-places-name', () => {
    expect(
      active('fastcgi_pass unix:/run/php/green.sock; fastcgi_pass unix:/var/run/php/green.sock;'),
    ).toEqual({
      ok: true,
      value: 'green',
    });
    expect(
      active('upstream a { server unix:/run/php/blue.sock down; server unix:/run/php/green.sock; }'),
    ).toEqual({ ok: true, value: 'green' });
  });

  it('is-missing-without-a-primary-place', () => {
    expect(
      active(
        'fastcgi_pass $pool;\nupstream a { server unix:/run/php/blue.sock backup; }\nfastcgi_pass unix:$b;',
      ),
    ).toEqual({
      ok: false,
      failure: {
        reason: 'reference-missing',
        addresses: ['unix:/run/php/blue.sock', 'unix:/run/php/green.sock'],
        variables: [
          { file: main, line: 1, column: 14 },
          { file: main, line: 3, column: 14 },
        ],
      },
    });
  });

  it('is-missing-where-only-leaves-out-what-names-it-and-says-so', () => {
    const text = 'upstream shop { server 10.0.0.1:1; }\nfastcgi_pass unix:/run/php/blue.sock;';
    expect(active(text, unix, ['upstream shop'])).toMatchObject({
      failure: { reason: 'reference-missing', outside: [{ file: main, line: 2, column: 14 }] },
    });
  });

  it('is-ambiguous-when-both-are-in-primary-places', () => {
    expect(active('fastcgi_pass unix:/run/php/blue.sock;\nfastcgi_pass unix:/run/php/green.sock;')).toEqual({
      ok: false,
      failure: {
        reason: 'reference-ambiguous',
        places: [
          { slot: 'blue', place: { file: main, line: 1, column: 14 } },
          { slot: 'green', place: { file: main, line: 2, column: 14 } },
        ],
      },
    });
  });

  it('is-ambiguous-when-one-name-means-both', () => {
    const hosts: SlotAddresses = {
      blue: { kind: 'tcp', host: '127.0.0.1', port: 9000 },
      green: { kind: 'tcp', host: '127.0.0.2', port: 9000 },
    };
    expect(active('upstream a { server both:9000 backup; }', hosts)).toMatchObject({
      failure: { reason: 'reference-ambiguous' },
    });
  });
});

describe('a link', () => {
  const link = (text: string) =>
    findLink(tree(text), '/var/run/php/shop.sock', { addresses: unix, resolve: links });

  it('is-found-under-any-spelling', () => {
    expect(link('fastcgi_pass unix:/run/php/shop.sock;\nfastcgi_pass $x;')).toEqual({
      ok: true,
      value: {
        places: [{ file: main, line: 1, column: 14 }],
        namings: [{ place: { file: main, line: 1, column: 14 }, upstream: null }],
        variables: [{ file: main, line: 2, column: 14 }],
      },
    });
  });

  it('must-be-named-and-no-slot-with-it', () => {
    expect(link('fastcgi_pass unix:/run/php/blue.sock;')).toMatchObject({
      failure: { reason: 'link-not-named' },
    });
    expect(
      link('fastcgi_pass unix:/run/php/shop.sock;\nupstream a { server unix:/srv/link/blue.sock down; }'),
    ).toMatchObject({ failure: { reason: 'link-and-slot-named', places: [{ line: 2 }] } });
  });

  it('may-be-named-by-another-link-but-a-slot-may-not', () => {
    const named = 'fastcgi_pass unix:/run/php/shop.sock;';
    expect(link(`${named}\nfastcgi_pass unix:/run/php/alias.sock;`)).toMatchObject({ ok: true });
    expect(link(`${named}\nfastcgi_pass unix:/run/php/away.sock;`)).toMatchObject({
      failure: { reason: 'link-and-slot-named', places: [{ line: 2 }] },
    });
    expect(link(`${named}\nfastcgi_pass unix:/run/php/circle.sock;`)).toMatchObject({ ok: true });
  });
});

describe('backup pairs', () => {
  const pairs = (text: string, addresses: SlotAddresses = unix) => {
    const within = tree(text);
    return backupPairs(within, found(within, addresses).references, addresses);
  };
  const pair =
    'upstream a { server unix:/run/php/blue.sock max_fails=0;\nserver unix:/run/php/green.sock max_fails=0 backup; }';

  it('are-complete-when-every-primary-place-has-one', () => {
    expect(pairs(pair)).toEqual({ complete: true, withoutMaxFails: [] });
    expect(pairs(`${pair} fastcgi_next_upstream error; fastcgi_next_upstream_tries 0;`).complete).toBe(true);
    expect(pairs(`${pair} server { proxy_next_upstream off; }`).complete).toBe(true);
  });

  it.each([
    ['a place of its own', `${pair} fastcgi_pass unix:/run/php/blue.sock;`],
    ['an upstream without one', `${pair} upstream b { server unix:/run/php/blue.sock; }`],
    ['a server that is down', pair.replace('backup', 'down')],
    ['no try after an error', `${pair} server { fastcgi_next_upstream timeout; }`],
    ['no next try', `${pair} fastcgi_next_upstream off;`],
    ['one try', `${pair} fastcgi_next_upstream_tries 1;`],
    ['no next try of a stream', `${pair} stream { proxy_next_upstream off; }`],
    ['one try of a stream', `${pair} stream { server { proxy_next_upstream_tries 1; } }`],
    ['nothing at all', ''],
  ])('%s makes them incomplete', (_name, text) => {
    expect(pairs(text).complete).toBe(false);
  });

  it('on-tcp-do-not-count', () => {
    expect(pairs('upstream a { server 127.0.0.1:9000; server 127.0.0.1:9001 backup; }', tcp)).toEqual({
      complete: false,
      withoutMaxFails: [],
    });
  });

  it('without-max-fails-are-told', () => {
    const lines = pairs(pair.replaceAll('max_fails=0', 'max_fails=1')).withoutMaxFails.map(
      (place) => place.line,
    );
    expect(lines).toEqual([1, 2]);
    expect(pairs(pair.replace('max_fails=0 backup', 'backup')).withoutMaxFails).toMatchObject([{ line: 2 }]);
  });
});

it('never-throws', () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes, configText.map(bytesOf)), (bytes) => {
      const within = readTree(main, { ...memory({}), read: () => ({ ok: true, bytes, real: main }) });
      for (const addresses of [unix, tcp]) {
        const { references } = found(within, addresses);
        backupPairs(within, references, addresses);
      }
    }),
  );
});
