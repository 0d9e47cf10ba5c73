/** What `init` finds: nginx and its configuration, the old pool's file and its life, the site. */
import { dirname, resolve } from 'node:path';
import { fail, ok } from '../event.js';
import type { Place, Result, Warning } from '../event.js';
import { loadTree, mainValue } from '../nginx/config-tree.js';
import { createFinder } from '../nginx/master.js';
import type { Nginx } from '../nginx/master.js';
import { toUtf8 } from '../nginx/spelling.js';
import { walk } from '../nginx/tree.js';
import type { ConfigFile, Tree } from '../nginx/tree.js';
import { findBinary } from '../pool/binary.js';
import { mostAtWork } from '../pool/peak.js';
import { spell } from '../pool/slots.js';
import { run } from '../system/exec.js';
import { exists, factsThroughLinks, readBytes, realPath } from '../system/files.js';
import { procfs } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { canonicalPath } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';
import { adopt, poolsOf } from './adopt.js';
import type { Adopted } from './adopt.js';
import { lastOf, parseFpmFile } from './fpm-file.js';
import { namersOf, placesNaming } from './namings.js';
import { findOldPool, watchOldPool } from './old-pool.js';
import type { OldPool } from './old-pool.js';
import { passesOf } from './site.js';
import type { Pass } from './site.js';

/** What the command line says of the host. */
export interface Sources {
  /** The old pool's file, and which of its pools. */
  readonly from?: string | undefined;
  readonly section?: string | undefined;
  readonly site?: string | undefined;
  readonly nginxConfig?: string | undefined;
  readonly binary?: string | undefined;
}

export interface Site {
  readonly file: ConfigFile;
  /** Those that will name the upstream. */
  readonly passes: readonly Pass[];
}

/** Who may read the old pool's file. */
export interface Readers {
  readonly mode: number;
  readonly gid: number;
}

export interface Host {
  readonly nginx: Nginx;
  readonly tree: Tree;
  readonly proxyUser: string;
  readonly adopted: Adopted | null;
  /** Null without an old pool. */
  readonly readers: Readers | null;
  /** Where the old pool listens; null: none was named, or its file does not tell. */
  readonly address: Address | null;
  readonly old: OldPool | null;
  readonly site: Site | null;
  readonly binary: string;
  /** pm.status_listen came with PHP 8.0. */
  readonly statusListen: boolean;
  readonly systemd: boolean;
  /** Where the old pool's master logs; the new ones log beside it. */
  readonly logFolder: string;
  readonly warnings: readonly Warning[];
}

const ASK_TIMEOUT = 20_000;

/** Looks; changes nothing. */
export async function lookAtHost(app: string, sources: Sources, root: boolean): Promise<Result<Host>> {
  const fs = procfs();
  const pool = readPool(fs, sources);
  if (!pool.ok) return pool;
  const binary =
    sources.binary === undefined ? programOf(fs, pool.value.old, root) : ok(resolve(sources.binary));
  if (!binary.ok) return binary;
  const nginx = await findNginx(fs, sources, root);
  if (!nginx.ok) return nginx;
  const tree = loadTree(nginx.value);
  if (!tree.ok) return tree;
  const proxyUser = mainValue(nginx.value, tree.value, 'user')?.[0] ?? 'www-data';
  const { file, master, address, old } = pool.value;
  const needed = file === null ? null : await neededBy(fs, pool.value);
  const workers = needed?.workers ?? null;
  const adopted =
    file === null ? null : adopt(file, master, { section: sources.section, workers, proxyUser });
  const site = sources.site === undefined ? ok(null) : await readSite(app, sources, tree.value, address);
  if (!site.ok) return site;
  return ok({
    nginx: nginx.value,
    tree: tree.value,
    proxyUser,
    adopted,
    readers: pool.value.readers,
    address,
    old,
    site: site.value?.site ?? null,
    binary: binary.value,
    statusListen: await hasStatusListen(binary.value),
    systemd: exists('/run/systemd/system'),
    logFolder: logFolderOf(master),
    warnings: [
      ...(address !== null && old === null
        ? [{ reason: 'old-pool-not-running', address: spell(address) } as const]
        : []),
      ...(needed?.watched === undefined
        ? []
        : [{ reason: 'workers-guessed', workers: needed.workers, ms: needed.watched } as const]),
      ...(site.value?.warnings ?? []),
    ],
  });
}

/** The nginx that is meant, as everywhere: the running one, or the only one there is. */
export function findNginx(fs: Procfs, { nginxConfig }: Sources, root: boolean): Promise<Result<Nginx>> {
  const keys = nginxConfig === undefined ? {} : { config: resolve(nginxConfig) };
  return createFinder({ fs, keys, root, timeout: ASK_TIMEOUT }).locate();
}

interface Pool {
  readonly file: ReturnType<typeof parseFpmFile> | null;
  readonly master: ReturnType<typeof parseFpmFile> | null;
  readonly readers: Readers | null;
  readonly address: Address | null;
  /** Its status page; null: it has none. */
  readonly status: { readonly path: string; readonly address: Address | null } | null;
  readonly old: OldPool | null;
  /** It has as many workers as it needs, `pm = dynamic`. */
  readonly grows: boolean;
}

/** The old pool's file and what runs of it. Fails with `file-unreadable`, `pool-section-unclear`, `pool-file-unclear`. */
export function readPool(fs: Procfs, { from, section }: Sources): Result<Pool> {
  if (from === undefined)
    return ok({
      file: null,
      master: null,
      readers: null,
      address: null,
      status: null,
      old: null,
      grows: false,
    });
  const path = resolve(from);
  const bytes = readBytes(path);
  const there = factsThroughLinks(path);
  if (!bytes.ok) return fail({ reason: 'file-unreadable', path, code: bytes.code });
  const file = parseFpmFile(bytes.value);
  const [line] = file.unclear;
  if (line !== undefined) {
    return fail({
      reason: 'pool-file-unclear',
      place: { file: path, line },
      what: 'neither a section nor a setting',
    });
  }
  const own = adopt(file, null, { section, workers: null, proxyUser: '' });
  if (own === null) {
    return fail({
      reason: 'pool-section-unclear',
      file: path,
      ...(section === undefined ? {} : { asked: section }),
      sections: poolsOf(file),
      option: true,
    });
  }
  const prefix = prefixIn(own.settings, own.section);
  const address = own.listen === null ? null : toAddress(own.listen, prefix);
  if (address === null) {
    return fail({
      reason: 'pool-file-unclear',
      place: { file: path, line: 1 },
      what: 'its listen cannot be told',
    });
  }
  const old = findOldPool(fs, address);
  const config = old?.config ?? null;
  const main = config === null ? null : readBytes(config);
  const master = main?.ok === true && realOf(config ?? '') !== realOf(path) ? parseFpmFile(main.value) : null;
  const { statusPath, statusListen } = own;
  const status =
    statusPath === null
      ? null
      : { path: statusPath, address: statusListen === null ? null : toAddress(statusListen, prefix) };
  const grows = own.settings.some((line) => /^pm\s*=\s*"?dynamic\b/.test(line));
  return ok({ file, master, readers: there.ok ? there.value : null, address, status, old, grows });
}

interface Needed {
  readonly workers: number;
  /** How long it was watched, ms, where nothing told what it needed before. */
  readonly watched?: number;
}

/**
 * How many workers the old pool needed at once: those that it has, and where it has a status page the most that were at
 * work. On the pool's own socket that is asked only while a worker is free. Without an answer a dynamic pool, which has
 * as many as the moment wants, is watched for a while. Null: it does not run.
 */
async function neededBy(fs: Procfs, { address, status, old, grows }: Pool): Promise<Needed | null> {
  if (old === null || address === null) return null;
  const own = status?.address ?? null;
  const asks = status !== null && (own !== null || old.idle > 0);
  const most = asks ? await mostAtWork(own ?? address, status.path) : null;
  if (most !== null) return { workers: Math.max(old.workers, most) };
  if (!grows) return { workers: old.workers };
  const workers = Math.max(old.workers, await watchOldPool(fs, address, WATCH));
  return { workers, watched: WATCH };
}

/** Longer than most requests take; who waits for init is at a terminal. */
const WATCH = 2000;

function logFolderOf(master: Pool['master']): string {
  const log = lastOf(master?.sections[0]?.entries ?? [], 'error_log');
  return log?.startsWith('/') === true ? dirname(toUtf8(log) ?? '/var/log/x') : '/var/log';
}

/** As FPM reads `listen` where it is one word: a port, HOST:PORT, or a path, a relative one below the prefix. */
function toAddress(listen: string, prefix: string | null): Address | null {
  if (listen.includes('${')) return null;
  const [, host = '*', port] = /^(?:(\[[^\]]+\]|[^:/]*):)?(\d+)$/.exec(listen) ?? [];
  if (port !== undefined) return { kind: 'tcp', host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
  if (listen.startsWith('/')) return { kind: 'unix', path: canonicalPath(listen) };
  return prefix === null ? null : { kind: 'unix', path: canonicalPath(resolve(prefix, listen)) };
}

function prefixIn(settings: readonly string[], section: string): string | null {
  const line = settings.findLast((text) => /^prefix\s*=/.test(text));
  return line === undefined
    ? null
    : line
        .replace(/^prefix\s*=\s*/, '')
        .replaceAll('$pool', section)
        .replace(/^"|"$/g, '');
}

/** The running master's program, else the only one there is. */
function programOf(fs: Procfs, old: OldPool | null, root: boolean): Result<string> {
  const running = old?.binary ?? null;
  return running === null ? findBinary(fs, '/nonexistent', { root }) : ok(running);
}

async function hasStatusListen(binary: string): Promise<boolean> {
  const { stdout } = await run([binary, '-v'], { timeout: ASK_TIMEOUT });
  return Number(/^PHP (\d+)/.exec(stdout)?.[1] ?? 8) >= 8;
}

// ---------------------------------------------------------------- the site

async function readSite(
  app: string,
  { site = '' }: Sources,
  tree: Tree,
  address: Address | null,
): Promise<Result<{ readonly site: Site; readonly warnings: readonly Warning[] }>> {
  const path = resolve(site);
  const unclear = (
    why: 'no-pool' | 'several-pools' | 'not-included',
    places: readonly Place[] = [],
  ): Result<never> => fail({ reason: 'site-unclear', file: path, why, places });
  const bytes = readBytes(path);
  if (!bytes.ok) return fail({ reason: 'file-unreadable', path, code: bytes.code });
  const file = tree.files.find(({ real, body }) => real === realOf(path) && body === 'directives');
  if (file === undefined) return unclear('not-included');
  const all = passesOf(file.directives, path);
  const variables = all.filter(({ value }) => value.includes('$'));
  const fixed = all.filter((pass) => !variables.includes(pass) && pass.value !== app);
  const managed = all.filter(({ value }) => value === app);
  const isOld = address === null ? null : (await namersOf(tree, address)).names;
  const values = new Set(fixed.map(({ value }) => value));
  if (isOld === null && values.size > 1) {
    return unclear(
      'several-pools',
      fixed.map(({ place }) => place),
    );
  }
  const moved = isOld === null ? fixed : fixed.filter((pass) => isOld(file, pass));
  const others = fixed.filter((pass) => !moved.includes(pass));
  if (moved.length + managed.length === 0) {
    return unclear(
      'no-pool',
      all.map(({ place }) => place),
    );
  }
  const passes = all.filter((pass) => moved.includes(pass) || managed.includes(pass));
  const places = (of: readonly Pass[]): readonly Place[] => of.map(({ place }) => place);
  const still = address === null ? [] : await placesNaming(tree, address);
  const told = new Set([...moved, ...variables].map(({ place }) => spot(place)));
  const left = still.filter((place) => !told.has(spot(place)));
  return ok({
    site: { file, passes },
    warnings: [
      ...(address === null || left.length === 0
        ? []
        : [{ reason: 'old-pool-named', address: spell(address), places: left } as const]),
      ...(others.length === 0 ? [] : [{ reason: 'site-names-others', places: places(others) } as const]),
      ...(variables.length === 0
        ? []
        : [{ reason: 'variable-reference', places: places(variables) } as const]),
    ],
  });
}

const spot = ({ file, line }: Place): string => `${file}:${String(line)}`;

/**
 * Where the upstream goes: a file of ours that is there already, else a new one in a folder whose *.conf files
 * nginx's http block includes. Fails with `site-unclear`.
 */
export function roomForUpstream({ tree, nginx }: Host, app: string): Result<string> {
  const name = `${app}-upstream.conf`;
  const taken = (file: string, place: Place): Result<never> =>
    fail({ reason: 'site-unclear', file, why: 'name-taken', places: [place] });
  const rooms: string[] = [];
  for (const { file, directive, parent } of walk(tree)) {
    if (directive.name === 'upstream' && directive.args[0]?.value.toLowerCase() === app) {
      const { line, column } = directive.word;
      return file.path.endsWith(`/${name}`)
        ? ok(file.path)
        : taken(file.path, { file: file.path, line, column });
    }
    const pattern = toUtf8(directive.args[0]?.value ?? '');
    if (directive.name !== 'include' || parent?.block.name !== 'http' || parent.parent !== null) continue;
    const [, folder] = /^(.*)\/(?:\*|\*\.conf)$/.exec(pattern ?? '') ?? [];
    if (folder !== undefined) rooms.push(resolve(dirname(nginx.config), folder));
  }
  const there = rooms.filter((folder) => exists(folder));
  const room = there.find((folder) => folder.endsWith('/conf.d')) ?? there[0];
  if (room !== undefined) return ok(`${room}/${name}`);
  return fail({
    reason: 'site-unclear',
    file: `${dirname(nginx.config)}/conf.d/${name}`,
    why: 'no-room',
    places: [],
  });
}

export function realOf(path: string): string {
  const real = realPath(path);
  return real.ok ? real.value : path;
}
