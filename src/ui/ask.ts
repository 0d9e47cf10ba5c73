/**
 * A question at a terminal. One line is read, the terminal stays as it is: Ctrl-C is the kernel's, and a signal is
 * a no.
 */
import { createInterface } from 'node:readline';
import type { Question } from '../event.js';
import { questionLines } from './message/question.js';

/** True for `y` and `yes` alone. */
export function ask(
  question: Question,
  app: string | null,
  {
    input,
    output,
    signal,
  }: {
    readonly input: NodeJS.ReadableStream;
    readonly output: NodeJS.WritableStream;
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  output.write(questionLines(question, app).join('\n'));
  // not as a terminal: readline would set it raw, and hear Ctrl-C itself
  const lines = createInterface({ input, terminal: false });
  return new Promise((resolve) => {
    const answer = (yes: boolean): void => {
      signal.removeEventListener('abort', refuse);
      resolve(yes);
      lines.close();
      input.pause();
    };
    const refuse = (): void => {
      answer(false);
    };
    lines.once('line', (line) => {
      answer(/^\s*y(es)?\s*$/i.test(line));
    });
    lines.once('close', refuse);
    signal.addEventListener('abort', refuse, { once: true });
    if (signal.aborted) refuse();
  });
}
