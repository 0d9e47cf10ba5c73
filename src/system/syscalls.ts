/**
 * System calls by name. /proc/PID/syscall tells their numbers, which differ from one
 * architecture to the other (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
 *
 * The arguments it tells are registers: those that a call does not take hold whatever was there
 * before. pause() of a program whose registers hold a 0 looks as if it waited at descriptor 0, and
 * select()'s first argument is a count. So no argument is believed without the call's name.
 */

/** The calls in which a server waits. */
export type Syscall =
  | 'accept'
  | 'poll'
  | 'select'
  | 'epoll'
  | 'futex'
  /** For a child to end: wait4, waitid. */
  | 'wait'
  /** For a signal: pause, rt_sigsuspend, rt_sigtimedwait. */
  | 'signal';

const NAMES: Readonly<Record<string, Readonly<Record<number, Syscall>>>> = {
  x64: {
    43: 'accept',
    288: 'accept',
    7: 'poll',
    271: 'poll',
    23: 'select',
    270: 'select',
    232: 'epoll',
    281: 'epoll',
    441: 'epoll',
    202: 'futex',
    61: 'wait',
    247: 'wait',
    34: 'signal',
    128: 'signal',
    130: 'signal',
  },
  arm64: {
    202: 'accept',
    242: 'accept',
    73: 'poll',
    72: 'select',
    22: 'epoll',
    441: 'epoll',
    98: 'futex',
    260: 'wait',
    95: 'wait',
    133: 'signal',
    137: 'signal',
  },
};

/** Architectures that have the generic table. */
const GENERIC: readonly string[] = ['riscv64', 'loong64'];

/** The call's name; null: none of those, `unknown`: this architecture's numbers are not known here. */
export function syscallName(number: number, architecture: string = process.arch): Syscall | 'unknown' | null {
  const names = NAMES[GENERIC.includes(architecture) ? 'arm64' : architecture];
  return names === undefined ? 'unknown' : (names[number] ?? null);
}
