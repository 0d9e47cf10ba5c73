/**
 * nginx's configuration as it stands on the disk: read by our own parser, compared with what nginx
 * itself reads, and told apart from what runs.
 */
import { createHash } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { cpus, networkInterfaces } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fail, ok, SLOTS } from '../event.js';
import type { Failure, Result } from '../event.js';
import { run } from '../system/exec.js';
import type { Ran } from '../system/exec.js';
import { exists, facts, factsThroughLinks, readBytes, readLink, realPath } from '../system/files.js';
import { glob } from '../system/glob.js';
import type { Resolver } from './address.js';
import { NO_OTHERS } from './bystanders.js';
import type { OtherAddresses } from './bystanders.js';
import { prefixOf } from './master.js';
import type { Nginx } from './master.js';
import { parse } from './parser.js';
import { hostsNamed } from './references.js';
import type { SlotAddresses } from './references.js';
import { mainSettings } from './settings.js';
import type { MainSetting } from './settings.js';
import { bytesOf, fromUtf8, toUtf8 } from './spelling.js';
import { paths, readTree } from './tree.js';
import type { ConfigSource, Tree } from './tree.js';

/** Reads what `nginx.config` includes; fails with the first `nginx-syntax` or `nginx-include` there is. */
export function loadTree({ config }: Pick<Nginx, 'config'>): Result<Tree> {
  const tree = readTree(config, diskSource(config));
  const [problem] = tree.problems;
  return problem === undefined ? ok(tree) : fail(problem);
}

/** The disk as it is, but for files that are only planned: by path, their bytes. */
export function diskSource(
  config: string,
  planned: ReadonlyMap<string, Uint8Array> = new Map(),
): ConfigSource {
  const names = [...planned.keys()];
  return {
    read: (path) => {
      const real = realPath(path);
      const bytes = planned.get(real.ok ? real.value : path);
      if (bytes !== undefined) return { ok: true, bytes, real: real.ok ? real.value : path };
      const read = readBytes(path);
      if (!read.ok) return read;
      return real.ok ? { ok: true, bytes: read.value, real: real.value } : real;
    },
    glob: (pattern) => glob(pattern, names),
    confPrefix: dirname(config),
  };
}

/**
 * What names in the configuration mean on this host, host names looked up as nginx does when it starts: those
 * that could be one of these addresses.
 */
export async function resolverFor(
  tree: Tree,
  addresses: SlotAddresses,
  others: OtherAddresses = NO_OTHERS,
): Promise<Resolver> {
  const watched = SLOTS.flatMap((slot) => [addresses[slot], ...others[slot]]);
  const known = new Map<string, readonly string[]>();
  let local: readonly string[] | undefined;
  for (const host of hostsNamed(tree, watched)) {
    const found = await lookup(host, { all: true }).catch(() => []);
    known.set(
      host,
      found.map((each) => each.address),
    );
  }
  return {
    realpath: once((folder) => {
      const real = realPath(folder);
      return real.ok ? real.value : null;
    }),
    link: once((path) => {
      const found = facts(path);
      const target = found.ok && found.value.kind === 'link' ? readLink(path) : null;
      return target?.ok === true ? resolve(dirname(path), target.value) : null;
    }),
    lookup: (host) => known.get(host) ?? [],
    localAddresses: () => (local ??= ofThisHost()),
  };
}

const ofThisHost = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address));

/** Asks the kernel once for each path: thousands of sites have few folders, and each socket is compared often. */
function once(ask: (path: string) => string | null): (path: string) => string | null {
  const known = new Map<string, string | null>();
  return (path) => {
    const before = known.get(path);
    if (before !== undefined) return before;
    const answer = ask(path);
    known.set(path, answer);
    return answer;
  };
}

/** One hash over all paths and bytes, in no order but the paths' own. */
export function hashOf(tree: Tree): string {
  const hash = createHash('sha256');
  const files = new Map(tree.files.map((file) => [file.path, file.bytes]));
  for (const path of [...files.keys()].sort()) {
    const bytes = files.get(path) ?? new Uint8Array();
    hash.update(`${path}\0${String(bytes.length)}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/**
 * What of the tree changed last and when, ms since the epoch: its files, links on the way counted too, and the
 * folders whose wildcards it includes, for a file that was taken away shows nowhere else. `written`: by content alone.
 */
export function changes(tree: Tree, how: 'changed' | 'written'): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const path of paths(tree)) {
    const [link, target] = [facts(path), factsThroughLinks(path)];
    found.set(path, Math.max(link.ok ? link.value[how] : Infinity, target.ok ? target.value[how] : Infinity));
  }
  for (const directive of tree.included.keys()) {
    const pattern = toUtf8(directive.args[0]?.value ?? '');
    if (pattern === null || !/[*?[]/.test(pattern)) continue;
    const fixed = pattern.slice(0, pattern.search(/[^/]*[*?[]/));
    const folder = resolve(dirname(tree.root), fixed);
    const seen = factsThroughLinks(folder);
    if (seen.ok) found.set(join(folder, '/'), seen.value[how]);
  }
  return found;
}

// ---------------------------------------------------------------- asking nginx

/** Lets nginx test its files. */
export type Tester = (nginx: Nginx, how: '-t' | '-T', timeout: number) => Promise<Ran>;

const runTest: Tester = (nginx, how, timeout) => run(testCommand(nginx, how), { cwd: nginx.cwd, timeout });

/** Tests each nginx once, for one look at the apps behind it: a test of thousands of sites takes its time. */
export function createTester(): Tester {
  const known = new Map<string, Promise<Ran>>();
  return (nginx, _, timeout) => {
    const key = JSON.stringify([nginx.image, nginx.arguments, nginx.cwd]);
    // -T says all that -t does
    const ran = known.get(key) ?? runTest(nginx, '-T', timeout);
    known.set(key, ran);
    return ran;
  };
}

/**
 * `nginx -t` with the words the master was started with; fails with `nginx-config-broken`, and with
 * `nginx-test-timeout` where it comes to no end. While nginx does not run this must not be called: it leaves an empty
 * pidfile behind.
 */
export async function test(nginx: Nginx, timeout: number, tester = runTest): Promise<Result<void>> {
  const ran = await tester(nginx, '-t', timeout);
  return ran.status === 0 ? ok(undefined) : fail(untested(nginx, ran, timeout));
}

/**
 * `nginx -T`: the test, and in the same run the list of files that nginx reads. Fails as `test` does, and
 * with `nginx-tree-differs` when we have read others. Only while nginx runs, as `test`.
 */
export async function testAndCompare(
  nginx: Nginx,
  tree: Tree,
  timeout: number,
  tester = runTest,
): Promise<Result<void>> {
  const ran = await tester(nginx, '-T', timeout);
  if (ran.status !== 0) return fail(untested(nginx, ran, timeout));
  const theirs = new Set(dumped(ran.stdout, tree, nginx.cwd).map(realOr));
  const ours = new Set(paths(tree).map(realOr));
  const onlyOurs = [...ours].filter((path) => !theirs.has(path));
  const onlyTheirs = [...theirs].filter((path) => !ours.has(path));
  return onlyOurs.length + onlyTheirs.length === 0
    ? ok(undefined)
    : fail({ reason: 'nginx-tree-differs', onlyOurs, onlyTheirs });
}

/** Why a test has not said yes. One that was ended said nothing: its files may be as they should. */
export const untested = ({ config }: Pick<Nginx, 'config'>, ran: Ran, ms: number): Failure =>
  ran.failure === 'timeout'
    ? { reason: 'nginx-test-timeout', config, ms }
    : { reason: 'nginx-config-broken', output: outputOf(ran) };

/** argv of a test, with the words the master was started with. */
export const testCommand = (
  { image, arguments: words }: Pick<Nginx, 'image' | 'arguments'>,
  how: '-t' | '-T',
): readonly string[] => [image, ...words, how];

/** What a program that failed has said, and why it ended. */
export const outputOf = (ran: { stderr: string; failure: string | null }): string =>
  [ran.stderr.trim(), ran.failure ?? ''].filter(Boolean).join('\n');

const realOr = (path: string): string => {
  const real = realPath(path);
  return real.ok ? real.value : path;
};

/**
 * The files of a dump. Its headers are lines that a file could hold too, so the bytes we know are passed over.
 */
function dumped(output: string, tree: Tree, cwd: string): readonly string[] {
  // as exec.ts decodes what programs say, so that bytes which are no UTF-8 compare alike
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const known = new Map(tree.files.map((file) => [file.path, file.bytes]));
  const found: string[] = [];
  const header = /^# configuration file (.*):\n/gm;
  for (let match = header.exec(output); match !== null; match = header.exec(output)) {
    const path = resolve(cwd, match[1] ?? '');
    found.push(path);
    const bytes = known.get(path);
    const text = bytes === undefined ? '' : decoder.decode(bytes);
    if (output.startsWith(text, header.lastIndex)) header.lastIndex += text.length;
  }
  return found;
}

// ---------------------------------------------------------------- what the main level says

/** A directive's words at the main level: `-g` counts first, as nginx reads it first. Null: it is not there. */
export function mainValue(
  { options }: Pick<Nginx, 'options'>,
  tree: Tree,
  name: MainSetting,
): readonly string[] | null {
  const given = parse(bytesOf(fromUtf8(options.directives))).directives.find((each) => each.name === name);
  if (given !== undefined) return given.args.map(({ value }) => toUtf8(value) ?? value);
  return mainSettings(tree, name)[0]?.values ?? null;
}

/** How many workers one generation has: a number, or `auto`, one for each CPU that is online. Null: it cannot be told. */
export function expectedWorkers(nginx: Pick<Nginx, 'options'>, tree: Tree): number | null {
  const value = mainValue(nginx, tree, 'worker_processes')?.[0];
  if (value === undefined) return 1;
  if (value === 'auto') return cpus().length;
  return /^\d+$/.test(value) ? Number(value) : null;
}

/** The pidfile that nginx itself writes: its `pid` directive, else the compiled default. */
export async function pidfileOf(nginx: Nginx, tree: Tree): Promise<Result<string>> {
  return named(nginx, mainValue(nginx, tree, 'pid')?.[0], 'pidfile');
}

/** The same for a look: null where the configuration cannot be read. */
export async function pidfileIfKnown(nginx: Nginx): Promise<string | null> {
  const tree = loadTree(nginx);
  const path = tree.ok ? await pidfileOf(nginx, tree.value) : tree;
  return path.ok ? path.value : null;
}

/** Where the master writes why a reload failed; null when that is no file, or none that we could read. */
export async function errorLogOf(nginx: Nginx, tree: Tree): Promise<string | null> {
  const value = mainValue(nginx, tree, 'error_log')?.[0] ?? nginx.options.errorLog ?? undefined;
  if (value !== undefined && /^(?:stderr$|syslog:|memory:)/.test(value)) return null;
  const path = await named(nginx, value, 'errorLog');
  return path.ok && path.value !== 'stderr' && exists(path.value) ? path.value : null;
}

async function named(
  nginx: Nginx,
  value: string | undefined,
  otherwise: 'pidfile' | 'errorLog',
): Promise<Result<string>> {
  if (value?.startsWith('/') === true) return ok(value);
  if (value !== undefined) {
    const prefix = await prefixOf(nginx);
    return prefix.ok ? ok(resolve(prefix.value, value)) : prefix;
  }
  const compiled = await nginx.compiled();
  if (!compiled.ok || compiled.value[otherwise] === 'stderr') return compiled.ok ? ok('stderr') : compiled;
  const prefix = await prefixOf(nginx);
  return prefix.ok ? ok(resolve(prefix.value, compiled.value[otherwise])) : prefix;
}
