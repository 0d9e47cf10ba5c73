/** A private nginx in a folder of its own, two FastCGI pools that answer with their name, and a client. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../src/demo/machine.js';
import type { Slot } from '../../src/event.js';
import { children, pids, procfs, title } from '../../src/system/proc.js';
import { PATIENCE } from '../support/limits.js';
import type { Procfs } from '../../src/system/proc.js';

export const NGINX = '/usr/sbin/nginx';
const asRoot = process.geteuid?.() === 0;

export class Rig {
  readonly dir: string;
  readonly sockets: Readonly<Record<Slot, string>>;
  port = 0;
  private readonly pools: Pool[] = [];
  private readonly programs: ChildProcess[] = [];
  private readonly masters = new Set<number>();

  private constructor() {
    this.dir = realpathSync(mkdtempSync(join(tmpdir(), 'swap-pool-nginx-')));
    chmodSync(this.dir, 0o755);
    this.sockets = { blue: this.path('blue.sock'), green: this.path('green.sock') };
  }

  static async make(): Promise<Rig> {
    const rig = new Rig();
    rig.port = await freePort();
    return rig;
  }

  path(name: string): string {
    return join(this.dir, name);
  }

  /** Writes a file of the rig; folders are made. */
  write(name: string, text: string): string {
    const path = this.path(name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8');
  }

  /** A whole nginx.conf around what stands in its http block. */
  conf(http: string, main = ''): string {
    return `${asRoot ? 'user root;\n' : ''}worker_processes 2;
pid ${this.path('nginx.pid')};
error_log ${this.path('error.log')} notice;
${main}
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${this.path('tmp-body')};
  fastcgi_temp_path ${this.path('tmp-fastcgi')};
  proxy_temp_path ${this.path('tmp-proxy')};
  uwsgi_temp_path ${this.path('tmp-uwsgi')};
  scgi_temp_path ${this.path('tmp-scgi')};
${http}
}
`;
  }

  /** A server on the rig's port with one location. */
  server(location: string, port = this.port): string {
    return `  server { listen 127.0.0.1:${String(port)}; location / { ${location} } }\n`;
  }

  /** Writes nginx.conf and starts it with `-c`; gives back the master's pid. */
  start(conf: string, ...words: string[]): number {
    const file = this.write('nginx.conf', conf);
    return this.launch([NGINX, '-c', file, ...words]);
  }

  launch(
    argv: readonly string[],
    env: Record<string, string> = { LANG: 'C', HOME: '/', PATH: '/usr/bin:/bin' },
    cwd = '/',
  ): number {
    const [file = '', ...rest] = argv;
    const ran = spawnSync(file, rest, { env, cwd, encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(`nginx: ${ran.stderr}`);
    const pid = this.pid('nginx.pid');
    // the pidfile is there before the title is, and the title before the workers
    for (const end = Date.now() + PATIENCE; !isUp(pid);) {
      if (Date.now() > end) throw new Error('nginx does not come up');
      spawnSync('/bin/true');
    }
    return this.adopt(pid);
  }

  /** A master that the rig ends with itself. */
  adopt(pid: number): number {
    this.masters.add(pid);
    return pid;
  }

  /** A program that lives until the rig does. */
  run(file: string, words: readonly string[]): number {
    const child = spawn(file, words, { stdio: 'ignore' });
    this.programs.push(child);
    return child.pid ?? 0;
  }

  /** nginx writes its pidfile after the start has returned, so this waits for it. */
  pid(name: string): number {
    const path = this.path(name);
    for (const end = Date.now() + PATIENCE; Date.now() < end;) {
      if (existsSync(path) && readFileSync(path, 'utf8').trim() !== '')
        return Number(readFileSync(path, 'utf8'));
      spawnSync('/bin/true');
    }
    throw new Error(`no ${path}`);
  }

  async pool(slot: Slot, options: { readonly delay?: number; readonly path?: string } = {}): Promise<Pool> {
    const pool = await Pool.listen(options.path ?? this.sockets[slot], slot, options.delay ?? 0);
    this.pools.push(pool);
    return pool;
  }

  /** The body that nginx answers with, or its status when that is not 200. */
  get(port = this.port): Promise<string> {
    return new Promise((resolve) => {
      const sent = request(
        { host: '127.0.0.1', port, path: '/', agent: false, headers: { connection: 'close' } },
        (response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += chunk.toString()));
          response.on('end', () => {
            resolve(response.statusCode === 200 ? body.trim() : String(response.statusCode));
          });
        },
      );
      sent.on('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code ?? 'error');
      });
      sent.end();
    });
  }

  /** A procfs in which only these processes show: other people's nginx on this machine must not disturb. */
  procOf(...pids: readonly number[]): Procfs {
    const root = mkdtempSync(join(this.dir, 'proc-'));
    for (const name of ['self', 'sys', 'stat', 'uptime', 'net', ...pids.map(String)]) {
      symlinkSync(`/proc/${name}`, join(root, name));
    }
    return procfs(root);
  }

  /** nginx's processes that outlived a master which a test has killed: those with a file of this folder open. */
  private orphans(): number[] {
    const fs = procfs();
    return pids(fs).filter((pid) => title(fs, pid).startsWith('nginx: ') && hasOpen(pid, this.dir));
  }

  async end(): Promise<void> {
    for (const pid of this.masters) await kill(pid);
    for (const pid of this.orphans()) process.kill(pid, 'SIGKILL');
    for (const child of this.programs) child.kill('SIGKILL');
    for (const pool of this.pools) pool.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A FastCGI server that answers every request with its own name; keeps connections where it is asked to. */
export class Pool {
  requests = 0;
  private readonly open = new Set<Socket>();
  private constructor(
    private readonly server: Server,
    private readonly name: string,
    private readonly delay: number,
  ) {
    server.on('connection', (socket) => {
      this.open.add(socket);
      socket.on('close', () => this.open.delete(socket));
      socket.on('error', () => socket.destroy());
      this.serve(socket);
    });
  }

  static listen(path: string, name: string, delay: number): Promise<Pool> {
    return new Promise((resolve) => {
      const server = createServer();
      const pool = new Pool(server, name, delay);
      server.listen(path, () => {
        chmodSync(path, 0o666);
        resolve(pool);
      });
    });
  }

  get connections(): number {
    return this.open.size;
  }

  close(): void {
    for (const socket of this.open) socket.destroy();
    this.server.close();
  }

  private serve(socket: Socket): void {
    let bytes = Buffer.alloc(0);
    let keep = false;
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 8) {
        const length = bytes.readUInt16BE(4);
        const total = 8 + length + bytes.readUInt8(6);
        if (bytes.length < total) return;
        const type = bytes.readUInt8(1);
        if (type === 1) keep = (bytes.readUInt8(10) & 1) === 1;
        if (type === 5 && length === 0) {
          this.requests += 1;
          setTimeout(() => {
            this.answer(socket, keep);
          }, this.delay);
        }
        bytes = bytes.subarray(total);
      }
    });
  }

  private answer(socket: Socket, keep: boolean): void {
    const body = Buffer.from(`Content-Type: text/plain\r\n\r\n${this.name}`);
    socket.write(Buffer.concat([record(6, body), record(6, Buffer.alloc(0)), record(3, Buffer.alloc(8))]));
    if (!keep) socket.end();
  }
}

function record(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([1, type, 0, 1, body.length >> 8, body.length & 255, 0, 0]), body]);
}

/** Resolves when `seen` gives true; throws when it never does. */
export async function until(
  seen: () => boolean | Promise<boolean>,
  what = 'what was awaited',
): Promise<void> {
  for (const end = Date.now() + PATIENCE; ;) {
    if (await seen()) return;
    if (Date.now() > end) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Ends one nginx master that a test started, its workers with it. */
async function kill(pid: number): Promise<void> {
  const fs = procfs();
  if (!title(fs, pid).startsWith('nginx: master process')) return;
  const workers = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => parentOf(each) === pid);
  process.kill(pid, 'SIGTERM');
  await until(() => !alive(pid), 'the end of nginx').catch(() => {
    process.kill(pid, 'SIGKILL');
  });
  for (const worker of workers)
    if (alive(worker) && title(fs, worker).startsWith('nginx:')) process.kill(worker, 'SIGKILL');
}

function hasOpen(pid: number, folder: string): boolean {
  try {
    const fds = readdirSync(`/proc/${String(pid)}/fd`);
    return fds.some((fd) => readlinkSync(`/proc/${String(pid)}/fd/${fd}`).startsWith(`${folder}/`));
  } catch {
    return false;
  }
}

/** Titled, and every child of it too. */
function isUp(pid: number): boolean {
  const fs = procfs();
  const titles = children(fs, pid).map((each) => title(fs, each));
  const own = title(fs, pid).startsWith('nginx: master process');
  return own && titles.length > 0 && titles.every((each) => each.startsWith('nginx: worker process'));
}

const statOf = (pid: number): string[] => {
  try {
    const text = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
};
const parentOf = (pid: number): number => Number(statOf(pid)[1]);
const alive = (pid: number): boolean => !['Z', 'X', undefined].includes(statOf(pid)[0]);
