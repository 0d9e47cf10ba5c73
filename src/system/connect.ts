/** A connection that says nothing: to see who takes it. */
import { connect as open } from 'node:net';
import { after } from './clock.js';
import type { Address } from './sockets.js';

/** Held open until it is closed. */
export interface Opened {
  /** Our own end's, by which the other end can be found in the kernel's table; null for a unix socket. */
  readonly localPort: number | null;
  close(): void;
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
        close: () => {
          socket.destroy();
        },
      });
    });
  });
}
