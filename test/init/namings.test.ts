/** What of an nginx configuration may still lead to an old pool. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { placesNaming } from '../../src/init/namings.js';
import { readTree } from '../../src/nginx/tree.js';
import type { Address } from '../../src/system/sockets.js';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'swap-pool-namings-'));
  mkdirSync(join(home, 'php'));
  writeFileSync(join(home, 'php/x.sock'), '');
  symlinkSync('php', join(home, 'other'));
  symlinkSync('php/x.sock', join(home, 'any.sock'));
});
afterEach(() => {
  rmSync(home, { recursive: true, force: true });
});

/** The lines of the places; `~` is the folder. A second file is included by `include more;`. */
async function lines(http: string, address: Address, more = ''): Promise<readonly string[]> {
  const files: Readonly<Record<string, string>> = {
    '/etc/nginx.conf': `events {}\nhttp {\n${http}\n}\n`,
    '/etc/more': more,
  };
  const tree = readTree('/etc/nginx.conf', {
    confPrefix: '/etc',
    glob: () => [],
    read: (path) => {
      const text = files[path];
      return text === undefined
        ? { ok: false, code: 'ENOENT' }
        : { ok: true, bytes: Buffer.from(text.replaceAll('~', home)), real: path };
    },
  });
  expect(tree.problems).toEqual([]);
  const places = await placesNaming(tree, address);
  return places.map(({ file, line }) => `${file === '/etc/more' ? 'more:' : ''}${String(line)}`);
}

const unix = (): Address => ({ kind: 'unix', path: join(home, 'php/x.sock') });
const PASS = 'server { location / { fastcgi_pass $pool; } }';

describe('a pool at a socket is named', () => {
  const named: readonly (readonly [what: string, http: string, found: string[], more?: string])[] = [
    ['by a pass', 'server { fastcgi_pass unix:~/php/x.sock; }', ['3']],
    ['through a link of its folder', 'server { fastcgi_pass unix:~/other/x.sock; }', ['3']],
    [
      'by an upstream that a pass names',
      'upstream u { server unix:~/php/x.sock; }\nserver { fastcgi_pass u; }',
      ['4'],
    ],
    ['in a map', `map $host $pool { default unix:~/php/x.sock; }\n${PASS}`, ['3']],
    [
      'in a map, by the name of an upstream',
      `upstream u { server unix:~/php/x.sock; }\nmap $host $pool { default u; }`,
      ['4'],
    ],
    [
      'in a map that is included',
      `map $host $pool { include more; }\n${PASS}`,
      ['more:2'],
      '\n.a unix:~/php/x.sock;',
    ],
    ['by a link in a map', `map $host $pool { default unix:~/any.sock; }\n${PASS}`, ['3']],
    ['by set', `server {\nset $pool unix:~/php/x.sock;\nfastcgi_pass $pool; }`, ['4']],
    [
      'by a map in pieces',
      'map $host $pool { default unix:~/php/$n.sock; }\nserver { fastcgi_pass $pool; }',
      ['4'],
    ],
    ['perhaps: by a variable within the pass', 'server { fastcgi_pass unix:~/php/$n.sock; }', ['3']],
    ['perhaps: by what a request brings along', 'server { fastcgi_pass $http_pool; }', ['3']],
    ['perhaps: by what a program says', `map $host $pool { default u; }\njs_set $x f;\n${PASS}`, ['5']],
  ];
  it.each(named.map(([what, ...rest]) => ({ what, rest })))(
    '$what',
    async ({ rest: [http, found, more] }) => {
      expect(await lines(http, unix(), more)).toEqual(found);
    },
  );
});

describe('a pool at a socket is not named', () => {
  const unnamed: readonly (readonly [what: string, http: string])[] = [
    ['by a pass elsewhere', 'server { fastcgi_pass unix:~/php/x.sock2; }'],
    ['by an upstream that nobody uses', 'upstream u { server unix:~/php/x.sock; }'],
    [
      'by the name of such an upstream elsewhere',
      'upstream u { server unix:~/php/x.sock; }\nserver { server_name u; }',
    ],
    ['in a comment', '# unix:~/php/x.sock'],
    [
      'by a variable that holds other ones',
      `map $host $pool { default shop; b unix:~/php/y.sock; }\n${PASS}`,
    ],
    ['by a variable within another name', 'server { fastcgi_pass unix:~/php/y-$n.sock; }'],
    ['by variables of each other', `map $a $pool { default $q; }\nmap $b $q { default $pool; }\n${PASS}`],
  ];
  it.each(unnamed)('%s', async (_, http) => {
    expect(await lines(http, unix())).toEqual([]);
  });
});

it.each<readonly [word: string, named: boolean]>([
  ['127.0.0.1:9000', true],
  ['localhost:9000', true],
  ['127.0.0.1:90001', false],
  ['a127.0.0.1:9000', false],
  ['127.0.0.1:9001', false],
  ['10.0.0.5:9000', false],
])('a pool at a port: %s in a map', async (word, named) => {
  const address: Address = { kind: 'tcp', host: '127.0.0.1', port: 9000 };
  expect(await lines(`map $host $pool { default ${word}; }\n${PASS}`, address)).toEqual(named ? ['3'] : []);
});
