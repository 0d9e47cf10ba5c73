import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Load, type LoadPlan, type LoadRecord } from '../../src/demo/load.js';
import { waitUntil } from '../../src/system/clock.js';
import { PATIENCE } from '../support/limits.js';

/** A server of one line: what it does with the nth request (its head, as text) on a connection. */
type Answer = (socket: Socket, head: string, nth: number) => void;

let server: Server | undefined;
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server?.close();
  server = undefined;
});

function serve(answer: Answer): Promise<number> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    let nth = 0;
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const head = /^[^]*?\r\n\r\n/.exec(text)?.[0];
      if (head === undefined) return;
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (text.length < head.length + length) return;
      text = '';
      answer(socket, head, (nth += 1));
    });
  });
  return new Promise((resolve) => {
    server?.listen(0, '127.0.0.1', () => {
      resolve((server?.address() as AddressInfo).port);
    });
  });
}

const idOf = (head: string): string => /id=([\w-]+)/.exec(head)?.[1] ?? '';
const ok = (socket: Socket, head: string): void => {
  const body = `${idOf(head)}\n`;
  socket.write(`HTTP/1.1 200 OK\r\nX-Pool: blue/7\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
};

async function record(
  port: number,
  plan: LoadPlan,
  count: number,
  timeoutMs = PATIENCE,
): Promise<readonly LoadRecord[]> {
  const load = await Load.start({ port, host: 'demo.test', plan, timeoutMs });
  await waitUntil(() => (load.records.length >= count ? true : undefined), { deadline: PATIENCE });
  return load.stop();
}
const ONE: LoadPlan = { slow: { every: 100_000, takes: 0 } };

describe('a request is cut', () => {
  it.each<[string, string, Answer]>([
    ['when the connection is reset', 'reset', (socket) => socket.resetAndDestroy()],
    ['when the server hangs up without a word', 'closed', (socket) => socket.end()],
    [
      'when the answer breaks off in its body',
      'closed',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow'),
    ],
    [
      'when the answer breaks off between two chunks',
      'closed',
      (socket) => socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nslow-1\n\r\n'),
    ],
    ['when it never comes', 'timeout', () => undefined],
    [
      'when nginx had to make one up',
      'status',
      (socket) => socket.write('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'),
    ],
    [
      'when it is another request’s',
      'body',
      (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nslow-2\n'),
    ],
    ['when it is no HTTP', 'protocol', (socket) => socket.write('hello\r\n\r\n')],
  ])('%s', async (_, why, answer) => {
    const records = await record(await serve(answer), ONE, 1, why === 'timeout' ? 300 : PATIENCE);
    expect(records).toHaveLength(1);
    expect(records[0]).toMatchObject({ class: 'slow', cut: { why } });
  });

  it('when nobody listens', async () => {
    const port = await serve(ok);
    await new Promise((resolve) => server?.close(resolve));
    expect(await record(port, ONE, 1)).toMatchObject([{ cut: { why: 'refused' } }]);
  });

  it('when a kept connection ends after the next request was sent, and it is not tried again', async () => {
    const served: string[] = [];
    const port = await serve((socket, head, nth) => {
      served.push(idOf(head));
      if (nth === 3) socket.end();
      else ok(socket, head);
    });
    const records = await record(port, { fast: { rate: 100, connections: 1 } }, 20);
    const lost = records.filter(({ cut }) => cut !== null);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.every(({ cut, reused }) => cut?.why === 'closed' && reused)).toBe(true);
    expect(served).toHaveLength(new Set(served).size);
    expect(records).toHaveLength(served.length);
  });
});

describe('a request is not cut', () => {
  it('when the server hung up before it was sent: it goes over a new connection', async () => {
    const port = await serve((socket, head) => {
      ok(socket, head);
      setTimeout(() => socket.end(), 2);
    });
    const records = await record(port, { fast: { rate: 20, connections: 1 } }, 12);
    expect(records.filter(({ cut }) => cut !== null)).toEqual([]);
    expect(records.some(({ by }) => by === 'blue/7')).toBe(true);
  });

  it('when a client at a distance connects anew because it has heard the end', async () => {
    const port = await serve((socket, head) => {
      ok(socket, head);
      socket.end();
    });
    const plan = { idle: { clients: 2, every: 200, delay: 10 } };
    const records = await record(port, plan, 6);
    expect(records.filter(({ cut }) => cut !== null)).toEqual([]);
    // there and back; node's timers count in whole milliseconds of a cached clock, so each may be one early
    expect(Math.min(...records.map(({ ms }) => ms))).toBeGreaterThanOrEqual(18);
  });
});

it('at a distance a client sends into a connection that is already closed', async () => {
  const port = await serve((socket, head) => {
    ok(socket, head);
    // hangs up when the next request may already be on its way
    setTimeout(() => socket.end(), 100);
  });
  const records = await record(port, { idle: { clients: 4, every: 80, delay: 50 } }, 20);
  expect(records.some(({ cut, reused, received }) => cut !== null && reused && received === 0)).toBe(true);
});

it('a slow answer holds no other request back', async () => {
  const slow: (() => void)[] = [];
  const port = await serve((socket, head) => {
    if (idOf(head).startsWith('slow')) slow.push(() => ok(socket, head));
    else ok(socket, head);
  });
  const plan = { slow: { every: 20, takes: 0 }, fast: { rate: 50 } };
  const load = await Load.start({ port, host: 'demo.test', plan, timeoutMs: PATIENCE });
  // not one of the slow ones is answered meanwhile
  await waitUntil(() => (slow.length > 20 && load.records.length > 20 ? true : undefined), {
    deadline: PATIENCE,
  });
  expect(load.records.every((one) => one.class === 'fast')).toBe(true);
  const stopped = load.stop();
  // those that are on their way, too
  await waitUntil(
    () => {
      for (const answer of slow.splice(0)) answer();
      return load.underWay() === 0 ? true : undefined;
    },
    { deadline: PATIENCE },
  );
  const records = await stopped;
  expect(records.filter(({ cut }) => cut !== null)).toEqual([]);
  expect(records.filter((one) => one.class === 'slow').length).toBeGreaterThan(20);
});

it('stop() waits for every request under way, and nothing is sent afterwards', async () => {
  let served = 0;
  const port = await serve((socket, head) => {
    served += 1;
    setTimeout(() => ok(socket, head), 100);
  });
  const plan = {
    fast: { rate: 100 },
    post: { clients: 2, takes: 0 },
    idle: { clients: 3, every: 50, delay: 5 },
  };
  const load = await Load.start({ port, host: 'demo.test', plan });
  await waitUntil(() => (load.underWay() > 5 ? true : undefined), { deadline: PATIENCE });
  const records = await load.stop();
  expect(load.underWay()).toBe(0);
  expect(records.filter(({ cut, class: kind }) => cut !== null && kind !== 'post')).toEqual([]);
  expect(records).toHaveLength(served);
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect(served).toBe(records.length);
});

it('an upload trickles, and its answer says how much arrived', async () => {
  const port = await serve((socket, head) => {
    const body = `${idOf(head)} ${/content-length: (\d+)/i.exec(head)?.[1] ?? ''}\n`;
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
  const plan = { upload: { every: 100_000, takes: 400, bytes: 10_000 } };
  const load = await Load.start({ port, host: 'demo.test', plan });
  await waitUntil(() => (load.records.length > 0 ? true : undefined), { deadline: PATIENCE });
  const [upload] = await load.stop();
  expect(upload).toMatchObject({ cut: null });
  expect(upload?.ms).toBeGreaterThan(350);
});

it('a run is bounded in requests', async () => {
  const load = await Load.start({
    port: await serve(ok),
    host: 'demo.test',
    plan: { fast: { rate: 1000 } },
    most: 25,
  });
  await waitUntil(() => (load.records.length >= 25 ? true : undefined), { deadline: PATIENCE });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await load.stop()).toHaveLength(25);
});

it('one fast request of five goes over a new connection, and POSTs and bursts come when they are due, answered or not', async () => {
  const heads: { readonly head: string; readonly nth: number }[] = [];
  const port = await serve((socket, head, nth) => {
    heads.push({ head, nth });
    // a POST is answered with its body, which is its id, and these never are
    if (!head.startsWith('POST')) ok(socket, head);
  });
  const plan = { fast: { rate: 50, fresh: 5 }, post: { rate: 50, takes: 0 } };
  const load = await Load.start({ port, host: 'demo.test', plan, timeoutMs: 300 });
  load.burst({ requests: 7, takes: 0 });
  await waitUntil(() => (load.records.length > 60 ? true : undefined), { deadline: PATIENCE });
  const records = await load.stop();
  const fast = heads.filter(({ head }) => head.includes('id=fast-'));
  const fresh = fast.filter(({ head }) => head.includes('Connection: close'));
  expect(Math.abs(fresh.length - fast.length / 5)).toBeLessThan(1);
  expect(records.filter((one) => one.class === 'burst')).toHaveLength(7);
  const posts = records.filter((one) => one.class === 'post');
  expect(posts.length).toBeGreaterThan(5);
  expect(posts.every(({ cut }) => cut?.why === 'timeout')).toBe(true);
  load.burst({ requests: 7, takes: 0 });
  expect(await load.stop()).toHaveLength(records.length);
});

it('clients at a distance POST where they are asked to', async () => {
  const port = await serve((socket, head) => {
    ok(socket, head);
  });
  const records = await record(port, { idle: { clients: 2, every: 50, delay: 1, method: 'POST' } }, 6);
  expect(records.every(({ cut }) => cut === null)).toBe(true);
});
