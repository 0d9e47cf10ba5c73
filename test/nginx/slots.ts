import { applyEdits } from '../../src/nginx/edit.js';
import { exchangeEdits } from '../../src/nginx/exchange.js';
import { findReferences } from '../../src/nginx/references.js';
import type { Found, SlotAddresses } from '../../src/nginx/references.js';
import type { Resolver } from '../../src/nginx/address.js';
import { binary } from '../../src/nginx/spelling.js';
import { readTree } from '../../src/nginx/tree.js';
import type { Tree } from '../../src/nginx/tree.js';
import { memory } from './disk.js';

/** A host with /var/run -> /run and /srv/link -> /run/php, and one address besides loopback. */
const REAL: Readonly<Record<string, string>> = {
  '/run': '/run',
  '/run/php': '/run/php',
  '/run/other': '/run/other',
  '/var': '/var',
  '/var/run': '/run',
  '/var/run/php': '/run/php',
  '/var/run/other': '/run/other',
  '/srv': '/srv',
  '/srv/link': '/run/php',
};

export const links: Resolver = {
  realpath: (folder) => REAL[folder.replace(/\/+/g, '/')] ?? null,
  link: (path) =>
    ({
      '/run/php/shop.sock': '/run/php/blue.sock',
      '/run/php/alias.sock': '/var/run/php/shop.sock',
      '/run/php/away.sock': '/srv/link/green.sock',
      '/run/php/circle.sock': '/run/php/circle.sock',
    })[path] ?? null,
  lookup: (host) =>
    ({ localhost: ['127.0.0.1', '::1'], me: ['192.0.2.7'], both: ['127.0.0.1', '127.0.0.2'] })[host] ?? [],
  localAddresses: () => ['192.0.2.7', 'fe80::1'],
};

export const unix: SlotAddresses = {
  blue: { kind: 'unix', path: '/run/php/blue.sock' },
  green: { kind: 'unix', path: '/run/php/green.sock' },
};

export const tcp: SlotAddresses = {
  blue: { kind: 'tcp', host: '127.0.0.1', port: 9000 },
  green: { kind: 'tcp', host: '127.0.0.1', port: 9001 },
};

export const main = '/etc/nginx/nginx.conf';

export const tree = (files: string | Readonly<Record<string, string>>): Tree =>
  readTree(main, memory(typeof files === 'string' ? { [main]: files } : files));

/** What is found; a failure is a mistake of the test. */
export function found(within: Tree, addresses: SlotAddresses, only: readonly string[] = []): Found {
  const result = findReferences(within, { addresses, only, resolve: links });
  if (!result.ok) throw new Error(result.failure.reason);
  return result.value;
}

/** The files after an exchange. */
export function exchanged(
  files: Readonly<Record<string, string>>,
  addresses: SlotAddresses,
  only: readonly string[] = [],
): Readonly<Record<string, string>> {
  const after = { ...files };
  for (const { file, edits } of exchangeEdits(found(tree(files), addresses, only).references, addresses)) {
    const result = applyEdits(file.bytes, edits);
    if (!result.ok) throw new Error(result.failure.reason);
    after[file.real] = binary(result.value);
  }
  return after;
}
