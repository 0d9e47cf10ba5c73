/**
 * A hash over everything that decides what a pool would run: FPM's configuration tree, php.ini
 * and its folder of additions, the app's YAML, and what the app watches.
 */
import { createHash } from 'node:crypto';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { run } from '../system/exec.js';
import { factsThroughLinks, list, readBytes, realPath } from '../system/files.js';
import { glob } from '../system/glob.js';
import { fpmTree } from './fpm-tree.js';
import { keepAnswer, keptAnswer, programDigest } from './kept-answer.js';
import type { FpmSlot, PoolSlot } from './slots.js';

const ASK_TIMEOUT = 20_000;

/** The app's YAML, which holds argv, environment and address of a start; what it watches; what its manager runs. */
export interface Fingerprinted {
  readonly file: string;
  readonly watch: readonly string[];
  readonly files: readonly string[];
}

/** Hex sha256. Fails with `pool-config-invalid` when php-fpm does not say where its php.ini is. */
export async function fingerprint(
  slots: readonly PoolSlot[],
  { file, watch, files: own }: Fingerprinted,
  folder: string,
): Promise<Result<string>> {
  const files = new Set([file, ...own]);
  const fpms = slots.filter((slot) => slot.kind === 'php-fpm');
  for (const { config, env, binary } of fpms) {
    for (const each of fpmTree(config, env, binary).files) files.add(each);
  }
  const asked = new Map(fpms.map((slot) => [`${slot.binary}\n${JSON.stringify(phpVariables(slot))}`, slot]));
  for (const slot of asked.values()) {
    const inis = await phpIni(slot, folder);
    if (!inis.ok) return inis;
    for (const each of inis.value) files.add(each);
  }
  for (const pattern of watch) for (const each of glob(pattern)) files.add(each);

  const hash = createHash('sha256');
  // lengths in front: no two lists of files and contents become one stream of bytes
  const add = (part: string | Uint8Array): void => {
    const bytes = Buffer.from(part);
    hash.update(`${String(bytes.length)}:`).update(bytes);
  };
  for (const pattern of watch) add(pattern);
  for (const path of [...files].sort()) {
    add(path);
    const real = realPath(path);
    // a link that leads elsewhere is a change, though what stands there may read the same
    add(real.ok ? real.value : '');
    for (const part of contentOf(path)) add(part);
  }
  return ok(hash.digest('hex'));
}

/** The php.ini files that this build of FPM loads, in a `php-fpm -i`'s words. PURE. */
export function parseIniFiles(info: string): readonly string[] {
  const field = (name: string): string =>
    new RegExp(`^${name} => ((?:.*,\\n)*.*)$`, 'm').exec(info)?.[1] ?? '';
  return [field('Loaded Configuration File'), ...field('Additional \\.ini files parsed').split(/,\s*/)]
    .map((path) => path.trim())
    .filter((path) => path.startsWith('/'));
}

/** The folders in which it looks for them. PURE. */
export function parseIniFolders(info: string): readonly string[] {
  const named = /^Configuration File \(php\.ini\) Path => (.*)$/m.exec(info)?.[1] ?? '';
  const scanned = /^Scan this dir for additional \.ini files => (.*)$/m.exec(info)?.[1] ?? '';
  return [named, ...scanned.split(':')].map((path) => path.trim()).filter((path) => path.startsWith('/'));
}

/** Asked of FPM, unless it is known from before and no file has come to or gone from where FPM looks. */
async function phpIni(slot: FpmSlot, folder: string): Promise<Result<readonly string[]>> {
  const digest = programDigest(slot.binary, [slot.slot, ...phpVariables(slot)]);
  const kept = digest === null ? null : keptAnswer(folder, `ini-${slot.slot}`, digest);
  const known = kept === null ? null : (JSON.parse(kept) as KnownInis);
  if (known !== null && JSON.stringify(listings(known.folders)) === JSON.stringify(known.names)) {
    return ok(known.files);
  }
  const ran = await run([slot.binary, '-i'], { env: slot.env, timeout: ASK_TIMEOUT });
  if (ran.status !== 0) {
    const output = ran.failure ?? ran.stderr;
    return fail({ reason: 'pool-config-invalid', slot: slot.slot, file: slot.config, output });
  }
  const files = parseIniFiles(ran.stdout);
  const folders = [...parseIniFolders(ran.stdout), ...(slot.env['PHPRC'] ?? '').split(':').filter(Boolean)];
  const answer: KnownInis = { files, folders, names: listings(folders) };
  if (digest !== null) keepAnswer(folder, `ini-${slot.slot}`, digest, JSON.stringify(answer));
  return ok(files);
}

interface KnownInis {
  readonly files: readonly string[];
  readonly folders: readonly string[];
  /** What stood in each of the folders. */
  readonly names: readonly (readonly string[])[];
}

const listings = (folders: readonly string[]): (readonly string[])[] =>
  folders.map((folder) => {
    const names = list(folder);
    return names.ok ? names.value : [names.code];
  });

/** The part of the environment that decides which php.ini is loaded (php_ini.c). */
const phpVariables = ({ env }: FpmSlot): readonly (string | undefined)[] => [
  env['PHPRC'],
  env['PHP_INI_SCAN_DIR'],
];

function contentOf(path: string): readonly (string | Uint8Array)[] {
  const found = factsThroughLinks(path);
  if (!found.ok) return [found.code];
  if (found.value.kind === 'folder') {
    const names = list(path);
    return names.ok ? ['folder', ...names.value] : [names.code];
  }
  if (found.value.kind !== 'file') return [found.value.kind];
  const bytes = readBytes(path);
  return bytes.ok ? ['file', bytes.value] : [bytes.code];
}
