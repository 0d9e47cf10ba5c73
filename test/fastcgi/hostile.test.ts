/** Answers of a server that means harm, over a real socket: a verdict in bounded time, and no more memory than an answer may take. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { request, type Reply, type Request } from '../../src/fastcgi/client.js';
import { waitUntil } from '../../src/system/clock.js';
import { PATIENCE } from '../support/limits.js';
import { answer, END_REQUEST, endRequest, record, STDERR, STDOUT } from './server-codec.js';

let dir: string;
let path: string;
let server: Server;
/** What is done with each connection, once a request has come. */
let act: (socket: Socket) => void;
const connections = new Set<Socket>();

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'swap-pool-hostile-'));
  path = join(dir, 's.sock');
  server = createServer((socket) => {
    connections.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => connections.delete(socket));
    socket.once('data', () => {
      act(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
});
afterEach(async () => {
  for (const socket of connections) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true });
});

const ask = (more: Partial<Request> = {}): Promise<Reply> =>
  request({ address: `unix:${path}`, params: { A: 'b' }, timeoutMs: PATIENCE, ...more });

/** Sends `chunk` again and again for as long as the other side takes it. */
const flood =
  (chunk: Buffer, first: Buffer = Buffer.alloc(0)) =>
  (socket: Socket): void => {
    const next = (): void => {
      if (!socket.destroyed) socket.write(chunk, next);
    };
    socket.write(first, next);
  };

/** Bytes that this process holds for its objects and buffers. */
const held = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

describe('an answer without end', () => {
  const big = Buffer.alloc(60_000, 'x');
  it.each<[string, Buffer, Buffer, string]>([
    ['stdout', record(STDOUT, big), Buffer.alloc(0), 'answer too large'],
    ['a header that never ends', record(STDOUT, big), record(STDOUT, 'X-Long: '), 'answer too large'],
    [
      'headers without an empty line',
      record(STDOUT, 'A: b\n'.repeat(12_000)),
      Buffer.alloc(0),
      'answer too large',
    ],
    [
      'stdout a byte at a time',
      Buffer.concat(Array.from({ length: 500 }, () => record(STDOUT, 'x', 255))),
      Buffer.alloc(0),
      'answer too large',
    ],
  ])('%s is given up at the limit', async (_, chunk, first, detail) => {
    act = flood(chunk, first);
    const before = held();
    const maxBytes = 64 * 1024;
    expect(await ask({ maxBytes })).toEqual({ ok: false, wrong: { kind: 'protocol', detail } });
    expect(held() - before).toBeLessThan(64 * 1024 * 1024);
  });

  it.each<[string, Buffer]>([
    ['stderr', record(STDERR, big)],
    ['stderr that is all padding', record(STDERR, '', 255)],
    ['empty records of stdout', Buffer.concat(Array.from({ length: 1000 }, () => record(STDOUT, '')))],
    [
      'padding of records of stdout',
      Buffer.concat(Array.from({ length: 200 }, () => record(STDOUT, '', 255))),
    ],
  ])('%s ends at the deadline, with no more held than at its begin', async (_, chunk) => {
    act = flood(chunk);
    const before = held();
    expect(await ask({ timeoutMs: 300 })).toEqual({ ok: false, wrong: { kind: 'timeout', ms: 300 } });
    expect(held() - before).toBeLessThan(64 * 1024 * 1024);
  });
});

describe('an answer that lies', () => {
  it.each<[string, Buffer, object]>([
    ['a length that never comes', record(STDOUT, 'x'.repeat(100)).subarray(0, 50), { kind: 'closed' }],
    ['the largest length, and nothing', Buffer.from([1, STDOUT, 0, 1, 255, 255, 255, 0]), { kind: 'closed' }],
    [
      'an END_REQUEST of 64 kB, cut',
      record(END_REQUEST, Buffer.alloc(0xffff)).subarray(0, 12),
      { kind: 'closed' },
    ],
    ['half a header', Buffer.from([1, STDOUT, 0]), { kind: 'closed' }],
    ['another request’s id', record(STDOUT, 'x', 0, 2), { kind: 'protocol', detail: 'request id 2' }],
    ['a management record', record(10, 'x', 0, 0), { kind: 'protocol', detail: 'request id 0' }],
    ['its own type of record', record(5, 'x'), { kind: 'protocol', detail: 'record type 5' }],
    ['an end before a head', endRequest(), { kind: 'protocol', detail: 'no CGI header' }],
  ])('%s', async (_, bytes, wrong) => {
    act = (socket) => socket.end(bytes);
    expect(await ask()).toEqual({ ok: false, wrong });
  });

  it('with a body of escapes and NULs is an answer: what shows it is the one to clean it', async () => {
    const body = '\u001b]0;owned\u0007\0\u009b2J';
    act = (socket) => socket.end(answer(`Status: 200\n\n${body}`));
    const reply = await ask();
    expect(reply.ok && Buffer.from(reply.value.body).toString()).toBe(body);
  });

  it('law: any records, cut anywhere, have a verdict, and the connection is closed', async () => {
    const piece = fc.oneof(
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
      {
        weight: 4,
        arbitrary: fc
          .tuple(
            fc.constantFrom(STDOUT, STDOUT, STDERR, END_REQUEST, 1, 11, 255),
            fc.oneof(fc.constantFrom('Status: 200\n\n', 'Status: x\n\n', '\r\n\r\n', 'A: b\n'), fc.string()),
            fc.nat(255),
            fc.constantFrom(1, 1, 1, 1, 0, 2, 256, 0xffff),
          )
          .map(([type, body, padding, id]) => record(type, body, padding, id)),
      },
      { weight: 1, arbitrary: fc.constant(endRequest()) },
      // a header that promises more than it brings
      {
        weight: 1,
        arbitrary: fc.nat(0xffff).map((n) => Buffer.from([1, STDOUT, 0, 1, n >> 8, n & 255, 9, 0])),
      },
    );
    const sent = fc.tuple(fc.array(piece, { maxLength: 8 }), fc.nat(), fc.boolean(), fc.boolean());
    await fc.assert(
      fc.asyncProperty(sent, async ([pieces, cut, whole, inTwo]) => {
        const all = Buffer.concat(pieces);
        const bytes = whole ? all : all.subarray(0, cut % (all.length + 1));
        const at = inTwo ? Math.floor(bytes.length / 2) : bytes.length;
        act = (socket) => {
          socket.write(bytes.subarray(0, at), () => socket.end(bytes.subarray(at)));
        };
        const reply = await ask({ maxBytes: 4096 });
        if (reply.ok) {
          expect(reply.value.status).toBeGreaterThanOrEqual(0);
          expect(reply.value.body.length).toBeLessThanOrEqual(4096);
        } else expect(['closed', 'protocol']).toContain(reply.wrong.kind);
        const closed = await waitUntil(() => (connections.size === 0 ? true : undefined), {
          deadline: PATIENCE,
        });
        expect(closed.kind).toBe('seen');
      }),
      { numRuns: 300 },
    );
  });
});
