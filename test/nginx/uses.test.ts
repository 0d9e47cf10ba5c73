import { describe, expect, it } from 'vitest';
import { findReferences } from '../../src/nginx/references.js';
import type { Tree } from '../../src/nginx/tree.js';
import { readTree } from '../../src/nginx/tree.js';
import { onTheWay, usesOf, type Uses } from '../../src/nginx/uses.js';
import { memory } from './disk.js';
import { links, main, tree, unix } from './slots.js';

const uses = (of: Tree): Uses => {
  const found = findReferences(of, { addresses: unix, only: [], resolve: links });
  if (!found.ok) throw new Error(found.failure.reason);
  return usesOf(
    of,
    found.value.references.filter(({ role }) => role === 'primary'),
  );
};
const UPSTREAM = 'upstream Shop { server unix:/run/php/blue.sock; server unix:/run/php/green.sock backup; }';

describe('what names a slot', () => {
  it.each([
    ['in an upstream that a location uses, whatever its case', 'location / { fastcgi_pass sHOP; }', []],
    ['in an upstream that a variable may name', 'location / { fastcgi_pass $pool; }', []],
    ['in an upstream that nothing uses', 'location / { fastcgi_pass other; }', [1]],
    ['in an upstream that is only passed another protocol', 'location / { proxy_pass http://shop; }', [1]],
    ['of http in an upstream that a stream cannot use', 'stream { server { proxy_pass shop; } }', [1]],
    [
      'in an upstream beside a fastcgi_pass of its own',
      'location / { fastcgi_pass unix:/run/php/blue.sock; }',
      [],
    ],
  ])('%s', (_, text, unused) => {
    expect(uses(tree(`${UPSTREAM}\n${text}`)).unused.map(({ line }) => line)).toEqual(unused);
  });
});

describe('what names a slot in an upstream of a stream', () => {
  it.each([
    ['that hands it on', 'stream { include up; server { listen 9000; proxy_pass SHOP; } }', true],
    ['that hands a variable on', 'stream { include up; server { proxy_pass $name; } }', true],
    ['that hands others on', 'stream { include up; server { proxy_pass other; } }', false],
    [
      'that a location has another of that name of',
      'stream { include up; } http { location / { fastcgi_pass shop; } }',
      false,
    ],
    ['that a location proxies to', 'stream { include up; } http { location / { proxy_pass $u; } }', false],
  ])('%s', (_, text, used) => {
    const of = readTree(main, memory({ [main]: text, '/etc/nginx/up': UPSTREAM }));
    expect(uses(of).unused.length === 0).toBe(used);
  });
});

it('a change is on the way where the slot is named, or where every place that sends requests there changed', () => {
  const of = readTree(
    main,
    memory({
      [main]: 'include a;\ninclude b;\ninclude c;\ninclude d;',
      '/etc/nginx/a': UPSTREAM,
      '/etc/nginx/b': 'location /b { fastcgi_pass shop; }',
      '/etc/nginx/c': 'location /c { fastcgi_pass shop; }',
      '/etc/nginx/d': 'location /d { fastcgi_pass other; }',
    }),
  );
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => `/etc/nginx/${name}`) as [
    string,
    string,
    string,
    string,
  ];
  expect(onTheWay(uses(of), [a])).toEqual([a]);
  expect(onTheWay(uses(of), [b, d, main])).toEqual([]);
  expect(onTheWay(uses(of), [b, c, d])).toEqual([b, c]);
});
