import { expect, it } from 'vitest';
import { mannersOf } from '../../src/nginx/listens.js';
import { readTree } from '../../src/nginx/tree.js';
import type { Address } from '../../src/system/sockets.js';
import { memory } from './disk.js';

const CONFIG = `
http {
  include sites/*;
  server { listen 80; listen *:443 ssl http2; listen [::]:443 ssl; }
  server { listen 443; listen 443 quic; listen localhost:8080 proxy_protocol; listen 127.0.0.2; }
  server { listen unix:/var/run/web.sock ssl; listen 127.0.0.1:9000-9002; }
  server { listen 10.0.0.1:81 ssl; }
  server { listen 81; }
}
stream { server { listen 3306; } server { listen 853 ssl; } server { listen 53 udp; } }
mail { server { listen 993 ssl; } }
`;
const tcp = (port: number, host = '0.0.0.0'): Address => ({ kind: 'tcp', host, port });
const manner = (protocol: 'http' | 'other', tls = false, proxyProtocol = false) => ({
  protocol,
  tls,
  proxyProtocol,
});

it.each([
  ['a port alone', tcp(80), manner('http')],
  ['a port of every IPv6 address', tcp(443, '::'), manner('http', true)],
  ['an address that one of several servers calls ssl', tcp(443), manner('http', true)],
  ['a name', tcp(8080, '127.0.0.1'), manner('http', false, true)],
  ['an address without a port', tcp(80, '127.0.0.2'), manner('http')],
  ['a range', tcp(9001, '127.0.0.1'), manner('http')],
  [
    'a unix socket by its folder without links',
    { kind: 'unix', path: '/run/web.sock' },
    manner('http', true),
  ],
  ['the narrower of two addresses', tcp(81, '10.0.0.1'), manner('http', true)],
  ['the wider of two addresses', tcp(81), manner('http')],
  ['an included file', tcp(7000), manner('http', true, true)],
  ['a stream', tcp(3306), manner('other')],
  ['a stream in TLS', tcp(853), manner('other', true)],
  ['mail in TLS', tcp(993), manner('other', true)],
  ['what takes no connections', tcp(53), null],
  ['an address that nothing names', tcp(1), null],
] as const)('%s is spoken to in its own manner', (_, address, expected) => {
  const files = {
    '/etc/nginx/nginx.conf': CONFIG,
    '/etc/nginx/sites/more': 'server { listen 7000 ssl proxy_protocol; }',
  };
  expect(mannersOf(readTree('/etc/nginx/nginx.conf', memory(files)))(address)).toEqual(expected);
});
