/**
 * A FastCGI server of one process that waits in epoll: node loop.cjs SOCKET. Answers what
 * templates/demo/*.php do, and reads no more of the protocol than nginx and swap-pool write.
 */
const { chmodSync } = require('node:fs');
const { createServer } = require('node:net');

const [, , path] = process.argv;
const slot = process.env.SWAP_POOL_SLOT;

const record = (type, body) => {
  const head = Buffer.from([1, type, 0, 1, body.length >> 8, body.length & 255, 0, 0]);
  return Buffer.concat([head, body]);
};

function pairs(bytes) {
  const found = {};
  let at = 0;
  const length = () => {
    if (bytes[at] < 128) return bytes[at++];
    at += 4;
    return bytes.readUInt32BE(at - 4) & 0x7fffffff;
  };
  while (at < bytes.length) {
    const [name, value] = [length(), length()];
    found[bytes.toString('utf8', at, at + name)] = bytes.toString('utf8', at + name, at + name + value);
    at += name + value;
  }
  return found;
}

function answer(client, params, body) {
  const asked = new URLSearchParams(params.QUERY_STRING);
  const name = /([^/]+)\.php$/.exec(params.SCRIPT_FILENAME ?? '')?.[1];
  const id = asked.get('id') ?? '';
  const replies = { upload: `${id} ${body.length}\n`, health: 'ok', whoami: `${slot}\n` };
  const reply =
    name === 'post' ? Buffer.concat([body, Buffer.from('\n')]) : Buffer.from(replies[name] ?? `${id}\n`);
  const head = `Content-Type: text/plain\r\nX-Pool: ${slot}/${process.pid}\r\nContent-Length: ${reply.length}\r\n\r\n`;
  setTimeout(
    () => {
      const whole = Buffer.concat([Buffer.from(head), reply]);
      const parts = [];
      for (let at = 0; at < whole.length; at += 60_000)
        parts.push(record(6, whole.subarray(at, at + 60_000)));
      client.end(Buffer.concat([...parts, record(6, Buffer.alloc(0)), record(3, Buffer.alloc(8))]));
    },
    Number(asked.get('ms') ?? 0),
  );
}

createServer((client) => {
  let bytes = Buffer.alloc(0);
  let params = Buffer.alloc(0);
  let body = Buffer.alloc(0);
  client.on('error', () => undefined);
  client.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 8 && bytes.length >= 8 + bytes.readUInt16BE(4) + bytes[6]) {
      const content = bytes.subarray(8, 8 + bytes.readUInt16BE(4));
      const type = bytes[1];
      bytes = bytes.subarray(8 + content.length + bytes[6]);
      if (type === 4) params = Buffer.concat([params, content]);
      if (type === 5 && content.length > 0) body = Buffer.concat([body, content]);
      if (type === 5 && content.length === 0) answer(client, pairs(params), body);
    }
  });
}).listen(path, () => chmodSync(path, 0o666));
