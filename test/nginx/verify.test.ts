import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTls } from 'node:https';
import { createServer as createPlain } from 'node:net';
import type { Server as PlainServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { freePort } from '../../src/demo/machine.js';
import { createVerify } from '../../src/nginx/verify.js';
import { PATIENCE } from '../support/limits.js';

const open: (Server | PlainServer)[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

const listen = (server: Server | PlainServer): Promise<number> =>
  new Promise((resolve) => {
    open.push(server);
    server.listen(0, '127.0.0.1', () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
const site = (answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<number> =>
  listen(createServer(answer));
const ask = (port: number, options: Partial<Parameters<typeof createVerify>[0]> = {}) =>
  createVerify({
    url: `http://127.0.0.1:${String(port)}/health.php`,
    expect: {},
    timeout: PATIENCE,
    ...options,
  }).request('n1');

describe('verify', () => {
  it('sends the nonce, the host and no wish to keep the connection', async () => {
    const seen: unknown[] = [];
    const port = await site((request, response) => {
      seen.push(request.url, request.headers.host, request.headers.connection);
      response.end('ok');
    });
    expect(await ask(port, { host: 'shop.example' })).toBeNull();
    expect(await ask(port, { url: `http://127.0.0.1:${String(port)}/a?b=%20c&d` })).toBeNull();
    expect(seen).toEqual([
      '/health.php?swap-pool=n1',
      'shop.example',
      'close',
      '/a?b=%20c&d&swap-pool=n1',
      `127.0.0.1:${String(port)}`,
      'close',
    ]);
  });

  it('tells a wrong status, a wrong body and a right one apart', async () => {
    const port = await site((request, response) => {
      response.statusCode = request.url?.startsWith('/500') === true ? 500 : 301;
      response.end('all is well');
    });
    const at = (path: string, expected: object) =>
      ask(port, { url: `http://127.0.0.1:${String(port)}${path}`, expect: expected });
    expect(await at('/500', {})).toEqual({
      kind: 'status',
      status: 500,
      expected: 'below 400',
      body: 'all is well',
    });
    expect(await at('/500', { status: 500 })).toBeNull();
    expect(await at('/', {})).toBeNull();
    expect(await at('/', { status: 200 })).toEqual({
      kind: 'status',
      status: 301,
      expected: 200,
      body: 'all is well',
    });
    expect(await at('/', { body: 'is well' })).toBeNull();
    expect(await at('/', { body: 'broken' })).toEqual({
      kind: 'body',
      expected: 'broken',
      body: 'all is well',
    });
  });

  it('gives up at its deadline, before the answer and within it', async () => {
    const silent = await listen(createPlain(() => undefined));
    expect(await ask(silent, { timeout: 60 })).toEqual({ kind: 'timeout', ms: 60 });
    const halting = await site((_request, response) => {
      response.write('half');
    });
    expect(await ask(halting, { timeout: 60 })).toEqual({ kind: 'timeout', ms: 60 });
  });

  it('tells nobody listening, a hang-up and no HTTP apart', async () => {
    expect(await ask(await freePort())).toEqual({ kind: 'refused' });
    const rude = await listen(createPlain((socket) => socket.on('data', () => socket.destroy())));
    expect(await ask(rude)).toEqual({ kind: 'closed' });
    const foreign = await listen(
      createPlain((socket) => socket.on('data', () => socket.end('SSH-2.0-x\r\n'))),
    );
    expect(await ask(foreign)).toMatchObject({ kind: 'protocol' });
  });

  it('asks over TLS under the site’s name, whoever signed its certificate', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'swap-pool-tls-'));
    try {
      const [key, cert] = [join(dir, 'key'), join(dir, 'cert')];
      const made = spawnSync('/usr/bin/openssl', [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-keyout',
        key,
        '-out',
        cert,
        '-subj',
        '/CN=x',
      ]);
      if (made.status !== 0) return;
      const names: unknown[] = [];
      const server = createTls({ key: readFileSync(key), cert: readFileSync(cert) }, (_request, response) =>
        response.end('ok'),
      );
      server.on('secureConnection', (socket: { servername?: unknown }) => names.push(socket.servername));
      const port = await listen(server);
      expect(await ask(port, { url: `https://127.0.0.1:${String(port)}/`, host: 'shop.example' })).toBeNull();
      expect(names).toEqual(['shop.example']);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
