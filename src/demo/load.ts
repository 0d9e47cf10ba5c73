/**
 * The load sender: requests of several classes at once, every one of them recorded, open-loop
 * (a slow answer holds back nobody else's request). It uses timers itself, as an exception:
 * its business is to send at a time, not to wait for something.
 *
 * Loopback only, and bounded in requests and in time.
 */
import { now } from '../system/clock.js';
import { Connection, type Cut, type Exchange, type Outgoing } from './connection.js';
import { openDistance, type Distance } from './distance.js';
import type { Response } from './response.js';

export type LoadClass =
  | 'fast' //            GET, on kept connections and on new ones
  | 'slow' //            a GET that takes seconds
  | 'upload' //          a POST whose body trickles in
  | 'post' //            POSTs, each on a new connection
  | 'idle-keep-alive' // connections held over a distance, now and then a request
  | 'finish' //          work after fastcgi_finish_request
  | 'burst'; //          more requests at once than there are workers

/** What to send. A class that is left out is not sent. Rates are per second, spans in ms. */
export interface LoadPlan {
  /** `fresh`: one of so many goes over a new connection, 2 by default; `connections`: how many are kept for the others, 4. */
  readonly fast?: { readonly rate: number; readonly connections?: number; readonly fresh?: number };
  readonly slow?: { readonly every: number; readonly takes: number };
  readonly upload?: { readonly every: number; readonly takes: number; readonly bytes: number };
  /** By `clients`: a closed loop, POST after POST without a pause; `takes` is how long the pool works on one. */
  readonly post?: { readonly takes: number } & ({ readonly clients: number } | { readonly rate: number });
  /** `every`: on average; `delay`: one way; GET by default. */
  readonly idle?: {
    readonly clients: number;
    readonly every: number;
    readonly delay: number;
    readonly method?: Outgoing['method'];
  };
  readonly finish?: { readonly every: number; readonly takes: number };
  readonly burst?: { readonly every: number; readonly takes: number; readonly requests: number };
}

export interface LoadRecord {
  readonly class: LoadClass;
  readonly id: string;
  /** When the request was sent, on the clock of now(). */
  readonly start: number;
  readonly ms: number;
  /** null: the whole answer came and was the right one. */
  readonly cut: Cut | null;
  /** Who answered, as `slot/pid of the worker`; null when nobody said. */
  readonly by: string | null;
  /** Whether the connection had carried a request before. */
  readonly reused: boolean;
  /** Bytes of an answer that came before a cut. */
  readonly received: number;
}

export interface LoadOptions {
  readonly port: number;
  /** The Host header. */
  readonly host: string;
  readonly plan: LoadPlan;
  /** Stands in every id, to tell the requests of several loads on one site apart. */
  readonly name?: string;
  readonly timeoutMs?: number;
  /** No request is sent after so many, or so late. */
  readonly most?: number;
  readonly longestMs?: number;
}

/** Holds the connections and the records of one run. */
export class Load {
  readonly records: LoadRecord[] = [];
  private readonly pending = new Set<Promise<unknown>>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly open = new Set<Connection>();
  private readonly kept: Connection[] = [];
  private fasts = 0;
  private readonly began = now();
  private readonly sent = new Map<string, LoadClass>();
  private count = 0;
  private stopped = false;
  private distance: Distance | null = null;

  private constructor(private readonly options: LoadOptions) {}

  /** Starts to send. */
  static async start(options: LoadOptions): Promise<Load> {
    const load = new Load(options);
    const { fast, slow, upload, post, idle, finish, burst } = options.plan;
    if (fast) load.pace(1000 / fast.rate, () => load.sendFast(fast.connections ?? 4, fast.fresh ?? 2));
    if (slow) load.pace(slow.every, () => load.sendOnce('slow', slow.takes));
    if (upload) load.pace(upload.every, () => load.sendUpload(upload.bytes, upload.takes));
    if (finish) load.pace(finish.every, () => load.sendOnce('finish', finish.takes));
    if (burst) load.pace(burst.every, () => load.sendBurst(burst));
    if (post && 'rate' in post) load.pace(1000 / post.rate, () => load.sendPost(post.takes));
    if (post && 'clients' in post) {
      for (let n = 0; n < post.clients; n += 1) load.track(load.postOnAndOn(post.takes));
    }
    if (idle) {
      load.distance = await openDistance(options.port, idle.delay);
      for (let n = 0; n < idle.clients; n += 1) load.holdAndAsk(load.distance.port, idle);
    }
    return load;
  }

  /** Requests of a class, or of all, that were sent and have no end yet. */
  underWay(kind?: LoadClass): number {
    return [...this.sent.values()].filter((sent) => kind === undefined || sent === kind).length;
  }

  get plan(): LoadPlan {
    return this.options.plan;
  }

  get cut(): number {
    return this.records.filter((record) => record.cut !== null).length;
  }

  /** One burst now, beside those of the plan. */
  burst(burst: { readonly requests: number; readonly takes: number }): void {
    if (this.sending) this.track(this.sendBurst(burst));
  }

  /** Sends no more, waits for every request under way, and gives all records. */
  async stop(): Promise<readonly LoadRecord[]> {
    this.sendNoMore();
    while (this.pending.size > 0) await Promise.all(this.pending);
    this.abandon();
    return this.records;
  }

  /** Drops everything at once: for a run whose count nobody wants any more. */
  abandon(): void {
    this.sendNoMore();
    for (const connection of this.open) connection.close();
    this.distance?.close();
  }

  private sendNoMore(): void {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  // ---------------------------------------------------------------- the classes

  private async sendFast(connections: number, fresh: number): Promise<void> {
    const id = this.nextId('fast');
    this.fasts += 1;
    const keep = this.fasts % fresh !== 1 % fresh;
    const connection = keep ? await this.takeKept(connections) : this.connect();
    await this.exchange('fast', id, connection, { method: 'GET', target: `/fast.php?id=${id}`, last: !keep });
    if (keep && connection.usable) this.kept.push(connection);
  }

  private sendOnce(kind: 'slow' | 'finish' | 'burst', takes: number): Promise<void> {
    const id = this.nextId(kind);
    const script = kind === 'finish' ? 'finish' : 'slow';
    return this.exchange(kind, id, this.connect(), {
      method: 'GET',
      target: `/${script}.php?id=${id}&ms=${takes}`,
      last: true,
    });
  }

  private sendUpload(bytes: number, takes: number): Promise<void> {
    const id = this.nextId('upload');
    return this.exchange('upload', id, this.connect(), {
      method: 'POST',
      target: `/upload.php?id=${id}`,
      body: Buffer.alloc(bytes, id),
      trickleMs: takes,
      last: true,
    });
  }

  private sendBurst({ requests, takes }: { requests: number; takes: number }): Promise<unknown> {
    return Promise.all(Array.from({ length: requests }, () => this.sendOnce('burst', takes)));
  }

  private sendPost(takes: number): Promise<void> {
    const id = this.nextId('post');
    return this.exchange('post', id, this.connect(), {
      method: 'POST',
      target: `/post.php?id=${id}&ms=${takes}`,
      body: Buffer.from(id),
      last: true,
    });
  }

  private async postOnAndOn(takes: number): Promise<void> {
    while (this.sending) await this.sendPost(takes);
  }

  /** One client: holds a connection, asks at odd moments, and connects anew when it was hung up on. */
  private holdAndAsk(port: number, { every, method = 'GET' }: NonNullable<LoadPlan['idle']>): void {
    let connection = this.connect(port);
    const ask = (): void => {
      this.later(every * (0.5 + Math.random()), async () => {
        await turn();
        if (!connection.usable) connection = this.connect(port);
        if (!this.sending) return;
        const id = this.nextId('idle-keep-alive');
        await this.exchange('idle-keep-alive', id, connection, {
          method,
          last: false,
          ...(method === 'GET'
            ? { target: `/fast.php?id=${id}` }
            : { target: `/post.php?id=${id}`, body: Buffer.from(id) }),
        });
        ask();
      });
    };
    ask();
  }

  // ---------------------------------------------------------------- one request

  private async exchange(
    kind: LoadClass,
    id: string,
    connection: Connection,
    what: Omit<Outgoing, 'host' | 'timeoutMs'>,
  ): Promise<void> {
    const reused = connection.requests > 0;
    this.sent.set(id, kind);
    const start = now();
    const exchange = await connection.exchange({
      ...what,
      host: this.options.host,
      timeoutMs: this.options.timeoutMs ?? 30_000,
    });
    if (!connection.usable) this.open.delete(connection);
    this.sent.delete(id);
    this.records.push({
      class: kind,
      id,
      start,
      ms: now() - start,
      cut: judge(exchange, expected(kind, id, what.body)),
      by: exchange.kind === 'answer' ? (exchange.response.headers.get('x-pool') ?? null) : null,
      reused,
      received: exchange.kind === 'cut' ? exchange.received : exchange.response.body.length,
    });
  }

  private connect(port = this.options.port): Connection {
    const connection = new Connection('127.0.0.1', port);
    this.open.add(connection);
    return connection;
  }

  /** The connection that has been idle longest; a new one while there are fewer than wanted. */
  private async takeKept(wanted: number): Promise<Connection> {
    await turn();
    for (const connection of this.kept.splice(0)) {
      if (connection.usable) this.kept.push(connection);
      else this.open.delete(connection);
    }
    return (this.kept.length >= wanted ? this.kept.shift() : undefined) ?? this.connect();
  }

  // ---------------------------------------------------------------- when

  private get sending(): boolean {
    const { most = 200_000, longestMs = 600_000 } = this.options;
    return !this.stopped && this.count < most && now() - this.began < longestMs;
  }

  /** Calls `act` every `ms`, by the clock: what was missed while the process was busy is made up for. */
  private pace(ms: number, act: () => Promise<unknown>): void {
    let next = now();
    const tick = (): void => {
      while (next <= now() && this.sending) {
        this.track(act());
        next += ms;
      }
      this.later(Math.max(0, next - now()), tick);
    };
    tick();
  }

  private later(ms: number, act: () => Promise<void> | void): void {
    if (!this.sending) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (this.sending) this.track(Promise.resolve(act()));
    }, ms);
    this.timers.add(timer);
  }

  private nextId(kind: LoadClass): string {
    this.count += 1;
    const { name } = this.options;
    return name === undefined ? `${kind}-${this.count}` : `${kind}-${name}-${this.count}`;
  }

  private track(work: Promise<unknown>): void {
    this.pending.add(work);
    void work.finally(() => this.pending.delete(work));
  }
}

/**
 * One turn of the event loop: whatever the kernel has received by now, the end of a kept
 * connection too, has been heard afterwards. A client that did not listen before it wrote
 * would count its own deafness as a cut.
 */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The answer's whole body: it names the request, and for an upload what arrived. */
const expected = (kind: LoadClass, id: string, body: Uint8Array | undefined): string =>
  kind === 'upload' ? `${id} ${body?.length ?? 0}\n` : `${id}\n`;

function judge(exchange: Exchange, body: string): Cut | null {
  if (exchange.kind === 'cut') return exchange.cut;
  const { response } = exchange;
  const got = text(response);
  if (response.status !== 200) return { why: 'status', detail: `${response.status} ${got.slice(0, 200)}` };
  return got === body ? null : { why: 'body', detail: got.slice(0, 200) };
}

const text = (response: Response): string => Buffer.from(response.body).toString('latin1');
