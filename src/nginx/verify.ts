/**
 * A request through nginx, as a visitor would send it, with a nonce in its query by which the pool that
 * answers it can be told.
 */
import { isIP } from 'node:net';
import type { WrongAnswer } from '../event.js';
import type { VerifyDriver } from '../drivers.js';
import { after } from '../system/clock.js';

interface VerifyOptions {
  readonly url: string;
  /** The site's name, where the URL names an address. */
  readonly host?: string;
  /** No status: any below 400 will do. `body`: a substring. */
  readonly expect: { readonly status?: number; readonly body?: string };
  /** For all tries of a verification together, and at most for each, ms. */
  readonly timeout: number;
}

const NONCE = 'swap-pool';

/** Makes the driver; every request has a connection of its own, for a kept one may end in an old worker. */
export function createVerify({ url, host, expect, timeout }: VerifyOptions): VerifyDriver {
  const target = new URL(url);
  // node's http takes some milliseconds to load, https more, and most commands send nothing
  const load = () => (target.protocol === 'https:' ? import('node:https') : import('node:http'));
  const request = async (nonce: string): Promise<WrongAnswer | null> => {
    const { request: send } = await load();
    return new Promise((resolve) => {
      // appended as it is: a query that is parsed and written again may change what the site sees
      const query = target.search === '' ? `?${NONCE}=${nonce}` : `${target.search}&${NONCE}=${nonce}`;
      const secure = target.protocol === 'https:';
      const name = host ?? target.hostname.replace(/^\[|\]$/g, '');
      const sent = send({
        protocol: target.protocol,
        hostname: target.hostname.replace(/^\[|\]$/g, ''),
        ...(target.port === '' ? {} : { port: target.port }),
        path: target.pathname + query,
        agent: false,
        headers: {
          ...(host === undefined ? {} : { host }),
          connection: 'close',
          'cache-control': 'no-cache',
          'user-agent': 'swap-pool',
        },
        // this host's own nginx is asked, whose certificate is the visitors' affair, not proof of anything here
        ...(secure ? { rejectUnauthorized: false } : {}),
        ...(secure && isIP(hostOnly(name)) === 0 ? { servername: hostOnly(name) } : {}),
      });
      const end = (answer: WrongAnswer | null): void => {
        cancel();
        resolve(answer);
        sent.destroy();
      };
      const cancel = after(timeout, () => {
        end({ kind: 'timeout', ms: timeout });
      });
      sent.on('error', (error: NodeJS.ErrnoException) => {
        end(wrongOf(error));
      });
      sent.on('response', (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          if (size < MOST_BODY) chunks.push(chunk);
          size += chunk.length;
        });
        response.on('error', (error: NodeJS.ErrnoException) => {
          end(wrongOf(error));
        });
        response.on('end', () => {
          end(judge(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'), expect));
        });
      });
      sent.end();
    });
  };
  return { url, ...(host === undefined ? {} : { host }), timeout, request, prepare: () => void load() };
}

/** Pure: null when the answer is as expected. */
function judge(status: number, body: string, expect: VerifyOptions['expect']): WrongAnswer | null {
  const right = expect.status === undefined ? status < 400 : status === expect.status;
  if (!right)
    return {
      kind: 'status',
      status,
      expected: expect.status ?? 'below 400',
      body: body.slice(0, SHOWN_BODY),
    };
  if (expect.body === undefined || body.includes(expect.body)) return null;
  return { kind: 'body', expected: expect.body, body: body.slice(0, SHOWN_BODY) };
}

const MOST_BODY = 8 * 1024 * 1024;
const SHOWN_BODY = 500;

const hostOnly = (host: string): string => host.replace(/:\d+$/, '');

function wrongOf(error: NodeJS.ErrnoException): WrongAnswer {
  if (error.code === 'ECONNREFUSED') return { kind: 'refused' };
  if (error.code === 'ENOENT') return { kind: 'no-socket' };
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return { kind: 'closed' };
  if (error.code?.startsWith('HPE_') === true) return { kind: 'protocol', detail: error.code };
  return { kind: 'error', code: error.code ?? error.message };
}
