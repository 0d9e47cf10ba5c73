/** argv of a run of swap-pool at a terminal of its own (script(1)), where somebody types one line. */
import { PROGRAM } from './command.js';

/** Its answer: what was typed and all that it said, on stdout; its exit is the run's. */
export function atTerminal(args: readonly string[], line: string): string[] {
  const quoted = [process.execPath, PROGRAM, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
  return [
    '/bin/sh',
    '-c',
    'echo "$1" | SHELL=/bin/sh script -qec "$2" /dev/null',
    'terminal',
    line,
    quoted.join(' '),
  ];
}
