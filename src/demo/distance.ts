/**
 * A line that is as long as the Internet: a TCP proxy on loopback that holds every byte, and
 * every end of a connection, back for some milliseconds in each direction. On loopback a
 * client hears within microseconds that the server has hung up; only over a distance does it
 * send its next request into a connection that is already closed.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { after } from '../system/clock.js';

export interface Distance {
  readonly port: number;
  close(): void;
}

/** Opens a proxy to a local port; `delayMs` is for one way, a round trip takes twice that. */
export function openDistance(to: number, delayMs: number): Promise<Distance> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ host: '127.0.0.1', port: to, allowHalfOpen: true, noDelay: true });
    forward(client, upstream, delayMs);
    forward(upstream, client, delayMs);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    }
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () => {
          server.close();
          for (const socket of sockets) socket.destroy();
        },
      });
    });
  });
}

function forward(from: Socket, to: Socket, delayMs: number): void {
  const later = (act: () => void): void => {
    after(delayMs, () => {
      if (!to.destroyed) act();
    });
  };
  from.on('data', (chunk) => {
    later(() => to.write(chunk));
  });
  from.on('end', () => {
    later(() => to.end());
  });
  // a reset travels as far as a byte does
  from.on('error', () => {
    later(() => to.resetAndDestroy());
  });
}
