/**
 * Which nginx is meant, and which of this machine's processes is its master.
 *
 * The process table is asked first: a pidfile is a hint, and may be stale, missing or
 * somebody else's. A process is our master when its title is a master's, its program is
 * an nginx, it lives in our own namespaces (a container's processes show in the outer
 * /proc, and its paths are not ours), and its `-c` and `-p` lead to our configuration.
 */
import { basename, resolve } from 'node:path';
import { fail, ok } from '../event.js';
import type { Failure, ProcessId, Result, Suspect } from '../event.js';
import { isSameFile, readText } from '../system/files.js';
import {
  executable,
  executableLink,
  identify,
  inNestedPidNamespace,
  inOurNamespace,
  isForkOf,
  pidsByProgram,
  readStat,
  readStatus,
  title,
  titleRoom,
  workingDirectory,
} from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import { isSandboxConfig } from '../system/sandbox-mark.js';
import { untrustedPart } from '../system/trust.js';
import type { Untrusted } from '../system/trust.js';
import { nameOfUid } from '../system/user.js';
import { askCompiled, findBinary } from './installation.js';
import type { Compiled } from './installation.js';
import { MASTER_TITLE, readOptions, splitTitle } from './title.js';
import type { Invocation, Options } from './title.js';

/** The `nginx` keys of an app's YAML that say which nginx is meant. */
export interface NginxKeys {
  readonly binary?: string;
  readonly config?: string;
  readonly pidfile?: string;
  readonly arguments?: readonly string[];
}

/** One nginx: how it was started, or would be, and its master if it runs. */
export interface Nginx {
  readonly binary: string;
  /**
   * What to run in order to ask it: `binary`, or, where that is another file by now (a package's upgrade, half done
   * perhaps) than the one that the master runs, the kernel's link to the latter.
   */
  readonly image: string;
  /** Its argv[0], absolute: what a binary upgrade would run. */
  readonly program: string;
  /** argv without the program. */
  readonly arguments: readonly string[];
  readonly options: Options;
  /** Relative names of `-p` count from here. */
  readonly cwd: string;
  /** The main configuration file, absolute. */
  readonly config: string;
  /** Null: it does not run. */
  readonly master: ProcessId | null;
  /** A second master, born of this one or its parent: a binary upgrade is under way. */
  readonly upgrading: boolean;
  /** What relative names in the configuration (pid, error_log) count from, and nginx's defaults. */
  readonly compiled: () => Promise<Result<Compiled>>;
}

interface Finder {
  /**
   * Looks for the nginx that the keys mean. Fails with `nginx-ambiguous` (several masters and
   * no key that decides), `nginx-arguments-unclear`, `nginx-pidfile-wrong` (the pidfile of the
   * keys names the master of another nginx), `nginx-not-found`, `unsafe-path`.
   */
  locate(): Promise<Result<Nginx>>;
}

interface FinderOptions {
  readonly fs: Procfs;
  readonly keys: NginxKeys;
  /** We act as root: what another user started is then run only where root alone can change it. */
  readonly root: boolean;
  /** How long `nginx -V` may take, ms. */
  readonly timeout: number;
}

/** Makes a finder; it asks each binary for its build once and remembers the answer. */
export function createFinder({ fs, keys, root, timeout }: FinderOptions): Finder {
  const builds = new Map<string, Promise<Result<Compiled>>>();
  const compiledOf = (binary: string): Promise<Result<Compiled>> => {
    const known = builds.get(binary) ?? askCompiled(binary, timeout);
    builds.set(binary, known);
    return known;
  };

  async function locate(): Promise<Result<Nginx>> {
    const found: Nginx[] = [];
    const unclear: Candidate[] = [];
    const failures: Failure[] = [];
    const all = candidates(fs, keys, root);
    for (const candidate of all) {
      if (candidate.invocation === null) {
        unclear.push(candidate);
        continue;
      }
      if (candidate.untrusted !== null) {
        // it must not be run, not even for -V: it counts only if it says itself that it is ours
        const own = readOptions(candidate.invocation.arguments)?.config ?? null;
        const ours = own !== null && keys.config !== undefined && samePath(own, keys.config);
        if (ours) failures.push({ reason: 'unsafe-path', ...candidate.untrusted });
        continue;
      }
      const nginx = await toNginx(fs, candidate, candidate.invocation, compiledOf, root);
      if (!nginx.ok) failures.push(nginx.failure);
      else if (keys.config === undefined || samePath(nginx.value.config, keys.config))
        found.push(nginx.value);
    }
    const meant = byPidfile(found, upgraded(found, all));
    if (!meant.ok) return meant;
    const [first, ...others] = meant.value;
    if (first !== undefined) {
      if (others.length > 0) {
        return fail({
          reason: 'nginx-ambiguous',
          masters: meant.value.map((each) => suspect(fs, each.master?.pid ?? 0)),
        });
      }
      const unsafe = root ? unsafePart(fs, first) : null;
      return unsafe === null ? ok(first) : fail({ reason: 'unsafe-path', ...unsafe });
    }
    // a master whose words cannot be told apart could be ours: to go on as if nginx did not run would be a guess
    const [doubtful] = unclear;
    if (doubtful !== undefined)
      return fail({ reason: 'nginx-arguments-unclear', title: title(fs, doubtful.id.pid) });
    const [failure] = failures;
    if (failure !== undefined) return fail(failure);
    return stopped();
  }

  /** During a binary upgrade two masters share one configuration, one the other's child: the younger is kept. */
  function upgraded(found: readonly Nginx[], all: readonly Candidate[]): readonly Nginx[] {
    const parent = new Map(all.map((each) => [each.id.pid, each.parent]));
    const parents = new Set(found.map((each) => parent.get(each.master?.pid ?? 0)));
    return found
      .filter((each) => !parents.has(each.master?.pid))
      .map((each) => ({ ...each, upgrading: parent.has(parent.get(each.master?.pid ?? 0) ?? 0) }));
  }

  /** Decides among masters by the pidfile of the keys, where it names one of them. */
  function byPidfile(found: readonly Nginx[], current: readonly Nginx[]): Result<readonly Nginx[]> {
    if (keys.pidfile === undefined) return ok(current);
    const pid = pidIn(keys.pidfile);
    const named = found.find((each) => each.master?.pid === pid);
    if (named !== undefined)
      return ok([current.find((each) => each.master?.pid === pid) ?? { ...named, upgrading: true }]);
    // stale, or its pid was given to some other program: then the process table alone speaks
    if (pid === null || !title(fs, pid).startsWith(MASTER_TITLE)) return ok(current);
    const { command, user } = suspect(fs, pid);
    return fail({
      reason: 'nginx-pidfile-wrong',
      path: keys.pidfile,
      detail: `${String(pid)} is "${command}" of ${user}`,
    });
  }

  async function stopped(): Promise<Result<Nginx>> {
    const binary = keys.binary === undefined ? findBinary() : ok(keys.binary);
    if (!binary.ok) return binary;
    const words = keys.arguments ?? [];
    const options = readOptions(words);
    if (options === null) return fail({ reason: 'nginx-arguments-unclear', title: words.join(' ') });
    const compiled = (): Promise<Result<Compiled>> => compiledOf(binary.value);
    const config = keys.config === undefined ? await configOf(options, '/', compiled) : ok(keys.config);
    if (!config.ok) return config;
    return ok({
      binary: binary.value,
      image: binary.value,
      program: binary.value,
      arguments: words,
      options,
      cwd: '/',
      config: config.value,
      master: null,
      upgrading: false,
      compiled,
    });
  }

  return { locate };
}

/**
 * The pid that a file holds, as nginx writes it: digits and a line feed. Null for everything
 * else, for 0 and 1 too: no master of ours is init.
 */
export function pidIn(path: string): number | null {
  const text = readText(path);
  const digits = text.ok ? /^(\d{1,10})\s*$/.exec(text.value)?.[1] : undefined;
  return digits === undefined || Number(digits) <= 1 ? null : Number(digits);
}

/** A process as a message names it; its command is its title. */
function suspect(fs: Procfs, pid: number): Suspect {
  const passwd = readText('/etc/passwd');
  const uid = readStatus(fs, pid)?.uid;
  return {
    pid,
    command: title(fs, pid),
    user: uid === undefined ? '?' : nameOfUid(passwd.ok ? passwd.value : '', uid),
  };
}

/** What relative names in the configuration count from (ngx_process_options): `-p`, else the compiled prefix. */
export async function prefixOf({
  options,
  cwd,
  compiled,
}: Pick<Nginx, 'options' | 'cwd' | 'compiled'>): Promise<Result<string>> {
  if (options.prefix !== null) return ok(resolve(cwd, options.prefix));
  const built = await compiled();
  return built.ok ? ok(built.value.prefix) : built;
}

/** Whether two paths lead to one file; by name where one is missing. */
const samePath = (a: string, b: string): boolean => isSameFile(a, b) || resolve(a) === resolve(b);

interface Candidate {
  readonly id: ProcessId;
  readonly parent: number;
  /** Null: its program cannot be read (another user's). */
  readonly binary: string | null;
  readonly cwd: string;
  /** Null: not to be split surely. */
  readonly invocation: Invocation | null;
  /** We are root, another user runs it, and not root alone can change its program. */
  readonly untrusted: Untrusted | null;
}

/** Every process that is an nginx master in our namespaces, and may be meant by the keys. */
function candidates(fs: Procfs, keys: NginxKeys, root: boolean): Candidate[] {
  const found: Candidate[] = [];
  for (const pid of pidsByProgram(fs, (name) => isNginx(name, keys.binary))) {
    if (pid <= 1) continue;
    const stat = readStat(fs, pid);
    if (stat === null) continue;
    const line = title(fs, pid);
    if (!line.startsWith(MASTER_TITLE)) continue;
    const id = identify(fs, pid);
    if (id === null || id.start !== stat.start || isElsewhere(fs, pid)) continue;
    // a worker bears the master's title until it has its own; a new binary's master is a child too, but was exec'ed
    if (isForkOf(fs, pid, stat.ppid) === true && title(fs, stat.ppid).startsWith(MASTER_TITLE)) continue;
    // root is told by the root's processes alone, unless a key says which nginx is meant: anybody can start an nginx
    const unnamed = keys.config === undefined && keys.pidfile === undefined;
    const uid = readStatus(fs, pid)?.uid ?? -1;
    if (root && unnamed && uid !== 0) continue;
    const exe = executable(fs, pid);
    if (exe !== null && !isNginx(basename(exe), keys.binary)) continue;
    if (exe !== null && keys.binary !== undefined && !isProgram(keys.binary, exe, line)) continue;
    const invocation = invocationOf(fs, pid, line, exe, keys);
    if (unnamed && isSandbox(invocation, uid)) continue;
    found.push({
      id,
      parent: stat.ppid,
      binary: keys.binary ?? exe,
      cwd: workingDirectory(fs, pid) ?? '/',
      invocation,
      untrusted: root && exe !== null && !isRoots(fs, pid) ? untrustedPart(keys.binary ?? exe, 0) : null,
    });
  }
  return found;
}

/** Its program, or what it was started by: a binary that was moved away for a new one keeps its inode, not its name. */
const isProgram = (binary: string, exe: string, line: string): boolean =>
  samePath(exe, binary) || `${line} `.startsWith(`${MASTER_TITLE}${binary} `);

/** A demo's nginx serves nobody but its demo: it is only meant where a key names it. */
function isSandbox(invocation: Invocation | null, uid: number): boolean {
  const config = invocation === null ? null : readOptions(invocation.arguments)?.config;
  return config?.startsWith('/') === true && isSandboxConfig(config, uid);
}

/** Whether a program, or the beginning of its name that the kernel keeps, is an nginx; `binary`: the one that is meant. */
export const isNginx = (name: string, binary: string | undefined): boolean =>
  name.startsWith('nginx') ||
  (binary !== undefined && name.slice(0, COMM_LENGTH) === basename(binary).slice(0, COMM_LENGTH));
const COMM_LENGTH = 15;

/** Whether a process lives in another namespace than we do. */
export function isElsewhere(fs: Procfs, pid: number): boolean {
  return (
    inNestedPidNamespace(fs, pid) ||
    (['pid', 'mnt', 'net'] as const).some((kind) => inOurNamespace(fs, pid, kind) === false)
  );
}

function invocationOf(
  fs: Procfs,
  pid: number,
  line: string,
  exe: string | null,
  keys: NginxKeys,
): Invocation | null {
  const split = splitTitle(line, titleRoom(fs, pid), exe);
  if (keys.arguments === undefined) return split;
  // the key gives the word boundaries; the words themselves must be the title's
  const program = split?.program ?? exe ?? keys.binary ?? 'nginx';
  const words = [program, ...keys.arguments].join(' ').trimEnd();
  const shown = line.slice(MASTER_TITLE.length);
  const cut = split === null && words.startsWith(shown);
  return shown === words || cut || shown.endsWith(` ${keys.arguments.join(' ').trimEnd()}`)
    ? { program, arguments: keys.arguments }
    : null;
}

async function toNginx(
  fs: Procfs,
  { id, binary: seen, cwd }: Candidate,
  invocation: Invocation,
  compiledOf: (binary: string) => Promise<Result<Compiled>>,
  root: boolean,
): Promise<Result<Nginx>> {
  const options = readOptions(invocation.arguments);
  if (options === null) {
    return fail({
      reason: 'nginx-arguments-unclear',
      title: [invocation.program, ...invocation.arguments].join(' '),
    });
  }
  const binary = seen === null ? programOf(invocation) : ok(seen);
  if (!binary.ok) return binary;
  const image = imageOf(fs, id, binary.value, root);
  const compiled = (): Promise<Result<Compiled>> => compiledOf(image);
  const config = await configOf(options, cwd, compiled);
  if (!config.ok) return config;
  return ok({
    binary: binary.value,
    image,
    program: resolve(cwd, invocation.program),
    arguments: invocation.arguments,
    options,
    cwd,
    config: config.value,
    master: id,
    upgrading: false,
    compiled,
  });
}

/** Not what another user runs, where we are root: whose file the link leads to nobody can tell by a path. */
function imageOf(fs: Procfs, id: ProcessId, binary: string, root: boolean): string {
  const running = executableLink(fs, id.pid);
  // the same, or not to be seen
  if (isSameFile(running, binary) || executable(fs, id.pid) === null) return binary;
  return root && !isRoots(fs, id.pid) ? binary : running;
}

/** The program by its title: for an unprivileged look at a master that is another user's. */
const programOf = ({ program }: Invocation): Result<string> =>
  program.startsWith('/') ? ok(program) : findBinary();

/** `-c` counts from the prefix (not from the working directory), and so does the compiled default. */
async function configOf(
  options: Options,
  cwd: string,
  compiled: () => Promise<Result<Compiled>>,
): Promise<Result<string>> {
  if (options.config?.startsWith('/') === true) return ok(resolve(options.config));
  if (options.config === null) {
    const built = await compiled();
    return built.ok ? ok(built.value.config) : built;
  }
  const prefix = await prefixOf({ options, cwd, compiled });
  return prefix.ok ? ok(resolve(prefix.value, options.config)) : prefix;
}

/** Where another user than root runs the master: the first part on the way to its config that root must not trust. */
function unsafePart(fs: Procfs, { master, config }: Nginx): Untrusted | null {
  return master === null || isRoots(fs, master.pid) ? null : untrustedPart(config, 0);
}

const isRoots = (fs: Procfs, pid: number): boolean => readStatus(fs, pid)?.uid === 0;
