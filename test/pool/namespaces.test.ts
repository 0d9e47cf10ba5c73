/** Pools whose sockets no table of ours shows: a socket's file leads into another network namespace, too. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { value, withRig, type Rig } from './rig.js';

const SERVE = `use Socket; $SIG{PIPE} = 'IGNORE'; socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($ARGV[0])) && listen($s, $ARGV[1]); open(my $up, '>', "$ARGV[0].up");
  if ($ARGV[1] > 0) { while (accept(my $c, $s)) { print $c "here"; close $c } } sleep 600`;
const isPossible = spawnSync('unshare', ['--net', 'true']).status === 0;

/** Listens at blue's socket from another network namespace; `backlog` 0: takes nobody. */
function elsewhere(rig: Rig, backlog = 8): ChildProcess {
  const argv = ['--net', '/usr/bin/perl', '-e', SERVE, rig.path('blue.sock'), String(backlog)];
  return spawn('unshare', argv, { env: {}, stdio: 'ignore' });
}

const answers = (rig: Rig): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(rig.path('blue.sock'));
    socket.on('data', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });

describe.skipIf(!isPossible)('a socket that is listened at in another network namespace', () => {
  it('keeps its file through a sweep and a start, and is swept once nobody listens', () =>
    withRig({}, async (rig) => {
      const server = elsewhere(rig);
      try {
        await rig.until(() => existsSync(rig.path('blue.sock.up')));
        const foreign = { failure: { reason: 'slot-foreign', slot: 'blue', holder: null } };
        expect(await rig.pool.sweep('blue')).toMatchObject(foreign);
        expect(await rig.pool.start('blue')).toMatchObject(foreign);
        expect(await answers(rig)).toBe(true);
      } finally {
        server.kill('SIGKILL');
      }
      await rig.until(() => server.signalCode !== null);
      value(await rig.pool.sweep('blue'));
      expect(existsSync(rig.path('blue.sock'))).toBe(false);
    }));

  it('keeps its file though it takes nobody more', () =>
    withRig({}, async (rig) => {
      const server = elsewhere(rig, 0);
      const waiting: Socket[] = [];
      try {
        await rig.until(() => existsSync(rig.path('blue.sock.up')));
        const codes: unknown[] = [];
        // its backlog of 0 holds one
        for (let each = 0; each < 3; each += 1) {
          const socket = connect(rig.path('blue.sock'));
          socket.on('error', (error: NodeJS.ErrnoException) => codes.push(error.code));
          waiting.push(socket);
        }
        await rig.until(() => codes.includes('EAGAIN'));
        expect(await rig.pool.sweep('blue')).toMatchObject({ failure: { reason: 'slot-foreign' } });
        expect(existsSync(rig.path('blue.sock'))).toBe(true);
      } finally {
        for (const socket of waiting) socket.destroy();
        server.kill('SIGKILL');
      }
    }));
});
