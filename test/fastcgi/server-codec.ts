/** The other side of FastCGI, as a test needs it: records of an answer written, a request's records read. */
export const STDOUT = 6;
export const STDERR = 7;
export const END_REQUEST = 3;

/** One record; `padding` bytes of garbage follow the content. */
export function record(type: number, content: Uint8Array | string, padding = 0, id = 1, version = 1): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.from([
    version,
    type,
    id >> 8,
    id & 0xff,
    body.length >> 8,
    body.length & 0xff,
    padding,
    0,
  ]);
  return Buffer.concat([header, body, Buffer.alloc(padding, 0xee)]);
}

export function endRequest(appStatus = 0, protocolStatus = 0): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt32BE(appStatus);
  body[4] = protocolStatus;
  return record(END_REQUEST, body);
}

/** A whole answer: stdout in one record, and the end. */
export const answer = (stdout: string): Buffer => Buffer.concat([record(STDOUT, stdout), endRequest()]);

export interface Read {
  readonly type: number;
  readonly id: number;
  readonly content: Buffer;
}

/** Cuts bytes into records, as the specification's section 3.3 lays them out. */
export function records(bytes: Uint8Array): Read[] {
  const buffer = Buffer.from(bytes);
  const all: Read[] = [];
  for (let at = 0; at < buffer.length;) {
    const length = buffer.readUInt16BE(at + 4);
    all.push({
      type: buffer[at + 1] ?? 0,
      id: buffer.readUInt16BE(at + 2),
      content: buffer.subarray(at + 8, at + 8 + length),
    });
    at += 8 + length + (buffer[at + 6] ?? 0);
  }
  return all;
}

/** One stream of a request: the contents of its records put together. */
export const stream = (all: readonly Read[], type: number): Buffer =>
  Buffer.concat(all.filter((one) => one.type === type).map((one) => one.content));

/** The name-value pairs in a PARAMS stream (section 3.4). */
export function pairs(bytes: Buffer): [string, string][] {
  const all: [string, string][] = [];
  let at = 0;
  const length = (): number => {
    const short = bytes[at] ?? 0;
    at += short < 128 ? 1 : 4;
    return short < 128 ? short : bytes.readUInt32BE(at - 4) & 0x7fffffff;
  };
  const text = (size: number): string => bytes.subarray(at, (at += size)).toString('utf8');
  while (at < bytes.length) {
    const [name, value] = [length(), length()];
    all.push([text(name), text(value)]);
  }
  return all;
}
