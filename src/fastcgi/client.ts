/**
 * One FastCGI request over a connection of its own, connected as nginx's workers would
 * be, with a deadline. It asks as nginx asks (no keep-alive, strict about the answer), so
 * that what passes here passes there.
 */
import { connect, type Socket } from 'node:net';
import type { WrongAnswer } from '../event.js';
import { after, now } from '../system/clock.js';
import { asUser, currentUser, type User } from '../system/user.js';
import { Decoder, encodeRequest, parseHead, type Params } from './record.js';

/** The shape of system/sockets.ts's Address. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

export interface Request {
  /** As text: a unix socket's absolute path, with or without `unix:`, `host:port`, `[v6]:port`, or a port alone. */
  readonly address: Address | string;
  readonly params: Params;
  /** The request's body; CONTENT_LENGTH is added for it. */
  readonly stdin?: Uint8Array | undefined;
  /** For everything together: connecting, sending, the whole answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Who opens a unix socket (when we are root). Over TCP nobody asks. */
  readonly as?: User | null | undefined;
  /** The largest answer, head and body, in bytes; more is a wrong answer. Default 1 MiB. */
  readonly maxBytes?: number | undefined;
}

export interface Answer {
  readonly status: number;
  /** By name in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** What the application wrote to stderr; where PHP has no error_log, its errors. At most 64 KiB. */
  readonly stderr: string;
  readonly appStatus: number;
  /** From the call to the last byte, milliseconds. */
  readonly ms: number;
}

export type Reply =
  { readonly ok: true; readonly value: Answer } | { readonly ok: false; readonly wrong: WrongAnswer };

/**
 * Sends one request and gives back the answer, of whatever status, or why there was none:
 * `no-socket`, `refused`, `permission`, `timeout`, `closed`, `protocol`, or `error` with the
 * system's code (EAGAIN: the socket's backlog is full; ABORT_ERR: `signal` was aborted).
 * The connection is gone when the promise settles. An answer that never comes leaves work
 * behind all the same: PHP runs a script on whose client went away, and a connection that was
 * not yet accepted waits in the backlog until a worker takes it.
 *
 * It rejects only when the process could not become root again (system/user.ts).
 */
export function request(asked: Request): Promise<Reply> {
  const { timeoutMs, signal, as = null, maxBytes = 1024 * 1024 } = asked;
  const began = now();
  return new Promise((resolve, reject) => {
    let socket: Socket | undefined;
    const settle = (reply: Reply): void => {
      cancel();
      signal?.removeEventListener('abort', abort);
      socket?.destroy();
      resolve(reply);
    };
    const abort = (): void => {
      settle(wrong({ kind: 'error', code: 'ABORT_ERR' }));
    };
    const cancel = after(timeoutMs, () => {
      settle(wrong({ kind: 'timeout', ms: timeoutMs }));
    });
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) {
      abort();
      return;
    }

    try {
      socket = open(asked.address, as);
    } catch (error) {
      // Without a code it is no refusal of the system: we could not become root again.
      if (codeOf(error) === undefined) reject(error instanceof Error ? error : new Error(String(error)));
      settle(wrong(wrongOf(error, as)));
      return;
    }
    const decoder = new Decoder(maxBytes);
    socket.on('error', (error) => {
      settle(wrong(wrongOf(error, as)));
    });
    socket.on('end', () => {
      settle(wrong({ kind: 'closed' }));
    });
    socket.on('data', (chunk) => {
      const reply = read(decoder, chunk, now() - began);
      if (reply) settle(reply);
    });
    socket.write(encodeRequest(withLength(asked.params, asked.stdin), asked.stdin));
  });
}

export interface Script {
  /** The script's file, as the pool sees it. */
  readonly file: string;
  /** Path and query of the URI it is asked for; default: the file's name. */
  readonly uri?: string | undefined;
  /** More parameters; they win over ours. */
  readonly params?: Params | undefined;
}

/**
 * The parameters with which nginx (its fastcgi.conf) would ask a pool for `script`: a GET
 * from 127.0.0.1. REDIRECT_STATUS is what PHP's cgi.force_redirect looks for. Where the file
 * ends with the URI's path, what is before it is the document root; else (a front
 * controller, which answers for URIs that name no file) its folder.
 */
export function scriptParams({ file, uri, params = {} }: Script): Params {
  const name = file.slice(file.lastIndexOf('/'));
  const asked = uri ?? name;
  const [path = ''] = asked.split('?', 1);
  const script = path.length > 1 && path.startsWith('/') && file.endsWith(path) ? path : name;
  const host = params['HTTP_HOST'] ?? 'localhost';
  return {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'swap-pool',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: host.replace(/:\d+$/, ''),
    SERVER_ADDR: '127.0.0.1',
    SERVER_PORT: '80',
    REMOTE_ADDR: '127.0.0.1',
    REMOTE_PORT: '0',
    REQUEST_SCHEME: 'http',
    REQUEST_METHOD: 'GET',
    REQUEST_URI: asked,
    DOCUMENT_URI: script,
    QUERY_STRING: asked.slice(path.length + 1),
    SCRIPT_NAME: script,
    SCRIPT_FILENAME: file,
    DOCUMENT_ROOT: file.slice(0, file.length - script.length),
    CONTENT_TYPE: '',
    CONTENT_LENGTH: '',
    REDIRECT_STATUS: '200',
    HTTP_HOST: host,
    ...params,
  };
}

/**
 * The parameters that ask FPM itself: `path` is the pool's ping.path or pm.status_path, which
 * FPM compares with SCRIPT_NAME; `query` is the page's form, such as `full&json`.
 */
export function pageParams(path: string, query = ''): Params {
  return scriptParams({ file: path, uri: query === '' ? path : `${path}?${query}` });
}

/** sun_path of sockaddr_un holds 108 bytes, one of them the final NUL. */
const MAX_PATH = 107;

/** @throws an Error with a `code`, or what asUser throws. */
function open(asked: Address | string, as: User | null): Socket {
  const address = typeof asked === 'string' ? parseAddress(asked) : asked;
  if (address.kind === 'tcp') {
    // Every address of this machine, as FPM writes it: whoever listens there hears loopback too.
    const host = address.host === '*' || address.host === '' ? '127.0.0.1' : address.host;
    return connect({ host, port: address.port, noDelay: true });
  }
  const { path } = address;
  // node 20 cuts a longer path short without a word, and would connect to another socket.
  if (Buffer.byteLength(path) > MAX_PATH || path.includes('\0')) throw systemError('ENAMETOOLONG', path);
  return asUser(as, () => connect({ path }));
}

function parseAddress(text: string): Address {
  const path = /^(?:unix:)?(\/.*)$/s.exec(text)?.[1];
  if (path !== undefined) return { kind: 'unix', path };
  const tcp = /^(?:(?:\[([^\]]+)\]|([^:]+)):)?(\d+)$/.exec(text);
  if (!tcp) throw systemError('EINVAL', text);
  return { kind: 'tcp', host: tcp[1] ?? tcp[2] ?? '*', port: Number(tcp[3]) };
}

const systemError = (code: string, about: string): Error => Object.assign(new Error(about), { code });

/** The reply, once the bytes that came decide it. */
function read(decoder: Decoder, chunk: Uint8Array, ms: number): Reply | null {
  const decoded = decoder.push(chunk);
  if (decoded.kind === 'more') return null;
  if (decoded.kind === 'wrong') return wrong({ kind: 'protocol', detail: decoded.detail });
  const head = parseHead(decoded.stdout);
  if (!head) return wrong({ kind: 'protocol', detail: 'no CGI header' });
  const { status, headers, bodyAt } = head;
  const stderr = new TextDecoder().decode(decoded.stderr);
  const { appStatus } = decoded;
  return {
    ok: true,
    value: { status, headers, body: decoded.stdout.subarray(bodyAt), stderr, appStatus, ms },
  };
}

function withLength(params: Params, stdin: Uint8Array | undefined): Params {
  return stdin === undefined ? params : { ...params, CONTENT_LENGTH: String(stdin.length) };
}

function wrongOf(error: unknown, as: User | null): WrongAnswer {
  const code = codeOf(error) ?? 'unknown';
  switch (code) {
    case 'ENOENT':
      return { kind: 'no-socket' };
    case 'ECONNREFUSED':
      return { kind: 'refused' };
    case 'EACCES':
      return { kind: 'permission', user: (process.geteuid?.() === 0 && as ? as : currentUser()).name };
    // The server went away with our bytes unread.
    case 'ECONNRESET':
    case 'EPIPE':
      return { kind: 'closed' };
    default:
      return { kind: 'error', code };
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

const wrong = (answer: WrongAnswer): Reply => ({ ok: false, wrong: answer });
