/**
 * One HTTP/1.1 answer, read as its bytes come in. PURE. The load sender has its own reader
 * because it has to know exactly whether an answer was complete: an HTTP library that
 * repeats a request over a new connection, or takes the end of a connection for the end of
 * an answer, hides the very thing that is being counted.
 */

export interface Response {
  readonly status: number;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** Whether the server will take another request on this connection. */
  readonly keepAlive: boolean;
}

/** `open`: more bytes are needed. */
export type Reading =
  | { readonly kind: 'open' }
  | { readonly kind: 'done'; readonly response: Response }
  | { readonly kind: 'broken'; readonly detail: string };

/** Longest answer, head and body, in bytes. */
const LONGEST = 4 * 1024 * 1024;

/** Holds what has come so far of one answer. */
export class ResponseReader {
  private bytes = Buffer.alloc(0);

  /** Bytes received so far. */
  get received(): number {
    return this.bytes.length;
  }

  push(chunk: Uint8Array): Reading {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    return this.bytes.length > LONGEST
      ? { kind: 'broken', detail: 'the answer is too long' }
      : read(this.bytes, false);
  }

  /** The server has closed: complete only if the answer was one that ends so. */
  end(): Reading {
    return read(this.bytes, true);
  }
}

const OPEN = { kind: 'open' } as const;

function read(bytes: Buffer, ended: boolean): Reading {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return OPEN;
  const [first = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const status = /^HTTP\/1\.([01]) (\d{3})/.exec(first);
  if (status === null) return { kind: 'broken', detail: `no status line: ${first.slice(0, 80)}` };
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const rest = bytes.subarray(headEnd + 4);
  const done = (body: Uint8Array, delimited: boolean): Reading => ({
    kind: 'done',
    response: {
      status: Number(status[2]),
      headers,
      body,
      keepAlive: delimited && status[1] === '1' && headers.get('connection')?.toLowerCase() !== 'close',
    },
  });

  if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') {
    const body = dechunk(rest);
    return body === 'open'
      ? OPEN
      : body === 'broken'
        ? { kind: 'broken', detail: 'bad chunk' }
        : done(body, true);
  }
  const length = headers.get('content-length');
  if (length === undefined) return ended ? done(rest, false) : OPEN;
  if (!/^\d+$/.test(length)) return { kind: 'broken', detail: `Content-Length: ${length}` };
  return rest.length < Number(length) ? OPEN : done(rest.subarray(0, Number(length)), true);
}

function dechunk(bytes: Buffer): Uint8Array | 'open' | 'broken' {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return 'open';
    const size = /^[0-9a-f]{1,8}(?=$|;)/i.exec(bytes.subarray(at, lineEnd).toString('latin1'))?.[0];
    if (size === undefined) return 'broken';
    const begin = lineEnd + 2;
    const end = begin + Number.parseInt(size, 16);
    if (bytes.length < end + 2) return 'open';
    if (bytes.toString('latin1', end, end + 2) !== '\r\n') return 'broken'; // trailers: nginx sends none
    if (end === begin) return Buffer.concat(parts);
    parts.push(bytes.subarray(begin, end));
    at = end + 2;
  }
}
