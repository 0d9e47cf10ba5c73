/** What a server waits for, told by the kernel of real ones: perl and node, which everybody's machine here has. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serverState } from '../../src/pool/waiting.js';
import { waitUntil } from '../../src/system/clock.js';
import { children, identify, procfs } from '../../src/system/proc.js';
import { socketsAt } from '../../src/system/sockets.js';
import { syscallName } from '../../src/system/syscalls.js';
import { PATIENCE } from '../support/limits.js';

const fs = procfs();

/** `$s` listens; the other socket, `$o`, does too, and is none of the slot's. */
const LISTENS = `use Socket; use POSIX; use IO::Poll; use Time::HiRes;
  socket(my $o, AF_UNIX, SOCK_STREAM, 0); bind($o, sockaddr_un("$ARGV[0].o")); listen($o, 8);
  socket(my $s, AF_UNIX, SOCK_STREAM, 0); bind($s, sockaddr_un($ARGV[0])); listen($s, 8);
  sub bits { my $v = ''; vec($v, fileno($_), 1) = 1 for @_; $v }
  sub poll { my $p = IO::Poll->new; $p->mask($_ => POLLIN) for @_[1..$#_]; $p->poll($_[0]) }
  pipe(my $r, my $w);
`;

const perl = (code: string) => (path: string) => spawn('/usr/bin/perl', ['-e', LISTENS + code, path]);
const node = (code: string) => (path: string) =>
  spawn(process.execPath, [
    '-e',
    `require('net').createServer(() => {}).listen(process.argv[1]); ${code}`,
    path,
  ]);

/** Runs a server, gives back what it is seen to do once it has settled. */
async function stateOf(start: (path: string) => ChildProcess, wanted: string, connects = 0): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'swap-pool-waiting-'));
  const path = join(folder, 's');
  const child = start(path);
  const clients = [];
  try {
    const inodes = (): Set<number> => new Set(socketsAt(fs, { kind: 'unix', path }).listeners);
    const id = identify(fs, child.pid ?? 0);
    if (id === null) throw new Error('it did not start');
    await waitUntil(() => (inodes().size > 0 ? true : undefined), { deadline: PATIENCE });
    for (let each = 0; each < connects; each += 1) clients.push(connect(path).on('error', () => undefined));
    // what is proven is seen sooner or later; what never is, never: it is looked at often
    let last = '';
    let looks = 0;
    await waitUntil(
      () => {
        last = serverState(fs, id, inodes());
        looks += 1;
        return last === wanted && (wanted === 'idle' || looks > 100) ? true : undefined;
      },
      { deadline: PATIENCE, pace: () => 5 },
    );
    return last;
  } finally {
    for (const client of clients) client.destroy();
    // those that it has forked would live on without it
    for (const forked of children(fs, child.pid ?? 0)) process.kill(forked, 'SIGKILL');
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('a server is idle', () => {
  it.each([
    ['in accept(2)', perl('accept(my $c, $s)')],
    ['in select(2) for its listener alone', perl('select(bits($s), undef, undef, undef)')],
    ['in poll(2) for its listener alone', perl('poll(-1, $s)')],
    ['in poll(2) with a pipe to itself', perl('poll(-1, $s, $r)')],
    ['in epoll_wait(2), its other threads waiting for it', node('')],
    ['waiting for a child that accepts', perl('fork or do { accept(my $c, $s); exit }; wait')],
    ['waiting for a signal while a child accepts', perl('fork or do { accept(my $c, $s); exit }; pause')],
  ])('%s', async (_, start) => {
    expect(await stateOf(start, 'idle')).toBe('idle');
  });
});

describe('a server is not seen to be idle', () => {
  it.each([
    ['in a sleep', perl('sleep 100')],
    ['in accept(2) at another listener', perl('accept(my $c, $o)')],
    ['in select(2) that ends by itself', perl('select(bits($s), undef, undef, 100)')],
    ['in select(2) for another listener, too', perl('select(bits($s, $o), undef, undef, undef)')],
    ['in poll(2) that ends by itself', perl('poll(100, $s)')],
    ['in poll(2) for another listener, too', perl('poll(-1, $s, $o)')],
    ['in a read of its own pipe', perl('sysread($r, my $b, 1)')],
    ['waiting for a signal, with nobody who accepts', perl('pause')],
    ['waiting for a program that it has run', perl('close $o; $^F = 2; system("/bin/sleep", "100")')],
    ['in epoll_wait(2) with a timer', node('setTimeout(() => {}, 100000)')],
  ])('%s', async (_, start) => {
    expect(await stateOf(start, 'working')).toBe('working');
  });

  it('in epoll_wait(2) with a connection', async () => {
    expect(await stateOf(node(''), 'working', 1)).toBe('working');
  });

  it('computing', async () => {
    expect(await stateOf(perl('1 while 1'), 'working')).toBe('working');
  });
});

it.each([
  ['x64', 43, 'accept'],
  ['x64', 34, 'signal'],
  ['x64', 230, null],
  ['arm64', 202, 'accept'],
  ['riscv64', 22, 'epoll'],
  ['s390x', 1, 'unknown'],
])('%s %i is %s', (architecture, number, name) => {
  expect(syscallName(number, architecture)).toBe(name);
});
