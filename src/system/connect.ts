/** A connection of our own to somebody's socket: to see who takes it, and what comes back. */
import { connect as open } from 'node:net';
import type { Socket } from 'node:net';
import { after } from './clock.js';
import type { Address } from './sockets.js';

/** Held open until it is closed. */
export interface Opened {
  /** Our own end's, by which the other end can be found in the kernel's table; null for a unix socket. */
  readonly localPort: number | null;
  /** Says that, and waits until the other side has closed; false: `timeout` ms were not enough for it. */
  say(words: Words, timeout: number): Promise<boolean>;
  close(): void;
}

export interface Words {
  /** Before anything else, in plain text. */
  readonly first: string;
  /** Whoever answers, and with whatever certificate. */
  readonly tls: boolean;
  /** Empty: nothing more will come, and the other side is told so. */
  readonly then: string;
}

/** Connects; an errno name, or `timeout` after so many ms, when that fails. */
export function connectTo(address: Address, timeout: number): Promise<Opened | string> {
  return new Promise((resolve) => {
    const socket = open(
      address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port },
    );
    const cancel = after(timeout, () => {
      socket.destroy();
      resolve('timeout');
    });
    // heard for as long as it lives: a reset of an open one must not end the process
    socket.on('error', (error: NodeJS.ErrnoException) => {
      cancel();
      socket.destroy();
      resolve(error.code ?? error.message);
    });
    socket.on('connect', () => {
      cancel();
      // nobody waits for it when the command has ended
      socket.unref();
      resolve({
        localPort: address.kind === 'tcp' ? (socket.localPort ?? null) : null,
        say: (words, patience) => say(socket, words, patience),
        close: () => {
          socket.destroy();
        },
      });
    });
  });
}

async function say(socket: Socket, { first, tls, then }: Words, timeout: number): Promise<boolean> {
  // node's TLS takes a while to load, and few have to speak it
  const secure = tls ? await import('node:tls') : null;
  return new Promise((resolve) => {
    const cancel = after(timeout, () => {
      resolve(false);
    });
    const over = (): void => {
      cancel();
      resolve(true);
    };
    if (socket.destroyed) {
      over();
      return;
    }
    if (first !== '') socket.write(first);
    // no secret is told, and a proxy's certificate is not for the address that it is reached by
    const end = secure === null ? socket : secure.connect({ socket, rejectUnauthorized: false });
    end.on('close', over);
    // a refused handshake is an answer
    end.on('error', () => {
      socket.destroy();
      over();
    });
    // what comes is of no interest; unread it would hold up the end
    end.resume();
    if (then === '') end.end();
    else end.write(then);
  });
}
