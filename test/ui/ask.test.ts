import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { ask } from '../../src/ui/ask.js';

const question = { kind: 'nginx-stop', pid: 812, apps: ['shop'] } as const;

function asked(signal = new AbortController().signal) {
  const input = new PassThrough();
  const output = new PassThrough();
  return { input, output, answer: ask(question, null, { input, output, signal }) };
}

it.each([
  ['y\n', true],
  ['Yes \n', true],
  ['n\n', false],
  ['\n', false],
  ['yeah\n', false],
  ['ny\ny\n', false],
])('%j means %j', async (text, yes) => {
  const { input, output, answer } = asked();
  input.write(text);
  expect(await answer).toBe(yes);
  expect(String(output.read())).toMatch(
    /^This stops nginx \(pid 812\), and with it shop and whatever else it serves\.\nhint: .*\nGo on\? \[y\/N\] $/,
  );
});

it('the end of the input and a signal mean no', async () => {
  const ended = asked();
  ended.input.end();
  expect(await ended.answer).toBe(false);
  const controller = new AbortController();
  const signalled = asked(controller.signal);
  controller.abort();
  expect(await signalled.answer).toBe(false);
});
