import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonical,
  connectsTo,
  parseIp,
  parseTarget,
  reaches,
  realFolder,
  realSocketPath,
  sameHost,
} from '../../src/nginx/address.js';
import { links } from './slots.js';

describe('values are read as nginx reads them', () => {
  it.each([
    ['unix:/run/a.sock', { kind: 'unix', path: '/run/a.sock', pathAt: 5 }],
    ['UNIX:/run/a:b', { kind: 'unix', path: '/run/a:b', pathAt: 5 }],
    ['unix:/run/a\0b', { kind: 'unix', path: '/run/a', pathAt: 5 }],
    ['unix:', null],
    ['unix:run/a', null],
    ['127.0.0.1:9000', { kind: 'tcp', host: '127.0.0.1', port: 9000, portAt: 10 }],
    ['localhost:09000', { kind: 'tcp', host: 'localhost', port: 9000, portAt: 10 }],
    ['shop', { kind: 'tcp', host: 'shop', port: null, portAt: 4 }],
    ['[::1]:9000', { kind: 'tcp', host: '::1', port: 9000, portAt: 6 }],
    ['[::1]', { kind: 'tcp', host: '::1', port: null, portAt: 5 }],
    ['[a]:1', null],
    ['[::1', null],
    ['[::1]9000', null],
    ['a:0', null],
    ['a:65536', null],
    ['a:1x', null],
    ['a:1:2', null],
    ['a/b:1', null],
    [':9000', null],
    ['', null],
  ])('%j', (value, target) => {
    expect(parseTarget(value)).toEqual(target);
  });

  it('never-throws', () => {
    const text = fc.string({ unit: fc.constantFrom(...'unix:/[].0159af%$', ' ', '\u00ff') });
    fc.assert(
      fc.property(fc.oneof(text, fc.string(), fc.ipV6(), fc.ipV4()), (value) => {
        parseTarget(value);
        const ip = parseIp(value);
        if (ip !== null) expect(parseIp(ip)).toBe(ip);
      }),
    );
  });
});

describe('IP addresses have one spelling', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['127.000.0.01', '127.0.0.1'],
    ['127.1', null],
    ['256.0.0.1', null],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['0::0001', '0:0:0:0:0:0:0:1'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['::FFFF:127.0.0.1', '127.0.0.1'],
    ['::ffff:7f00:1', '127.0.0.1'],
    ['fe80::A', 'fe80:0:0:0:0:0:0:a'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['1:2:3:4:5:6:7:8:9', null],
    ['1::2::3', null],
    [':1', null],
    ['fe80::1%lo', null],
    ['localhost', null],
  ])('%s', (text, ip) => {
    expect(parseIp(text)).toBe(ip);
  });
});

describe('a connect arrives where the kernel takes it', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '127.0.0.2', false],
    ['0.0.0.0', '127.0.0.1', true],
    ['::', '::1', true],
    ['::', '127.0.0.1', false],
    ['localhost', '127.0.0.1', true],
    ['localhost', '::1', true],
    ['127.0.0.1', 'localhost', true],
    ['127.0.0.1', '', true],
    ['127.9.9.9', '0.0.0.0', true],
    ['192.0.2.7', '*', true],
    ['192.0.2.7', '[::]', true],
    ['192.0.2.8', '0.0.0.0', false],
    ['::1', '0.0.0.0', false],
    ['::1', '::', true],
    ['::ffff:127.0.0.1', '127.0.0.1', true],
    ['nowhere', '', false],
    ['me', '0.0.0.0', true],
  ])('%s reaches a pool on %j: %s', (host, listen, expected) => {
    expect(connectsTo(host, links).some((ip) => reaches(ip, listen, links))).toBe(expected);
  });

  it('hosts-are-the-same-when-their-port-alone-tells-the-pools-apart', () => {
    expect(sameHost('localhost', 'localhost', links)).toBe(true);
    expect(sameHost('nowhere', 'nowhere', links)).toBe(true);
    expect(sameHost('127.0.0.1', 'localhost', links)).toBe(false);
    expect(sameHost('', '::', links)).toBe(true);
    expect(sameHost('', '127.0.0.1', links)).toBe(false);
  });
});

it.each([
  [{ kind: 'unix', path: '/run/a.sock' } as const, 'unix:/run/a.sock'],
  [{ kind: 'tcp', host: '', port: 9000 } as const, '127.0.0.1:9000'],
  [{ kind: 'tcp', host: '10.0.0.1', port: 9000 } as const, '10.0.0.1:9000'],
  [{ kind: 'tcp', host: '::1', port: 9000 } as const, '[::1]:9000'],
  [{ kind: 'tcp', host: '[::1]', port: 9000 } as const, '[::1]:9000'],
])('%j is written as %s', (address, text) => {
  expect(canonical(address)).toBe(text);
});

it('links-of-the-folder-are-followed-the-last-part-never', () => {
  expect(realSocketPath('/var/run/php/link.sock', links)).toBe('/run/php/link.sock');
  expect(realSocketPath('/srv/link//x', links)).toBe('/run/php/x');
  expect(realFolder('/var/run/gone/./deep/../er', links)).toBe('/run/gone/er');
  expect(realFolder('/', links)).toBe('/');
  expect(realSocketPath('/x', links)).toBe('/x');
});
