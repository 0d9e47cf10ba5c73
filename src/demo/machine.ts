/**
 * What the sandbox has to know of the machine it stands on.
 */
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import * as files from '../system/files.js';

/** Whom workers run as. */
export interface Identity {
  readonly user: string;
  readonly group: string;
}

/** An ordinary user that every system has; FPM refuses to run its workers as root. */
export function ordinaryUser(): Identity {
  const entries = (path: string): string[][] => {
    const text = files.readText(path);
    return text.ok ? text.value.split('\n').map((line) => line.split(':')) : [];
  };
  const users = entries('/etc/passwd');
  const user =
    ['www-data', 'nginx', 'http', 'nobody'].find((name) => users.some(([one]) => one === name)) ?? 'nobody';
  const gid = users.find(([name]) => name === user)?.[3];
  return { user, group: entries('/etc/group').find(([, , id]) => id === gid)?.[0] ?? user };
}

/** Where a sandbox may be, the first that will do: see temporaryFolder. */
export const temporaryFolders = (): readonly string[] => [tmpdir(), '/tmp', '/var/tmp'];

/**
 * A temporary folder whose paths are short enough for a socket (sun_path holds 107 bytes, and
 * the names in our folder take some 60), that needs no quotes in nginx's and FPM's files, and that,
 * for root's sake, everybody can walk through.
 */
export function temporaryFolder(forEverybody: boolean): string {
  return (
    temporaryFolders().find((folder) => {
      if (!/^[\w./+-]+$/.test(folder)) return false;
      for (let at = folder; forEverybody && at !== '/'; at = dirname(at)) {
        const facts = files.factsThroughLinks(at);
        if (!facts.ok || (facts.value.mode & 0o1) === 0) return false;
      }
      return Buffer.byteLength(folder) <= 45;
    }) ?? '/tmp'
  );
}

/** A local TCP port that is free now; below the range the kernel hands out to clients, so none of those takes it. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (!handedOut.has(port) && (await isFree(port))) {
      handedOut.add(port);
      return port;
    }
  }
}

/** Ports that nobody may have bound yet, but somebody will. */
const handedOut = new Set<number>();

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen({ host: '127.0.0.1', port }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });

/** Whether somebody takes connections on a local port. */
export const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
