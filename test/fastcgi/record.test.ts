import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Decoder,
  encodeRequest,
  MAX_CONTENT,
  MAX_STDERR,
  parseHead,
  type Decoded,
} from '../../src/fastcgi/record.js';
import { END_REQUEST, endRequest, pairs, record, records, STDERR, STDOUT, stream } from './server-codec.js';

const [BEGIN_REQUEST, PARAMS, STDIN] = [1, 4, 5];
const LIMIT = 1024 * 1024;

/** Feeds bytes to a fresh decoder, cut where `cuts` says. */
function decode(bytes: Buffer, cuts: readonly number[] = [], maxBytes = LIMIT): Decoded {
  const decoder = new Decoder(maxBytes);
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  let decoded: Decoded = { kind: 'more' };
  at.forEach((from, i) => (decoded = decoder.push(bytes.subarray(from, at[i + 1]))));
  return decoded;
}

const cuts = fc.array(fc.nat(), { maxLength: 12 });
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

describe('a request', () => {
  // Past 128 a length takes four bytes, past 65535 a stream takes several records.
  const long = fc
    .tuple(fc.constantFrom(0, 1, 127, 128, 300, 40000, 65535, 70000), fc.string())
    .map(([n, s]) => s.padEnd(n, 'x'));
  const name = fc.string({ unit: 'binary' }).filter((s) => s !== '__proto__');
  const params = fc.dictionary(name, fc.oneof(fc.string({ unit: 'binary' }), long), { maxKeys: 6 });

  it('law: any parameters and any body come out at the other side as they went in', () => {
    fc.assert(
      fc.property(
        params,
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0, MAX_CONTENT, 140000),
        (given, body, more) => {
          const stdin = Buffer.concat([body, Buffer.alloc(more, 7)]);
          const all = records(encodeRequest(given, stdin));
          expect(Object.fromEntries(pairs(stream(all, PARAMS)))).toEqual({ ...given });
          expect(stream(all, STDIN).equals(stdin)).toBe(true);
          expect(all.every((one) => one.id === 1)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('law: each stream ends with its one empty record, in the order begin, params, stdin', () => {
    fc.assert(
      fc.property(params, (given) => {
        const all = records(encodeRequest(given, Buffer.alloc(10)));
        expect(all[0]).toMatchObject({ type: BEGIN_REQUEST, content: Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]) });
        const types = all.map((one) => one.type);
        expect(types).toEqual([...types].sort((a, b) => a - b));
        for (const type of [PARAMS, STDIN]) {
          const sizes = all.filter((one) => one.type === type).map((one) => one.content.length);
          expect(sizes.indexOf(0)).toBe(sizes.length - 1);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('a record of parameters ends between two pairs, because PHP reads each by itself', () => {
    const given = Object.fromEntries(Array.from('abcdef').map((key) => [key, key.repeat(30000)]));
    const contents = records(encodeRequest(given)).filter(
      (one) => one.type === PARAMS && one.content.length > 0,
    );
    expect(contents.length).toBe(3);
    expect(contents.flatMap((one) => pairs(one.content))).toEqual(Object.entries(given));
  });

  it('without a body its stdin is the empty record alone', () => {
    expect(records(encodeRequest({})).map((one) => [one.type, one.content.length])).toEqual([
      [BEGIN_REQUEST, 8],
      [PARAMS, 0],
      [STDIN, 0],
    ]);
  });
});

describe('an answer', () => {
  const part = fc.record({
    type: fc.constantFrom(STDOUT, STDERR),
    content: fc.uint8Array({ maxLength: 200 }),
    padding: fc.nat(255),
  });

  it('law: however it is cut into records and chunks, both streams are put together again', () => {
    fc.assert(
      fc.property(fc.array(part), fc.nat(0xffffffff), cuts, (parts, appStatus, at) => {
        const bytes = Buffer.concat([
          ...parts.map((one) => record(one.type, one.content, one.padding)),
          endRequest(appStatus),
        ]);
        const whole = (type: number): string =>
          parts
            .filter((one) => one.type === type)
            .map((one) => text(one.content))
            .join('');
        const decoded = decode(bytes, at);
        expect(decoded).toMatchObject({ kind: 'end', appStatus, stderrDropped: 0 });
        if (decoded.kind !== 'end') return;
        expect([text(decoded.stdout), text(decoded.stderr)]).toEqual([whole(STDOUT), whole(STDERR)]);
      }),
    );
  });

  it('law: no prefix of an answer is an answer', () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), fc.nat(), (parts, at) => {
        const bytes = Buffer.concat([
          ...parts.map((one) => record(one.type, one.content, one.padding)),
          endRequest(),
        ]);
        expect(decode(bytes.subarray(0, at % bytes.length))).toEqual({ kind: 'more' });
      }),
    );
  });

  it('law: any bytes, in any chunks, give one and the same verdict and never a throw', () => {
    const header = fc.tuple(
      fc.constantFrom(1, 1, 1, 0, 2),
      fc.constantFrom(STDOUT, STDERR, END_REQUEST, 11),
      fc.uint8Array({ maxLength: 30 }),
    );
    const bytes = fc
      .array(
        fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          header.map(([version, type, body]) => record(type, body, 0, 1, version)),
        ),
      )
      .map((all) => Buffer.concat(all));
    fc.assert(
      fc.property(bytes, cuts, (given, at) => {
        expect(decode(given, at, 64)).toEqual(decode(given, [], 64));
      }),
      { numRuns: 500 },
    );
  });

  it('law: no more than the limit is ever held', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1 }), fc.nat(400), (parts, maxBytes) => {
        const bytes = Buffer.concat([
          ...parts.map((one) => record(one.type, one.content, one.padding)),
          endRequest(),
        ]);
        const size = parts
          .filter((one) => one.type === STDOUT)
          .reduce((sum, one) => sum + one.content.length, 0);
        const decoded = decode(bytes, [], maxBytes);
        if (size > maxBytes) expect(decoded).toEqual({ kind: 'wrong', detail: 'answer too large' });
        else expect(decoded.kind).toBe('end');
      }),
    );
  });

  it('stderr beyond its limit is counted, not kept, and does not spoil the answer', () => {
    const flood = Buffer.concat(Array.from({ length: 3 }, () => record(STDERR, Buffer.alloc(60000, 'e'))));
    const decoded = decode(Buffer.concat([flood, record(STDOUT, 'x'), endRequest()]));
    expect(decoded).toMatchObject({ kind: 'end', stderrDropped: 180000 - MAX_STDERR });
    expect(decoded.kind === 'end' && [decoded.stderr.length, text(decoded.stdout)]).toEqual([
      MAX_STDERR,
      'x',
    ]);
  });

  it('an endless stdout is given up at the limit', () => {
    const decoder = new Decoder(LIMIT);
    const chunk = record(STDOUT, Buffer.alloc(60000));
    let pushed = 0;
    while (decoder.push(chunk).kind === 'more') pushed++;
    expect(pushed).toBe(Math.floor(LIMIT / 60000));
  });

  it.each([
    ['HTTP is not FastCGI', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'version 72'],
    ['another version', record(STDOUT, 'x', 0, 1, 2), 'version 2'],
    ['another request’s id', record(STDOUT, 'x', 0, 2), 'request id 2'],
    ['a request id whose low byte is ours', record(STDOUT, 'x', 0, 257), 'request id 257'],
    ['a management record', record(11, Buffer.alloc(8), 0, 0), 'request id 0'],
    ['a record only a client sends', record(STDIN, 'x'), 'record type 5'],
    ['an unknown type', record(12, ''), 'record type 12'],
    ['an END_REQUEST without its body', record(END_REQUEST, '1234567'), 'END_REQUEST too short'],
    ['a server that cannot multiplex', endRequest(0, 1), 'cannot multiplex'],
    ['an overloaded server', endRequest(0, 2), 'overloaded'],
    ['a server that is no responder', endRequest(0, 3), 'unknown role'],
    ['an unheard-of status', endRequest(0, 9), 'protocol status 9'],
  ])('%s is no answer', (_, bytes, detail) => {
    expect(decode(Buffer.concat([bytes, endRequest()]))).toEqual({ kind: 'wrong', detail });
  });

  it('what follows the end changes nothing', () => {
    expect(decode(Buffer.concat([record(STDOUT, 'x'), endRequest(), Buffer.from('garbage')])).kind).toBe(
      'end',
    );
  });

  it('empty records and a padded END_REQUEST are fine', () => {
    const end = record(END_REQUEST, Buffer.concat([endRequest(7).subarray(8), Buffer.from('more')]), 255);
    const bytes = Buffer.concat([record(STDOUT, ''), record(STDERR, '', 255), end]);
    expect(decode(bytes)).toMatchObject({ kind: 'end', appStatus: 7 });
  });
});

describe('the CGI head', () => {
  const head = (given: string): unknown => {
    const parsed = parseHead(Buffer.from(given));
    return parsed && [parsed.status, Object.fromEntries(parsed.headers), given.slice(parsed.bodyAt)];
  };

  it.each<[string, string, unknown]>([
    ['CRLF', 'Content-type: text/html\r\n\r\nhi', [200, { 'content-type': 'text/html' }, 'hi']],
    ['LF', 'Status: 404 Not Found\nX:y\n\nhi\n\n', [404, { status: '404 Not Found', x: 'y' }, 'hi\n\n']],
    ['both mixed', 'A: 1\r\nB: 2\n\r\n\n', [200, { a: '1', b: '2' }, '\n']],
    ['no headers at all', '\r\nbody', [200, {}, 'body']],
    ['a status without a phrase', 'Status: 503\n\n', [503, { status: '503' }, '']],
    ['a redirect that names no status', 'Location: /x\n\n', [302, { location: '/x' }, '']],
    [
      'a redirect that names one',
      'Location: /x\nStatus: 201\n\n',
      [201, { location: '/x', status: '201' }, ''],
    ],
    ['a repeated name', 'V: a\nv: b\n\n', [200, { v: 'a, b' }, '']],
    ['a stray status line', 'HTTP/1.1 500 Oops\nA: b\n\n', [200, { a: 'b' }, '']],
    ['a name without a colon', 'lonely\n\n', [200, { lonely: '' }, '']],
    ['a value with colons', 'A: b:c:d\n\n', [200, { a: 'b:c:d' }, '']],
    [
      'names of objects’ own',
      '__proto__: x\nconstructor: y\n\n',
      [
        200,
        Object.fromEntries([
          ['__proto__', 'x'],
          ['constructor', 'y'],
        ]),
        '',
      ],
    ],
  ])('%s', (_, given, expected) => {
    expect(head(given)).toEqual(expected);
  });

  it.each([
    ['nothing', ''],
    ['no empty line', 'Content-type: text/html\r\n'],
    ['an HTML page', '<!doctype html>\n<p>oops\n\n'],
    ['a PHP warning before the headers', 'Warning: x\nin some file\n\n'],
    ['a folded line', 'A: b\n c\n\n'],
    ['a NUL', 'A: b\0\n\n'],
    ['no name', ': b\n\n'],
    ['a status that is no number', 'Status: OK\n\n'],
    ['a status too short', 'Status: 20\n\n'],
  ])('%s: nginx answers 502, so this is no head', (_, given) => {
    expect(head(given)).toBeNull();
  });

  it('law: any bytes are a head or none, never a throw', () => {
    const lines = fc
      .array(fc.constantFrom('Status: 200', 'A: b', '', '\r', ':', '\0', 'HTTP/', '\x80'))
      .map((all) => Buffer.from(all.join('\n')));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), lines), (bytes) => {
        const parsed = parseHead(bytes);
        if (parsed) expect(parsed.bodyAt).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 500 },
    );
  });

  it('a line of a megabyte is read', () => {
    expect(parseHead(Buffer.from(`A: ${'x'.repeat(LIMIT)}\n\n`))?.headers.get('a')?.length).toBe(LIMIT);
  });
});
