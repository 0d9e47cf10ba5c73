import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { leftBehind, otherPoolsNamed } from '../../src/nginx/bystanders.js';
import type { OtherAddresses } from '../../src/nginx/bystanders.js';
import type { SlotAddresses } from '../../src/nginx/references.js';
import { bytesOf } from '../../src/nginx/spelling.js';
import { readTree } from '../../src/nginx/tree.js';
import type { ConfigSource } from '../../src/nginx/tree.js';
import { memory } from './disk.js';
import { anyBytes, configText } from './generate.js';
import { found, links, main, tcp, tree, unix } from './slots.js';

const others: OtherAddresses = {
  blue: [unix.blue],
  green: [unix.green, { kind: 'tcp', host: '127.0.0.1', port: 9001 }],
};
const named = (text: string, of = others): readonly string[] =>
  otherPoolsNamed(tree(text), links, of).map(
    ({ slot, address, place }) => `${slot} ${address} ${String(place.line)}`,
  );

describe('another pool of a master', () => {
  it.each([
    ['in a fastcgi_pass', 'fastcgi_pass unix:/run/php/blue.sock;', ['blue unix:/run/php/blue.sock 1']],
    [
      'in an upstream, used or not, first or last asked',
      'upstream a { server unix:/run/php/blue.sock;\nserver unix:/run/php/green.sock backup; }',
      ['blue unix:/run/php/blue.sock 1', 'green unix:/run/php/green.sock 2'],
    ],
    ['through a folder’s link', 'fastcgi_pass unix:/srv/link/blue.sock;', ['blue unix:/run/php/blue.sock 1']],
    [
      'through a link to its socket',
      'fastcgi_pass unix:/run/php/away.sock;',
      ['green unix:/run/php/green.sock 1'],
    ],
    [
      'through a link to a link',
      'fastcgi_pass unix:/var/run/php/alias.sock;',
      ['blue unix:/run/php/blue.sock 1'],
    ],
    ['as a host’s name', 'fastcgi_pass localhost:9001;', ['green 127.0.0.1:9001 1']],
    [
      'within an if',
      'location / { if ($a) { fastcgi_pass unix:/run/php/blue.sock; } }',
      ['blue unix:/run/php/blue.sock 1'],
    ],
  ])('is found %s', (_where, text, expected) => {
    expect(named(text)).toEqual(expected);
  });

  it.each([
    ['which is down', 'upstream a { server unix:/run/php/blue.sock down; }'],
    ['which is somebody else’s', 'fastcgi_pass unix:/run/php/red.sock; fastcgi_pass 127.0.0.1:9000;'],
    ['by a link in a circle', 'fastcgi_pass unix:/run/php/circle.sock;'],
    ['by a variable', 'fastcgi_pass unix:/run/php/$slot.sock;'],
  ])('is not found in a server %s', (_which, text) => {
    expect(named(text)).toEqual([]);
  });

  it('is told once for each place', () => {
    const files = { [main]: 'include a.conf; include a.conf;', '/etc/nginx/a.conf': 'fastcgi_pass me:9001;' };
    const any: OtherAddresses = { blue: [], green: [{ kind: 'tcp', host: '*', port: 9001 }] };
    expect(otherPoolsNamed(tree(files), links, any)).toEqual([
      {
        slot: 'green',
        address: '127.0.0.1:9001',
        place: { file: '/etc/nginx/a.conf', line: 1, column: 14 },
      },
    ]);
    expect(otherPoolsNamed(tree(files), links)).toEqual([]);
  });
});

describe('a place that is left behind', () => {
  const left = (text: string, only: readonly string[] = ['upstream shop'], of: SlotAddresses = unix) => {
    const within = tree(text);
    const { references } = found(within, of, only);
    return leftBehind(within, of.blue, references, links).map(({ line, column }) => [line, column]);
  };
  const shop = 'upstream shop { server unix:/run/php/blue.sock; }';

  it('is one that only leaves out and that names the slot', () => {
    expect(left(`${shop}\nfastcgi_pass unix:/var/run/php/blue.sock;`)).toEqual([[2, 14]]);
    expect(left(`${shop}\nupstream b { server unix:/run/php/blue.sock; }`)).toEqual([[2, 21]]);
    expect(left(`${shop}\nfastcgi_pass unix:/run/php/blue.sock;`, [])).toEqual([]);
    const local = 'upstream shop { server 127.0.0.1:9000; }\nfastcgi_pass localhost:9000;';
    expect(left(local, ['upstream shop'], tcp)).toEqual([[2, 14]]);
  });

  it('is none that is exchanged by another path of its file', () => {
    const files = {
      [main]: 'include available/a.conf; include enabled/a.conf;',
      '/etc/nginx/available/a.conf': 'fastcgi_pass unix:/run/php/blue.sock;',
      '/etc/nginx/enabled/a.conf': 'fastcgi_pass unix:/run/php/blue.sock;',
    };
    const real = '/etc/nginx/available/a.conf';
    const source = memory(files);
    const linked: ConfigSource = {
      ...source,
      read: (path) => {
        const read = source.read(path);
        return read.ok && path.includes('enabled') ? { ...read, real } : read;
      },
    };
    const within = readTree(main, linked);
    const { references } = found(within, unix, ['/etc/nginx/enabled/a.conf']);
    expect(references).toHaveLength(1);
    expect(leftBehind(within, unix.blue, references, links)).toEqual([]);
  });

  it('is one that names a link to the slot', () => {
    expect(left(`${shop}\nfastcgi_pass unix:/run/php/alias.sock;`, [])).toEqual([[2, 14]]);
    expect(left(`${shop}\nfastcgi_pass unix:/run/php/away.sock;`, [])).toEqual([]);
  });

  it.each([
    ['that names the other slot', 'fastcgi_pass unix:/run/php/green.sock;'],
    ['that asks it last', 'upstream b { server 10.0.0.1:1; server unix:/run/php/blue.sock backup; }'],
    ['that never asks it', 'upstream b { server unix:/run/php/blue.sock down; }'],
    [
      'with somebody to go on to',
      'upstream b { server unix:/run/php/blue.sock; server unix:/run/php/green.sock backup; }',
    ],
  ])('is none %s', (_which, text) => {
    expect(left(`${shop}\n${text}`)).toEqual([]);
  });

  it.each([
    ['nginx does not go on', 'fastcgi_next_upstream off;', 'server unix:/run/php/green.sock backup;'],
    ['the next one is down', '', 'server unix:/run/php/green.sock down;'],
    ['the next one is the same', '', 'server unix:/srv/link/blue.sock backup;'],
  ])('is one where %s', (_why, other, next) => {
    expect(left(`${shop}\nupstream b { server unix:/run/php/blue.sock; ${next} } ${other}`)).toEqual([
      [2, 21],
    ]);
  });
});

it('never throws', () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes, configText.map(bytesOf)), (bytes) => {
      const within = readTree(main, { ...memory({}), read: () => ({ ok: true, bytes, real: main }) });
      for (const addresses of [unix, tcp]) {
        otherPoolsNamed(within, links, { blue: [addresses.blue], green: [addresses.green] });
        leftBehind(within, addresses.blue, found(within, addresses).references, links);
      }
    }),
  );
});
