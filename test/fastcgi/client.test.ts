import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  pageParams,
  request,
  scriptParams,
  type Answer,
  type Reply,
  type Request,
} from '../../src/fastcgi/client.js';
import { waitUntil } from '../../src/system/clock.js';
import { PATIENCE } from '../support/limits.js';
import type { User } from '../../src/system/user.js';
import { startFpm, type Fpm } from './fpm.js';
import { answer, endRequest, pairs, record, records, STDERR, STDOUT, stream } from './server-codec.js';

const root = process.geteuid?.() === 0;
const www: User = { uid: 33, gid: 33, groups: [33], name: 'www-data' };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** The answer of a reply that must be one. */
function answered(reply: Reply): Answer & { readonly text: string } {
  if (!reply.ok) throw new Error(JSON.stringify(reply.wrong));
  return { ...reply.value, text: text(reply.value.body) };
}

describe('a real php-fpm', () => {
  let fpm: Fpm;
  beforeAll(async () => {
    fpm = await startFpm({
      open: 'pm.max_children = 4',
      narrow: 'pm.max_children = 1\nlisten.backlog = 1',
      ...(root && {
        locked: 'listen.owner = root\nlisten.group = root\nlisten.mode = 0600',
        shared: 'listen.owner = root\nlisten.group = daemon\nlisten.mode = 0660',
      }),
    });
  });
  afterAll(async () => {
    await fpm.stop();
  });

  const socket = (pool = 'open'): string => join(fpm.dir, `${pool}.sock`);
  const ask = (more: Omit<Partial<Request>, 'address'> & { readonly pool?: string }): Promise<Reply> =>
    request({ params: pageParams('/ping'), timeoutMs: PATIENCE, ...more, address: socket(more.pool) });
  const run = (code: string, more: Partial<Request> = {}): Promise<Reply> =>
    ask({ ...more, params: scriptParams({ file: fpm.script('script.php', code), params: more.params }) });

  it('answers ping with pong', async () => {
    const pong = answered(await ask({}));
    expect([pong.status, pong.text, pong.appStatus, pong.stderr]).toEqual([200, 'pong', 0, '']);
    expect(pong.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(pong.ms).toBeGreaterThan(0);
  });

  it('answers the full status page as JSON, our own question in it', async () => {
    const page = JSON.parse(answered(await ask({ params: pageParams('/status', 'full&json') })).text) as {
      pool: string;
      processes: { 'request uri': string }[];
    };
    expect(page.pool).toBe('open');
    expect(page.processes.map((one) => one['request uri'])).toContain('/status?full&json');
  });

  it('a script gets its parameters, and the caller’s win', async () => {
    const file = fpm.script('echo.php', 'echo json_encode([$_SERVER, $_GET, __FILE__]);');
    const params = { HTTP_HOST: 'shop.example:8080', REMOTE_ADDR: '192.0.2.1', ÜMLAUT: 'ä' };
    const reply = await ask({ params: scriptParams({ file, uri: '/echo.php?a=1&b=%20', params }) });
    const [server, query, ran] = JSON.parse(answered(reply).text) as [object, object, string];
    expect(server).toMatchObject({
      ...params,
      SCRIPT_NAME: '/echo.php',
      PHP_SELF: '/echo.php',
      REQUEST_URI: '/echo.php?a=1&b=%20',
      REQUEST_METHOD: 'GET',
      SERVER_NAME: 'shop.example',
      DOCUMENT_ROOT: fpm.dir,
    });
    expect([query, ran]).toEqual([{ a: '1', b: ' ' }, file]);
  });

  it('a script that does not exist is a 404 with FPM’s word for it', async () => {
    const reply = answered(await ask({ params: scriptParams({ file: join(fpm.dir, 'none.php') }) }));
    expect([reply.status, reply.stderr]).toEqual([404, 'Primary script unknown']);
  });

  it('a script’s own status and headers are the answer’s', async () => {
    const reply = answered(await run('http_response_code(500); header("X-A: b"); echo "broken";'));
    expect([reply.status, reply.headers.get('x-a'), reply.text]).toEqual([500, 'b', 'broken']);
    expect(answered(await run('header("Location: /there");')).status).toBe(302);
  });

  it('a script that says nothing is a 200 without a body', async () => {
    const reply = answered(await run(''));
    expect([reply.status, reply.text]).toEqual([200, '']);
  });

  it('a fatal error that PHP displays has status 200, and shows in body and stderr', async () => {
    const reply = answered(await run('ini_set("display_errors", "1"); nowhere();'));
    expect(reply.status).toBe(200);
    expect(reply.text).toContain('Fatal error');
    expect(reply.stderr).toMatch(/PHP Fatal error: {2}Uncaught Error: Call to undefined function nowhere/);
  });

  it('a fatal error that PHP hides has status 500, and shows in stderr', async () => {
    const reply = answered(await run('ini_set("display_errors", "0"); nowhere();'));
    expect([reply.status, reply.text]).toEqual([500, '']);
    expect(reply.stderr).toContain('PHP Fatal error');
  });

  it('what a script logs is stderr, whatever it answers', async () => {
    const reply = answered(await run('error_log("first"); echo "ok"; error_log("second");'));
    expect(reply.text).toBe('ok');
    expect(reply.stderr).toMatch(/first[^]*second/);
  });

  it('a body below the limit is whole, one above it is no answer', async () => {
    const body = answered(await run('echo str_repeat("abcdefgh", 125000);'));
    expect([body.body.length, body.text === 'abcdefgh'.repeat(125000)]).toEqual([1_000_000, true]);
    const big = 'echo str_repeat("x", 3000000);';
    expect(await run(big)).toEqual({ ok: false, wrong: { kind: 'protocol', detail: 'answer too large' } });
    expect(answered(await run(big, { maxBytes: 3_100_000 })).body.length).toBe(3_000_000);
  });

  it('a request’s body arrives whole', async () => {
    const stdin = Buffer.from('0123456789'.repeat(20000));
    const reply = await run('echo $_SERVER["CONTENT_LENGTH"], " ", md5(file_get_contents("php://input"));', {
      stdin,
      params: { REQUEST_METHOD: 'POST', CONTENT_TYPE: 'application/octet-stream' },
    });
    expect(answered(reply).text).toBe(`200000 ${createHash('md5').update(stdin).digest('hex')}`);
  });

  it('more parameters than one record carries arrive, as long as each fits in one', async () => {
    const params = Object.fromEntries(Array.from('ABCDEF').map((key) => [`HTTP_${key}`, key.repeat(30000)]));
    const reply = await run(
      'echo strlen(join("", array_map(fn ($k) => $_SERVER["HTTP_$k"], str_split("ABCDEF"))));',
      { params },
    );
    expect(answered(reply).text).toBe('180000');
    expect(await run('', { params: { HTTP_A: 'a'.repeat(70000) } })).toEqual({
      ok: false,
      wrong: { kind: 'closed' },
    });
  });

  it('a script slower than the deadline is a timeout, in time', async () => {
    const gate = join(fpm.dir, 'never-late');
    const reply = await run(
      `$end = microtime(true) + 600; while (!file_exists("${gate}") && microtime(true) < $end) usleep(1000);`,
      { timeoutMs: 100 },
    );
    // the script still runs
    expect(reply).toEqual({ ok: false, wrong: { kind: 'timeout', ms: 100 } });
    writeFileSync(gate, '');
  });

  it('a full backlog is the system’s EAGAIN, which nginx would answer with 502', async () => {
    const stop = new AbortController();
    const gate = join(fpm.dir, 'gate');
    const entered = join(fpm.dir, 'entered');
    writeFileSync(entered, '');
    chmodSync(entered, 0o666);
    const file = fpm.script(
      'wait.php',
      `file_put_contents("${entered}", "in"); $end = microtime(true) + 600;
       while (!file_exists("${gate}") && microtime(true) < $end) clearstatcache();`,
    );
    const busy = ask({
      pool: 'narrow',
      params: scriptParams({ file }),
      signal: stop.signal,
      timeoutMs: PATIENCE,
    });
    await waitUntil(() => statSync(entered).size > 0 || undefined, { deadline: PATIENCE });
    // The kernel queues one more than the backlog's number.
    const queued = [1, 2].map(() => ask({ pool: 'narrow', signal: stop.signal, timeoutMs: PATIENCE }));
    expect(await ask({ pool: 'narrow' })).toEqual({ ok: false, wrong: { kind: 'error', code: 'EAGAIN' } });
    stop.abort();
    writeFileSync(gate, '');
    for (const reply of await Promise.all([busy, ...queued]))
      expect(reply).toEqual({ ok: false, wrong: { kind: 'error', code: 'ABORT_ERR' } });
  });

  describe.runIf(root)('asked as somebody else', () => {
    it('a root-only socket refuses www-data, though we are root', async () => {
      const refused = { ok: false, wrong: { kind: 'permission', user: 'www-data' } };
      expect(await ask({ pool: 'locked', as: www })).toEqual(refused);
      expect(process.geteuid?.()).toBe(0);
      expect(answered(await ask({ pool: 'locked' })).text).toBe('pong');
      expect(answered(await ask({ pool: 'locked', as: { ...www, uid: 0, gid: 0 } })).text).toBe('pong');
    });

    it('supplementary groups open what the main group does not', async () => {
      expect(await ask({ pool: 'shared', as: www })).toMatchObject({ wrong: { kind: 'permission' } });
      expect(answered(await ask({ pool: 'shared', as: { ...www, groups: [33, 1] } })).text).toBe('pong');
    });

    it('many at once, as different users, keep their users apart', async () => {
      const users = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? null : www));
      const replies = await Promise.all(users.map((as) => ask({ pool: 'locked', as })));
      expect(replies.map((reply) => reply.ok)).toEqual(users.map((as) => as === null));
    });
  });
});

describe('a server of our own', () => {
  let dir: string;
  let server: Server;
  let path: string;
  const connections = new Set<Socket>();
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'swap-pool-client-'));
    path = join(dir, 's.sock');
  });
  afterEach(async () => {
    for (const connection of connections) connection.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    rmSync(dir, { recursive: true });
  });

  /** Listens and does `act` with what came first on each connection. */
  async function serve(
    act: (socket: Socket, asked: Buffer) => void,
    at: string | number = path,
  ): Promise<void> {
    server = createServer((connection) => {
      connections.add(connection);
      connection.on('error', () => undefined);
      connection.on('close', () => connections.delete(connection));
      connection.once('data', (asked) => {
        act(connection, asked);
      });
    });
    await new Promise<void>((resolve) =>
      typeof at === 'string' ? server.listen(at, resolve) : server.listen(at, '127.0.0.1', resolve),
    );
  }
  const ask = (more: Partial<Request> = {}): Promise<Reply> =>
    request({ address: `unix:${path}`, params: { A: 'b' }, timeoutMs: PATIENCE, ...more });
  const write =
    (...parts: readonly Buffer[]) =>
    (socket: Socket): void => {
      socket.end(Buffer.concat(parts));
    };
  const page = 'Status: 201 Made\r\nX: y\r\n\r\nbody';
  const isGone = async (): Promise<string> =>
    (await waitUntil(() => (connections.size === 0 ? true : undefined), { deadline: PATIENCE })).kind;

  it('gets the request, and what it answers is the reply', async () => {
    let got: Buffer | undefined;
    await serve((socket, asked) => {
      got = asked;
      socket.write(Buffer.concat([record(STDERR, 'noise'), answer(page)]));
    });
    const reply = answered(await ask());
    expect([reply.status, reply.text, reply.stderr]).toEqual([201, 'body', 'noise']);
    expect(pairs(stream(records(got ?? Buffer.alloc(0)), 4))).toEqual([['A', 'b']]);
    // It kept the connection open: closing it is on us.
    expect(await isGone()).toBe('seen');
  });

  it('byte by byte is an answer like any other', async () => {
    await serve((socket) => {
      const rest = [...answer(page)];
      const next = (): void => {
        const byte = rest.shift();
        if (byte !== undefined) socket.write(Buffer.of(byte), next);
      };
      next();
    });
    expect(answered(await ask()).text).toBe('body');
  });

  it.each([
    ['at once', [Buffer.alloc(0)]],
    ['in the head', [record(STDOUT, 'Status: 200')]],
    ['in the middle of a record', [record(STDOUT, page).subarray(0, 20)]],
    ['before its END_REQUEST', [record(STDOUT, page)]],
    ['in the middle of its END_REQUEST', [record(STDOUT, page), endRequest().subarray(0, 12)]],
  ])('that hangs up %s has not answered', async (_, parts) => {
    await serve(write(...parts));
    expect(await ask()).toEqual({ ok: false, wrong: { kind: 'closed' } });
  });

  it('that resets the connection has not answered', async () => {
    // node resets TCP connections only. Port 0: any free one.
    await serve((socket) => socket.resetAndDestroy(), 0);
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    expect(await ask({ address: `127.0.0.1:${String(port)}` })).toEqual({
      ok: false,
      wrong: { kind: 'closed' },
    });
  });

  it.each([
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'version 72'],
    ['no head', answer('no head'), 'no CGI header'],
    ['a page without a head', answer('<h1>Oh no</h1>\n\n'), 'no CGI header'],
    ['that it is overloaded', endRequest(0, 2), 'overloaded'],
  ])('that says %s has not spoken the protocol', async (_, bytes, detail) => {
    await serve(write(bytes));
    expect(await ask()).toEqual({ ok: false, wrong: { kind: 'protocol', detail } });
  });

  it('whose stdout never ends is cut off at the limit, long before the deadline', async () => {
    await serve((socket) => {
      const flood = (): void => {
        if (!socket.destroyed) socket.write(record(STDOUT, Buffer.alloc(60000, 'x')), flood);
      };
      flood();
    });
    const reply = await ask({ timeoutMs: PATIENCE });
    expect(reply).toEqual({ ok: false, wrong: { kind: 'protocol', detail: 'answer too large' } });
    expect(await isGone()).toBe('seen');
  });

  it('whose stderr never ends is a timeout', async () => {
    await serve((socket) => {
      const flood = (): void => {
        if (!socket.destroyed) socket.write(record(STDERR, Buffer.alloc(60000, 'x')), flood);
      };
      flood();
    });
    expect(await ask({ timeoutMs: 150 })).toEqual({ ok: false, wrong: { kind: 'timeout', ms: 150 } });
    expect(await isGone()).toBe('seen');
  });

  it('that says nothing is a timeout, and the connection is closed', async () => {
    await serve(() => undefined);
    expect(await ask({ timeoutMs: 50 })).toEqual({ ok: false, wrong: { kind: 'timeout', ms: 50 } });
    expect(await isGone()).toBe('seen');
  });

  it('an abort ends the request at once, and one before it sends nothing', async () => {
    let asked = 0;
    const stop = new AbortController();
    await serve(() => {
      asked++;
      stop.abort();
    });
    const aborted = { ok: false, wrong: { kind: 'error', code: 'ABORT_ERR' } };
    expect(await ask({ signal: stop.signal })).toEqual(aborted);
    expect(await isGone()).toBe('seen');
    expect(await ask({ signal: stop.signal })).toEqual(aborted);
    expect(asked).toBe(1);
  });

  it('on TCP is asked by host and port, however they are written', async () => {
    await serve((socket) => socket.write(answer(page)), 0);
    const bound = server.address();
    const port = typeof bound === 'object' && bound ? bound.port : 0;
    const addresses = [
      `127.0.0.1:${String(port)}`,
      String(port),
      `*:${String(port)}`,
      `localhost:${String(port)}`,
    ];
    for (const address of [...addresses, { kind: 'tcp', host: '127.0.0.1', port } as const])
      expect(answered(await ask({ address, as: www })).text).toBe('body');
    await new Promise((resolve) => server.close(resolve));
    expect(await ask({ address: `127.0.0.1:${String(port)}` })).toEqual({
      ok: false,
      wrong: { kind: 'refused' },
    });
  });

  it('a socket file nobody listens on is refused, none at all is no socket', async () => {
    await serve(() => undefined);
    renameSync(path, `${path}.dead`);
    await new Promise((resolve) => server.close(resolve));
    expect(existsSync(`${path}.dead`)).toBe(true);
    expect(await ask({ address: { kind: 'unix', path: `${path}.dead` } })).toEqual({
      ok: false,
      wrong: { kind: 'refused' },
    });
    expect(await ask()).toEqual({ ok: false, wrong: { kind: 'no-socket' } });
  });

  it.each([
    ['a path too long for a socket', `/${'x'.repeat(107)}`, 'ENAMETOOLONG'],
    ['a path with a NUL', '/a\0b', 'ENAMETOOLONG'],
    ['no address', 'nonsense', 'EINVAL'],
    ['a port that cannot be', 'localhost:99999', 'ERR_SOCKET_BAD_PORT'],
    ['a path through a file', '/dev/null/x', 'ENOTDIR'],
  ])('%s is an error', async (_, address, code) => {
    expect(await ask({ address })).toEqual({ ok: false, wrong: { kind: 'error', code } });
  });

  it('a path too long for a socket is never cut short: nobody else’s socket is asked', async () => {
    const long = join(dir, 'x'.repeat(107 - dir.length - 1));
    await serve((socket) => socket.write(answer(page)), long);
    expect(answered(await ask({ address: long })).text).toBe('body');
    expect((await ask({ address: `${long}yz` })).ok).toBe(false);
  });
});

describe('the parameters for a script', () => {
  it.each<[string, Parameters<typeof scriptParams>[0], object]>([
    [
      'by its file alone',
      { file: '/srv/shop/public/health.php' },
      {
        SCRIPT_NAME: '/health.php',
        REQUEST_URI: '/health.php',
        DOCUMENT_ROOT: '/srv/shop/public',
        QUERY_STRING: '',
      },
    ],
    [
      'in a folder of the document root',
      { file: '/srv/shop/app/index.php', uri: '/app/index.php?x=?y' },
      { SCRIPT_NAME: '/app/index.php', DOCUMENT_ROOT: '/srv/shop', QUERY_STRING: 'x=?y' },
    ],
    [
      'that is a front controller',
      { file: '/srv/shop/index.php', uri: '/health?deep' },
      {
        SCRIPT_NAME: '/index.php',
        DOCUMENT_URI: '/index.php',
        REQUEST_URI: '/health?deep',
        DOCUMENT_ROOT: '/srv/shop',
      },
    ],
    ['asked for /', { file: '/srv/index.php', uri: '/' }, { SCRIPT_NAME: '/index.php', REQUEST_URI: '/' }],
    [
      'of a virtual host',
      { file: '/a.php', params: { HTTP_HOST: '[::1]:81', SCRIPT_NAME: '/mine' } },
      { HTTP_HOST: '[::1]:81', SERVER_NAME: '[::1]', SCRIPT_NAME: '/mine', DOCUMENT_ROOT: '' },
    ],
  ])('%s', (_, script, expected) => {
    expect(scriptParams(script)).toMatchObject({
      SCRIPT_FILENAME: script.file,
      REMOTE_ADDR: '127.0.0.1',
      ...expected,
    });
  });

  it('of FPM’s own pages name the page as file and script', () => {
    expect(pageParams('/fpm/status', 'full&json')).toMatchObject({
      SCRIPT_NAME: '/fpm/status',
      SCRIPT_FILENAME: '/fpm/status',
      QUERY_STRING: 'full&json',
      REQUEST_URI: '/fpm/status?full&json',
    });
  });
});
