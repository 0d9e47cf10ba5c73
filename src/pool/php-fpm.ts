/**
 * Asks FPM what it makes of its configuration. Nothing else knows: values come from
 * includes, `${VAR}`s, `$pool`, prefixes and defaults of that very build.
 *
 * `php-fpm -tt` prints the effective values, but nothing at log_level = warning or higher, and
 * appends them to the pool's own error_log. So it is asked through a wrapper in a private
 * folder that includes the file and then sets both. The file is included by a link: FPM takes
 * an include for a glob, and the link's name holds nothing special.
 */
import { dirname, join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Failure, Result, Slot } from '../event.js';
import { run } from '../system/exec.js';
import { createFile, exists, facts, makeLink, readBytes, readLink, removeFolder } from '../system/files.js';
import { scratchFolder } from '../system/scratch.js';
import { canonicalPath } from '../system/sockets.js';
import type { Address } from '../system/sockets.js';
import { fpmTree } from './fpm-tree.js';
import { digestOf, keepAnswer, keptAnswer, lastAnswer } from './kept-answer.js';
import { apart, toAddress } from './address.js';
import { boundAddresses, spell } from './slots.js';
import type { FpmPool, FpmSlot, PoolSlot } from './slots.js';

/** What FPM says, and how to keep it for the next time. */
export interface Asked {
  readonly slots: Readonly<Record<Slot, PoolSlot>>;
  /** Writes the answers into the app's state folder: for commands that may write there. */
  readonly keep: () => void;
  /** Slots whose configuration FPM does not take now: they are as they were when they were deployed last. */
  readonly remembered: readonly Remembered[];
}

/** A slot, and the configuration of it that FPM does not take. */
export interface Remembered {
  readonly slot: Slot;
  readonly file: string;
}

/**
 * Both slots' pools as FPM reads them, asked at once; not asked again while the answers kept in
 * `folder` are to the very same questions. With `memory` a slot whose configuration is broken by now is
 * what it was at the last deploy: a pool that runs can still be stopped. `patience`: how long FPM may take, ms. Fails
 * with `pool-config-invalid` (FPM's own words), `pool-test-timeout`, `pool-section-unclear`, `address-invalid`, `listen-is-link`, `slots-share`.
 */
export async function askFpm(
  pools: Readonly<Record<Slot, FpmPool & { readonly binary: string }>>,
  folder: string,
  { memory = false, patience = ASK_TIMEOUT }: { readonly memory?: boolean; readonly patience?: number } = {},
): Promise<Result<Asked>> {
  const both = [
    ask('blue', pools.blue, folder, memory, patience),
    ask('green', pools.green, folder, memory, patience),
  ] as const;
  const [blue, green] = await Promise.all(both);
  if (!blue.ok) return blue;
  if (!green.ok) return green;
  const slots = apart({ blue: blue.value.found, green: green.value.found });
  if (!slots.ok) return placed(slots.failure, [blue.value.found, green.value.found]);
  const answers = [blue.value, green.value];
  return ok({
    slots: slots.value,
    keep: () => {
      for (const answer of answers) answer.keep();
    },
    remembered: answers.flatMap(({ found, remembered }) =>
      remembered ? { slot: found.slot, file: found.config } : [],
    ),
  });
}

/** What keeps one slot's configuration from being understood now; null: nothing. As askFpm(), which ends at the first. */
export async function faultOf(
  slot: Slot,
  pool: FpmPool & { readonly binary: string },
  folder: string,
  patience = ASK_TIMEOUT,
): Promise<Failure | null> {
  const asked = await ask(slot, pool, folder, false, patience);
  return asked.ok ? null : asked.failure;
}

/** What the slots share, each with its places in FPM's files. */
async function placed(failure: Failure, slots: readonly FpmSlot[]): Promise<Result<never>> {
  if (failure.reason !== 'slots-share') return fail(failure);
  const kept = slots.flatMap(({ config, env, binary }) => fpmTree(config, env, binary).kept);
  const spelled = await Promise.all(
    kept.map(async ({ what, value }) => {
      if (what === 'pid') return canonicalPath(value);
      const address = await toAddress(value);
      return address === null ? null : spell(address);
    }),
  );
  const shared = failure.shared.map((one) => {
    const same = kept.filter((_, index) => spelled[index] === one.value);
    // a prefix or `$pool` is FPM's to put in: then all that set such a value are told
    const found = same.length > 0 ? same : kept.filter(({ what }) => what === one.what);
    const places = new Map(found.map(({ place }) => [`${place.file}:${String(place.line)}`, place]));
    return { ...one, places: [...places.values()] };
  });
  return fail({ reason: 'slots-share', shared });
}

/** Sections by name, each with its keys; `undefined` is not among the values. PURE. */
export function parseDump(output: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const line of output.split('\n')) {
    const text = /^\[[^\]]*\] NOTICE: (.*)$/.exec(line)?.[1];
    if (text === undefined) continue;
    const section = /^\[(.*)\]$/.exec(text)?.[1];
    if (section !== undefined) {
      current = new Map();
      sections.set(section, current);
      continue;
    }
    const [, key = '', value = ''] = /^\t(.*?) = (.*)$/.exec(text) ?? [];
    if (key !== '' && value !== 'undefined') current?.set(key, value);
  }
  return sections;
}

/** How long `php-fpm -tt` may take, unless said; it needs 20 ms. */
const ASK_TIMEOUT = 20_000;

async function ask(
  slot: Slot,
  pool: FpmPool & { readonly binary: string },
  state: string,
  memory: boolean,
  patience: number,
): Promise<Result<{ readonly found: FpmSlot; readonly keep: () => void; readonly remembered: boolean }>> {
  const env = { ...pool.env, SWAP_POOL_SLOT: slot };
  const digest = digestOf({ slot, binary: pool.binary, config: pool.config, env });
  const kept = digest === null ? null : keptAnswer(state, `fpm-${slot}`, digest);
  const odd = kept === null ? oddFile(slot, pool, env) : null;
  const asked =
    kept !== null
      ? ok(kept)
      : odd !== null
        ? fail(odd)
        : await dump(slot, pool, env, { option: '-tt', patience });
  const known = asked.ok || !memory ? null : lastAnswer(state, `fpm-${slot}`);
  const answer = known === null ? asked : ok(known);
  if (!answer.ok) return answer;
  const found = await read(slot, pool, env, parseDump(answer.value));
  if (!found.ok) return found;
  const before = kept === null && known === null ? lastAnswer(state, `fpm-${slot}`) : null;
  const former = before === null ? [] : await formerOf(found.value, parseDump(before));
  const keep = (): void => {
    if (kept === null && known === null && digest !== null)
      keepAnswer(state, `fpm-${slot}`, digest, answer.value);
  };
  return ok({ found: { ...found.value, former }, keep, remembered: known !== null });
}

/** The addresses of an earlier answer that are the slot's no more. */
async function formerOf(slot: FpmSlot, dump: Map<string, Map<string, string>>): Promise<readonly Address[]> {
  const named = [...dump.values()].flatMap((section) => [
    section.get('listen') ?? [],
    section.get('pm.status_listen') ?? [],
  ]);
  const before = await Promise.all(named.flat().map(toAddress));
  const now = new Set(boundAddresses(slot).map(spell));
  return before.filter((address) => address !== null).filter((address) => !now.has(spell(address)));
}

/** What is included and no file: php-fpm would wait for a FIFO's writer, at a start and at a reload, too. */
function oddFile(
  slot: Slot,
  { config, binary }: { readonly config: string; readonly binary: string },
  env: Readonly<Record<string, string>>,
): Failure | null {
  const odd = fpmTree(config, env, binary).files.find((file) => {
    const read = readBytes(file);
    return !read.ok && (read.code === 'EINVAL' || read.code === 'ENXIO');
  });
  if (odd === undefined) return null;
  const output = `${odd} is no file: whoever reads it may wait for ever`;
  return { reason: 'pool-config-invalid', slot, file: config, output };
}

/**
 * Whether FPM takes its configuration as it is now: `php-fpm -t`, and that the folders are there that it does
 * not look for (sockets, pidfile) or that the wrapper hides from it (error_log). Fails with `pool-config-invalid`.
 */
export async function testFpm(slot: FpmSlot, patience = ASK_TIMEOUT): Promise<Result<void>> {
  const odd = oddFile(slot.slot, slot, slot.env);
  if (odd !== null) return fail(odd);
  const said = await dump(slot.slot, slot, slot.env, { option: '-t', patience });
  if (!said.ok) return said;
  const missing = [slot.errorLog, slot.pidfile, ...boundAddresses(slot).map(pathOf)]
    .filter((path) => path !== null && path.startsWith('/') && !exists(dirname(path)))
    .map((path) => `the folder of ${String(path)} does not exist`);
  if (missing.length === 0) return ok(undefined);
  const output = missing.join('\n');
  return fail({ reason: 'pool-config-invalid', slot: slot.slot, file: slot.config, output, homeless: true });
}

const pathOf = (address: Address): string | null => (address.kind === 'unix' ? address.path : null);

/** FPM's own words. */
async function dump(
  slot: Slot,
  pool: { readonly config: string; readonly binary: string },
  env: Readonly<Record<string, string>>,
  { option, patience }: { readonly option: '-t' | '-tt'; readonly patience: number },
): Promise<Result<string>> {
  const made = scratchFolder('ask', process.geteuid?.() ?? -1);
  if (!made.ok) return made;
  const folder = made.value;
  try {
    const link = join(folder, 'pool.conf');
    const wrapper = join(folder, 'ask.conf');
    makeLink(link, pool.config);
    const log = join(folder, 'ask.log');
    createFile(wrapper, `include = '${link}'\n[global]\nlog_level = notice\nerror_log = '${log}'\n`, 0o600);
    const ran = await run([pool.binary, option, '-y', wrapper], { env, timeout: patience });
    if (ran.failure === 'timeout') {
      return fail({ reason: 'pool-test-timeout', slot, file: pool.config, ms: patience });
    }
    if (ran.status !== 0) {
      const output = (ran.failure ?? `${ran.stderr}${ran.stdout}`).replaceAll(link, pool.config);
      return fail({ reason: 'pool-config-invalid', slot, file: pool.config, output });
    }
    return ok(ran.stderr);
  } finally {
    removeFolder(folder);
  }
}

async function read(
  slot: Slot,
  pool: FpmPool & { readonly binary: string },
  env: Readonly<Record<string, string>>,
  dump: Map<string, Map<string, string>>,
): Promise<Result<FpmSlot>> {
  const sections = [...dump.keys()].filter((name) => name !== 'global');
  const section = pool.section ?? (sections.length === 1 ? sections[0] : undefined);
  const own = section === undefined || !sections.includes(section) ? undefined : dump.get(section);
  if (section === undefined || own === undefined) {
    const asked = section === undefined ? {} : { asked: section };
    return fail({ reason: 'pool-section-unclear', file: pool.config, ...asked, sections });
  }
  const global = dump.get('global') ?? new Map<string, string>();
  const invalid = (address: string): Result<never> => fail({ reason: 'address-invalid', slot, address });

  const listen = own.get('listen') ?? '';
  const address = await toAddress(listen);
  if (address === null) return invalid(listen);
  if (pool.listen !== undefined) {
    const named = await toAddress(pool.listen);
    if (named === null || spell(named) !== spell(address)) return invalid(pool.listen);
  }
  const others: Address[] = [];
  const statusListens: Address[] = [];
  let statusAddress: Address | null = null;
  for (const name of sections) {
    for (const key of ['listen', 'pm.status_listen'] as const) {
      const value = dump.get(name)?.get(key);
      if (value === undefined || (name === section && key === 'listen')) continue;
      const found = await toAddress(value);
      if (found === null) return invalid(value);
      (key === 'listen' ? others : statusListens).push(found);
      if (name === section && key === 'pm.status_listen') statusAddress = found;
    }
  }
  for (const { path } of [address, ...others, ...statusListens].filter((each) => each.kind === 'unix')) {
    const found = facts(path);
    const target = found.ok && found.value.kind === 'link' ? readLink(path) : null;
    if (target?.ok === true) return fail({ reason: 'listen-is-link', slot, path, target: target.value });
  }

  const workers = sections.map((name) => startWorkers(dump.get(name) ?? global));
  const pidfile = global.get('pid') ?? pool.pidfile ?? null;
  return ok({
    kind: 'php-fpm',
    slot,
    binary: pool.binary,
    config: pool.config,
    env,
    section,
    // pm.status_listen makes a pool of its own, which is named so
    poolNames: sections.flatMap((name) => [name, `${name}_status`]),
    address,
    others,
    statusListens,
    statusAddress,
    statusPath: own.get('pm.status_path') ?? pool.status ?? null,
    pingPath: own.get('ping.path') ?? null,
    pingResponse: own.get('ping.response') ?? 'pong',
    pidfile: pidfile === null ? null : canonicalPath(pidfile),
    errorLog: fpmTree(pool.config, env, pool.binary).errorLog,
    accessLog: own.get('access.log') ?? null,
    former: [],
    otherLogs: sections.flatMap((name) =>
      name === section ? [] : (dump.get(name)?.get('access.log') ?? []),
    ),
    controlTimeout: controlTimeout(dump),
    backlog: Number(own.get('listen.backlog') ?? -1),
    pm: own.get('pm') as FpmSlot['pm'],
    startWorkers: startWorkers(own),
    allStartWorkers: workers.reduce((sum, each) => sum + each, 0),
    maxChildren: Number(own.get('pm.max_children') ?? 0),
    user: own.get('user') ?? null,
    ownFiles: own.has('chroot') || pool.manager === 'systemd',
  });
}

/** process_control_timeout in what FPM said of its configuration, ms. PURE. */
export const controlTimeoutOf = (answer: string): number => controlTimeout(parseDump(answer));

const controlTimeout = (dump: Map<string, Map<string, string>>): number =>
  seconds(dump.get('global')?.get('process_control_timeout')) * 1000;

/** How many workers a pool has right after a start. */
function startWorkers(pool: Map<string, string>): number {
  const pm = pool.get('pm');
  if (pm === 'static') return Number(pool.get('pm.max_children') ?? 0);
  return pm === 'dynamic' ? Number(pool.get('pm.start_servers') ?? 0) : 0;
}

/** FPM prints a time as `10s`; where it does not, it is seconds. */
const seconds = (text: string | undefined): number => Number.parseInt(text ?? '0', 10) || 0;
