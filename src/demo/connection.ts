/**
 * A client's connection, one request after the other, with nothing repeated and nothing
 * glossed over: a request of which bytes were written and that got no complete answer is cut.
 */
import { connect, type Socket } from 'node:net';
import { after, every } from '../system/clock.js';
import { ResponseReader, type Reading, type Response } from './response.js';

/** How a request ended without the answer that was expected. */
export interface Cut {
  readonly why:
    | 'refused' //  nobody accepted the connection
    | 'reset' //    ECONNRESET, EPIPE
    | 'closed' //   the server hung up before the answer was complete
    | 'timeout'
    | 'protocol' // what came is no HTTP
    | 'status' //   not 200
    | 'body'; //    not the answer to this request
  readonly detail: string;
}

export interface Outgoing {
  readonly method: 'GET' | 'POST';
  readonly target: string;
  readonly host: string;
  /** Asks the server to hang up after the answer. */
  readonly last: boolean;
  readonly body?: Uint8Array;
  /** Sends the body bit by bit over so many ms, as a slow uploader does. */
  readonly trickleMs?: number;
  /** For everything: connecting, sending, the whole answer. */
  readonly timeoutMs: number;
}

export type Exchange =
  | { readonly kind: 'answer'; readonly response: Response }
  /** `received`: bytes of the answer that had come. */
  | { readonly kind: 'cut'; readonly cut: Cut; readonly received: number };

/** How often a slow body sends its next bit, ms. */
const BIT_MS = 100;

/** Holds one TCP connection. */
export class Connection {
  private readonly socket: Socket;
  private closed = false;
  private onBytes: (chunk: Uint8Array) => void = () => undefined;
  private onEnd: (cut: Cut) => void = () => undefined;
  private sent = 0;

  constructor(host: string, port: number) {
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on('data', (chunk: Buffer) => {
      this.onBytes(chunk);
    });
    this.socket.on('end', () => {
      this.over({ why: 'closed', detail: 'the server hung up' });
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      // EADDRNOTAVAIL, our own end running out of ports, comes from connect(2) too: it counts all the same
      const why = error.syscall === 'connect' ? 'refused' : 'reset';
      this.over({ why, detail: `${error.syscall ?? ''} ${error.code ?? error.message}`.trim() });
    });
    this.socket.on('close', () => {
      this.over({ why: 'closed', detail: 'the connection is gone' });
    });
  }

  /** Whether another request may be sent: as far as we have heard, the server has not hung up. */
  get usable(): boolean {
    return !this.closed;
  }

  /** Requests sent so far. */
  get requests(): number {
    return this.sent;
  }

  /** Sends one request and waits for its answer; one at a time. */
  exchange(request: Outgoing): Promise<Exchange> {
    this.sent += 1;
    const reader = new ResponseReader();
    return new Promise((resolve) => {
      let stopTrickle = (): void => undefined;
      const settle = (exchange: Exchange): void => {
        cancel();
        stopTrickle();
        this.onBytes = () => undefined;
        this.onEnd = () => undefined;
        if (exchange.kind === 'cut' || !exchange.response.keepAlive) this.close();
        resolve(exchange);
      };
      const settleCut = (cut: Cut): void => {
        settle({ kind: 'cut', cut, received: reader.received });
      };
      const take = (reading: Reading): boolean => {
        if (reading.kind === 'done') settle({ kind: 'answer', response: reading.response });
        else if (reading.kind === 'broken') settleCut({ why: 'protocol', detail: reading.detail });
        return reading.kind !== 'open';
      };
      const cancel = after(request.timeoutMs, () => {
        settleCut({ why: 'timeout', detail: `${request.timeoutMs} ms` });
      });
      this.onBytes = (chunk) => {
        take(reader.push(chunk));
      };
      this.onEnd = (cut) => {
        if (cut.why !== 'closed' || !take(reader.end())) settleCut(cut);
      };
      if (this.closed) {
        settleCut({ why: 'closed', detail: 'the connection was gone before the request' });
        return;
      }
      this.socket.write(headOf(request));
      if (request.body === undefined) return;
      if (request.trickleMs === undefined) this.socket.write(request.body);
      else stopTrickle = this.trickle(request.body, request.trickleMs);
    });
  }

  close(): void {
    this.closed = true;
    this.socket.destroy();
  }

  private over(cut: Cut): void {
    this.closed = true;
    this.socket.destroy();
    this.onEnd(cut);
  }

  private trickle(body: Uint8Array, ms: number): () => void {
    const bits = Math.max(1, Math.round(ms / BIT_MS));
    const size = Math.ceil(body.length / bits);
    let at = 0;
    const stop = every(BIT_MS, () => {
      this.socket.write(body.subarray(at, at + size));
      at += size;
      if (at >= body.length) stop();
    });
    return stop;
  }
}

const headOf = ({ method, target, host, last, body }: Outgoing): string =>
  [
    `${method} ${target} HTTP/1.1`,
    `Host: ${host}`,
    ...(last ? ['Connection: close'] : []),
    ...(body === undefined
      ? []
      : ['Content-Type: application/octet-stream', `Content-Length: ${body.length}`]),
    '\r\n',
  ].join('\r\n');
