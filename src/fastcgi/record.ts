/**
 * FastCGI 1.0 as one client with one request a connection speaks it, and the CGI
 * (RFC 3875) head of what comes back. Pure: bytes in, bytes out; never throws, and
 * holds no more than it is told to, whatever arrives.
 *
 * A record: version 1, type, request id (2 bytes), content length (2), padding length
 * (1), reserved (1), content, padding. Strict where nginx is: an answer that nginx
 * would turn into a 502 is no answer.
 */

/** Names and values of a request; sent as UTF-8. */
export type Params = Readonly<Record<string, string>>;

/** The most content one record can carry: its length has 16 bits. */
export const MAX_CONTENT = 0xffff;

/** stderr is for the eyes of a person: what goes beyond is counted, not kept. */
export const MAX_STDERR = 64 * 1024;

/**
 * The bytes of one whole request: BEGIN_REQUEST (responder, the server closes after it),
 * PARAMS, STDIN, each stream ended by an empty record.
 */
export function encodeRequest(params: Params, stdin: Uint8Array = NOTHING): Uint8Array {
  const begin = Uint8Array.of(0, RESPONDER, 0, 0, 0, 0, 0, 0);
  return join([
    encodeRecord(BEGIN_REQUEST, begin),
    ...paramsContents(params).map((content) => encodeRecord(PARAMS, content)),
    encodeRecord(PARAMS, NOTHING),
    ...pieces(stdin).map((content) => encodeRecord(STDIN, content)),
    encodeRecord(STDIN, NOTHING),
  ]);
}

/** What a decoder knows: it needs more bytes, has the whole answer, or has seen what is no answer. */
export type Decoded =
  | { readonly kind: 'more' }
  | {
      readonly kind: 'end';
      readonly stdout: Uint8Array;
      readonly stderr: Uint8Array;
      /** Bytes of stderr beyond MAX_STDERR. */
      readonly stderrDropped: number;
      /** The exit status of a CGI program; PHP always says 0. */
      readonly appStatus: number;
    }
  | { readonly kind: 'wrong'; readonly detail: string };

/**
 * Takes an answer's bytes in any portions. More than `maxBytes` of stdout is wrong
 * ("answer too large"); so is anything nginx rejects: another version, another request
 * id, a record type that does not belong. After `end` or `wrong` it stays so.
 */
export class Decoder {
  private decoded: Decoded = { kind: 'more' };
  private readonly header = new Uint8Array(HEADER);
  private headerAt = 0;
  private contentLeft = 0;
  private paddingLeft = 0;
  private readonly stdout = new Bytes();
  private readonly stderr = new Bytes();
  private stderrDropped = 0;
  private readonly end = new Bytes();

  constructor(private readonly maxBytes: number) {}

  push(chunk: Uint8Array): Decoded {
    let rest = chunk;
    while (rest.length > 0 && this.decoded.kind === 'more') rest = rest.subarray(this.take(rest));
    return this.decoded;
  }

  /** Takes the next part of a record from bytes that are not empty; gives back how many it took. */
  private take(bytes: Uint8Array): number {
    if (this.headerAt < HEADER) {
      const part = bytes.subarray(0, HEADER - this.headerAt);
      this.header.set(part, this.headerAt);
      this.headerAt += part.length;
      if (this.headerAt === HEADER) this.begin();
      return part.length;
    }
    if (this.contentLeft > 0) {
      const part = bytes.subarray(0, this.contentLeft);
      this.contentLeft -= part.length;
      this.content(part);
      this.finish();
      return part.length;
    }
    const skipped = Math.min(bytes.length, this.paddingLeft);
    this.paddingLeft -= skipped;
    this.finish();
    return skipped;
  }

  private begin(): void {
    const [version, type, idHigh, idLow] = this.header;
    const length = uint16(this.header, 4);
    if (version !== 1) this.wrong(`version ${String(version)}`);
    else if (idHigh !== 0 || idLow !== REQUEST_ID) this.wrong(`request id ${String(uint16(this.header, 2))}`);
    else if (type !== STDOUT && type !== STDERR && type !== END_REQUEST)
      this.wrong(`record type ${String(type)}`);
    else if (type === END_REQUEST && length < END_BODY) this.wrong('END_REQUEST too short');
    this.contentLeft = length;
    this.paddingLeft = this.header[6] ?? 0;
    this.finish();
  }

  private content(part: Uint8Array): void {
    if (this.header[1] === STDOUT) {
      if (this.stdout.length + part.length > this.maxBytes) this.wrong('answer too large');
      else this.stdout.add(part);
    } else if (this.header[1] === STDERR) {
      const kept = part.subarray(0, MAX_STDERR - this.stderr.length);
      this.stderr.add(kept);
      this.stderrDropped += part.length - kept.length;
    } else {
      this.end.add(part.subarray(0, END_BODY - this.end.length));
      if (this.end.length === END_BODY) this.ended(this.end.all());
    }
  }

  private ended(body: Uint8Array): void {
    const protocolStatus = body[4] ?? 0;
    if (protocolStatus !== 0)
      this.wrong(PROTOCOL_STATUS[protocolStatus] ?? `protocol status ${String(protocolStatus)}`);
    else
      this.decoded = {
        kind: 'end',
        stdout: this.stdout.all(),
        stderr: this.stderr.all(),
        stderrDropped: this.stderrDropped,
        appStatus: uint16(body, 0) * 0x10000 + uint16(body, 2),
      };
  }

  /** When nothing of this record is left, the next byte is a header's. */
  private finish(): void {
    if (this.contentLeft === 0 && this.paddingLeft === 0) this.headerAt = 0;
  }

  private wrong(detail: string): void {
    this.decoded = { kind: 'wrong', detail };
  }
}

/** The head of a CGI answer. `bodyAt` is the offset of the first byte after it. */
export interface Head {
  readonly status: number;
  /** By name in lower case; the values of a repeated name are joined by ", ". */
  readonly headers: ReadonlyMap<string, string>;
  readonly bodyAt: number;
}

/**
 * Reads the head of a CGI answer: lines up to an empty one, ended by LF or CRLF. Without a
 * `Status` it is 302 where there is a `Location`, else 200. Null where nginx answers 502:
 * no empty line, a name with a space or a control character, a NUL, a status that is no number.
 */
export function parseHead(stdout: Uint8Array): Head | null {
  const headers = new Map<string, string>();
  for (let at = 0; ;) {
    const lf = stdout.indexOf(LF, at);
    if (lf < 0) return null;
    const line = TEXT.decode(stdout.subarray(at, stdout[lf - 1] === CR && lf > at ? lf - 1 : lf));
    at = lf + 1;
    if (line === '') return finishHead(headers, at);
    // nginx skips a stray "HTTP/1.1 200 OK", as it comes from CGI programs made for IIS.
    if (line.startsWith('HTTP/')) continue;
    const colon = line.indexOf(':');
    const name = (colon < 0 ? line : line.slice(0, colon)).toLowerCase();
    if (!HEADER_NAME.test(name) || line.includes('\0')) return null;
    const value = colon < 0 ? '' : line.slice(colon + 1).trim();
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
}

const REQUEST_ID = 1;
const RESPONDER = 1;
const BEGIN_REQUEST = 1;
const END_REQUEST = 3;
const PARAMS = 4;
const STDIN = 5;
const STDOUT = 6;
const STDERR = 7;
const HEADER = 8;
const END_BODY = 8;
const PROTOCOL_STATUS = ['complete', 'cannot multiplex', 'overloaded', 'unknown role'];
const LF = 10;
const CR = 13;
const NOTHING = new Uint8Array(0);
const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });
const HEADER_NAME = /^[^\0-\x20\x7f]+$/;

function finishHead(headers: Map<string, string>, bodyAt: number): Head | null {
  const status = headers.get('status');
  if (status === undefined) return { status: headers.has('location') ? 302 : 200, headers, bodyAt };
  const code = /^\d{3}/.exec(status)?.[0];
  return code === undefined ? null : { status: Number(code), headers, bodyAt };
}

function encodeRecord(type: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  return join([Uint8Array.of(1, type, 0, REQUEST_ID, length >> 8, length & 0xff, 0, 0), content]);
}

/**
 * The contents of the PARAMS records. The protocol lets a pair lie across two records,
 * PHP does not (main/fastcgi.c, fcgi_get_params, reads each record by itself): a record
 * ends between two pairs, unless one pair alone is longer than a record can be.
 */
function paramsContents(params: Params): Uint8Array[] {
  const contents: Uint8Array[] = [];
  let open: Uint8Array[] = [];
  let length = 0;
  const close = (): void => {
    contents.push(...pieces(join(open)));
    open = [];
    length = 0;
  };
  for (const [name, value] of Object.entries(params)) {
    const pair = encodePair(name, value);
    if (length + pair.length > MAX_CONTENT) close();
    open.push(pair);
    length += pair.length;
  }
  close();
  return contents;
}

function encodePair(name: string, value: string): Uint8Array {
  const encoder = new TextEncoder();
  const [n, v] = [encoder.encode(name), encoder.encode(value)];
  return join([encodeLength(n.length), encodeLength(v.length), n, v]);
}

/** One byte below 128, else four with the highest bit set. */
function encodeLength(length: number): Uint8Array {
  return length < 0x80
    ? Uint8Array.of(length)
    : Uint8Array.of((length >>> 24) | 0x80, (length >> 16) & 0xff, (length >> 8) & 0xff, length & 0xff);
}

function pieces(bytes: Uint8Array): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MAX_CONTENT) all.push(bytes.subarray(at, at + MAX_CONTENT));
  return all;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 0x100 + (bytes[at + 1] ?? 0);
}

/** Bytes that come bit by bit: copied, so that a byte of content does not keep its whole chunk alive. */
class Bytes {
  length = 0;
  private held = new Uint8Array(1024);

  add(part: Uint8Array): void {
    const needed = this.length + part.length;
    if (needed > this.held.length) {
      const bigger = new Uint8Array(Math.max(needed, this.held.length * 2));
      bigger.set(this.all());
      this.held = bigger;
    }
    this.held.set(part, this.length);
    this.length = needed;
  }

  all(): Uint8Array {
    return this.held.subarray(0, this.length);
  }
}
