import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ResponseReader, type Reading } from '../../src/demo/response.js';

const read = (chunks: readonly string[], ended = false): Reading => {
  const reader = new ResponseReader();
  let reading: Reading = { kind: 'open' };
  for (const chunk of chunks) reading = reader.push(Buffer.from(chunk, 'latin1'));
  return ended && reading.kind === 'open' ? reader.end() : reading;
};
const bodyOf = (reading: Reading): string | undefined =>
  reading.kind === 'done' ? Buffer.from(reading.response.body).toString() : undefined;

const HEAD = 'HTTP/1.1 200 OK\r\n';

describe('an answer is complete', () => {
  it.each([
    ['with the last byte of its Content-Length', `${HEAD}Content-Length: 3\r\n\r\nabc`, 'abc', true],
    ['at once when it has no body', `${HEAD}Content-Length: 0\r\n\r\n`, '', true],
    [
      'with its last chunk',
      `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x\r\n0123456789\r\n0\r\n\r\n`,
      'abc0123456789',
      true,
    ],
    [
      'but not to be followed, when it says close',
      `${HEAD}Connection: close\r\nContent-Length: 1\r\n\r\nx`,
      'x',
      false,
    ],
    ['but not to be followed, in HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx', 'x', false],
  ])('%s', (_, bytes, body, keepAlive) => {
    const reading = read([bytes]);
    expect(bodyOf(reading)).toBe(body);
    expect(reading.kind === 'done' && reading.response.keepAlive).toBe(keepAlive);
  });

  it('only with the end of the connection when nothing else says how long it is', () => {
    expect(read([`${HEAD}\r\nabc`])).toEqual({ kind: 'open' });
    expect(bodyOf(read([`${HEAD}\r\nabc`], true))).toBe('abc');
  });
});

describe('an answer is not complete', () => {
  it.each([
    ['before its head ends', `${HEAD}Content-Length: 0\r\n`],
    ['a byte short of its Content-Length', `${HEAD}Content-Length: 4\r\n\r\nabc`],
    ['without its last chunk', `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`],
    ['when nothing came', ''],
  ])('%s, even when the connection has ended', (_, bytes) => {
    expect(read([bytes], true)).toEqual({ kind: 'open' });
  });
});

it.each([
  ['no HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['a length that is no number', `${HEAD}Content-Length: 3, 3\r\n\r\nabc`],
  ['a chunk without its end', `${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n`],
  ['a chunk size that is no number', `${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n`],
])('%s is broken', (_, bytes) => {
  expect(read([bytes]).kind).toBe('broken');
});

it('where the bytes are split makes no difference', () => {
  const answer = `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n`;
  fc.assert(
    fc.property(fc.array(fc.nat(answer.length), { maxLength: 8 }), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), answer.length];
      expect(bodyOf(read(at.slice(1).map((end, index) => answer.slice(at[index], end))))).toBe('hello world');
    }),
  );
});

it('any bytes are read without a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const reader = new ResponseReader();
      reader.push(Buffer.concat([Buffer.from(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`), bytes]));
      reader.end();
    }),
  );
});
