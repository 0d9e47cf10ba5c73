import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { otherSlot } from '../../src/event.js';
import type { Slot } from '../../src/event.js';
import { exchangeEdits } from '../../src/nginx/exchange.js';
import type { SlotAddresses } from '../../src/nginx/references.js';
import { realistic } from './generate.js';
import { exchanged, found, main, tcp, tree, unix } from './slots.js';

const apart: SlotAddresses = {
  blue: { kind: 'unix', path: '/run/php/blue.sock' },
  green: { kind: 'unix', path: '/run/other/green.sock' },
};
const hosts: SlotAddresses = {
  blue: { kind: 'tcp', host: '127.0.0.1', port: 9000 },
  green: { kind: 'tcp', host: '::1', port: 9001 },
};
const mixed: SlotAddresses = { blue: unix.blue, green: tcp.green };
const once = (text: string, addresses: SlotAddresses): string | undefined =>
  exchanged({ [main]: text }, addresses)[main];

describe('the other slot is named in the spelling of the user', () => {
  it.each([
    ['fastcgi_pass unix:/run/php/blue.sock;', 'fastcgi_pass unix:/run/php/green.sock;', unix],
    ['fastcgi_pass "unix:/var/run/php/blue.sock";', 'fastcgi_pass "unix:/var/run/php/green.sock";', unix],
    ["fastcgi_pass\t'UNIX:/srv/link//green.sock' ;", "fastcgi_pass\t'UNIX:/srv/link//blue.sock' ;", unix],
    ['fastcgi_pass unix:/var/run/php/blue.sock;', 'fastcgi_pass unix:/var/run/other/green.sock;', apart],
    ['fastcgi_pass unix:/run/php/./blue.sock;', 'fastcgi_pass unix:/run/other/green.sock;', apart],
    ['fastcgi_pass unix:/srv/link/blue.sock;', 'fastcgi_pass unix:/run/other/green.sock;', apart],
    ['fastcgi_pass localhost:9000;', 'fastcgi_pass localhost:9001;', tcp],
    ['fastcgi_pass "0.0.0.0:09001";', 'fastcgi_pass "0.0.0.0:09000";', tcp],
    ['fastcgi_pass 127.0.0.1:9000;', 'fastcgi_pass [::1]:9001;', hosts],
    ['fastcgi_pass unix:/run/php/blue.sock;', 'fastcgi_pass 127.0.0.1:9001;', mixed],
    [
      'upstream a { server unix:/srv/link/blue.sock weight=2; server localhost:9001 backup; }',
      'upstream a { server localhost:9001 weight=2; server unix:/srv/link/blue.sock backup; }',
      mixed,
    ],
    [
      "upstream a { server 'unix:/var/run/php/blue.sock'; server unix:/run/php/green.sock down; }",
      "upstream a { server 'unix:/var/run/php/green.sock'; server unix:/run/php/blue.sock down; }",
      unix,
    ],
    [
      "upstream a { server 'unix:/srv/link/blue.sock'; server unix:/run/other/green.sock down; }",
      "upstream a { server unix:/run/other/green.sock; server 'unix:/srv/link/blue.sock' down; }",
      apart,
    ],
  ])('%j', (before, after, addresses) => {
    expect(once(before, addresses)).toBe(after);
  });

  it('a-name-that-needs-quotes-gets-them', () => {
    const odd: SlotAddresses = { ...unix, green: { kind: 'unix', path: '/run/php/a b;{"\\\u00e4' } };
    const after = once('fastcgi_pass unix:/run/php/blue.sock;', odd) ?? '';
    expect(after).toBe('fastcgi_pass "unix:/run/php/a b;{\\"\\\\\u00c3\u00a4";');
    expect(found(tree(after), odd).references).toMatchObject([{ slot: 'green' }]);
    expect(once(after, odd)).toBe('fastcgi_pass "unix:/run/php/blue.sock";');
  });

  it('nothing-else-changes', () => {
    const files = { [main]: realistic, '/etc/nginx/mime.types': '' };
    const after = exchanged(files, unix);
    expect(after[main]).toBe(
      realistic
        .replace('server unix:/var/run/php/blue.sock', 'server unix:/var/run/php/green.sock')
        .replace('server "unix:/run/php/green.sock"', 'server "unix:/run/php/blue.sock"'),
    );
    expect(after['/etc/nginx/mime.types']).toBe('');
    expect(exchangeEdits(found(tree(files), unix).references, unix)).toMatchObject([{ lines: [14, 15] }]);
  });

  it('a-file-that-is-included-twice-is-edited-once', () => {
    const files = {
      [main]: 'server { include php.conf; } server { include php.conf; include p*.conf; }',
      '/etc/nginx/php.conf': 'fastcgi_pass unix:/run/php/blue.sock;',
    };
    const after = exchanged(files, unix);
    expect(after).toEqual({ ...files, '/etc/nginx/php.conf': 'fastcgi_pass unix:/run/php/green.sock;' });
  });
});

describe('laws', () => {
  const quoted = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
    fc.tuple(text, fc.constantFrom('', '"', "'")).map(([word, quote]) => quote + word + quote);
  const spelled = (slot: Slot, addresses: SlotAddresses): fc.Arbitrary<string> => {
    const address = addresses[slot];
    if (address.kind === 'tcp') {
      return fc
        .constantFrom('localhost:', '127.0.0.1:', '0.0.0.0:0')
        .map((host) => host + String(address.port));
    }
    const heads =
      addresses === unix
        ? ['/run/php/', '/var/run/php/', '/srv/link/', '/run//php/./']
        : ['/run/', '/var/run/'];
    const tail = address.path.slice(addresses === unix ? 9 : 5);
    return fc
      .tuple(fc.constantFrom('unix:', 'Unix:'), fc.constantFrom(...heads))
      .map((head) => head.join('') + tail);
  };
  const config = (addresses: SlotAddresses): fc.Arbitrary<string> => {
    const either = fc.constantFrom<Slot>('blue', 'green').chain((slot) => quoted(spelled(slot, addresses)));
    return fc
      .array(
        fc.oneof(
          either.map((word) => `fastcgi_pass\t${word} # unix:/run/php/blue.sock\n;`),
          fc
            .tuple(either, either)
            .map(([a, b]) => `upstream x { server ${a} weight=1;\r\n server ${b} backup; }`),
          fc.constantFrom(
            'map $a $b { x unix:/run/php/blue.sock; }\n',
            'fastcgi_pass unix:/run/php/\u00ff;',
            'fastcgi_pass $a;',
          ),
        ),
        { maxLength: 6 },
      )
      .map((parts) => parts.join(''));
  };

  it.each([
    ['one folder', unix],
    ['two folders', apart],
    ['one host', tcp],
  ])('exchanged-twice-gives-the-first-bytes: %s', (_name, addresses) => {
    fc.assert(
      fc.property(config(addresses), (text) => {
        const after = once(text, addresses) ?? '';
        expect(once(after, addresses)).toBe(text);
        const roles = (of: string): unknown[] =>
          found(tree(of), addresses).references.map(({ slot, role }) => [slot, role]);
        expect(roles(after)).toEqual(
          found(tree(text), addresses).references.map(({ slot, role }) => [otherSlot(slot), role]),
        );
      }),
    );
  });

  it('pairs-of-any-spelling-exchanged-twice-give-the-first-bytes', () => {
    const blue = quoted(
      fc.constantFrom('unix:/run/php/blue.sock', 'unix:/srv/link/blue.sock', 'unix:/var/run/php/blue.sock'),
    );
    const green = quoted(fc.constantFrom('127.0.0.1:9001', 'localhost:9001', '0.0.0.0:09001'));
    fc.assert(
      fc.property(blue, green, (a, b) => {
        const text = `upstream x { server ${a} max_fails=0; server ${b} backup; }`;
        const after = once(text, mixed) ?? '';
        expect(after).toBe(`upstream x { server ${b} max_fails=0; server ${a} backup; }`);
        expect(once(after, mixed)).toBe(text);
      }),
    );
  });
});
