/**
 * The files that an app's YAML names to be read or run by swap-pool, FPM's master or
 * nginx's: by root, when root calls. Taken from the plain value, whatever else is wrong
 * with it, so that a missing file is told together with a wrong key.
 */
import { isAbsolute, resolve } from 'node:path';
import { type Problem, SLOTS, type Slot } from '../event.js';
import { factsThroughLinks } from '../system/files.js';
import type { Path, Yaml } from './document.js';
import { idleKeys } from './idle-keys.js';
import { kindOf, managerOf, managerProblems, placed } from './managers.js';
import { at, dotted } from './problems.js';
import { forSlot } from './resolve.js';
import { isLine } from './schema.js';

export interface NamedFile {
  readonly file: string;
  /** Where the YAML names it. */
  readonly path: Path;
  /** It is a program. */
  readonly run: boolean;
}

/** Every file once; `config` is FPM's own file per slot, null where none is named. */
export interface Named {
  readonly files: readonly NamedFile[];
  readonly config: Readonly<Record<Slot, string | null>>;
}

/** `folder` is the YAML's. */
export function namedFiles(value: unknown, folder: string): Named {
  const file = (path: Path, slot: Slot | null): NamedFile | null => {
    const text = at(value, path);
    if (typeof text !== 'string' || !isLine(text)) return null;
    return {
      file: resolve(folder, slot === null ? text : forSlot(text, slot)),
      path,
      run: ['binary', 'script', 0].includes(path.at(-1) ?? '') && path[0] !== 'probe',
    };
  };
  const ofSlot = (slot: Slot, key: string): NamedFile | null =>
    file(at(value, ['slots', slot, key]) === undefined ? ['pool', key] : ['slots', slot, key], slot);
  const found = [
    ...SLOTS.flatMap((slot) => [
      ofSlot(slot, 'config'),
      ofSlot(slot, 'binary'),
      ...startedBy(value, slot, (path) => file(path, slot)),
    ]),
    file(['nginx', 'binary'], null),
    file(['nginx', 'config'], null),
    nginxArgument(value, file),
  ].filter((one) => one !== null);
  return {
    files: [...new Map(found.map((one) => [`${dotted(one.path)}\0${one.file}`, one])).values()],
    config: { blue: ofSlot('blue', 'config')?.file ?? null, green: ofSlot('green', 'config')?.file ?? null },
  };
}

/** No slot may be without FPM's file, and what is named has to be there. */
export function fileProblems(named: Named, yaml: Yaml): Problem[] {
  return [
    ...missingConfig(yaml),
    ...managerProblems(yaml),
    ...idleKeys(yaml),
    ...named.files.flatMap((one) => missingFile(one, yaml)),
  ];
}

function missingConfig({ value, place }: Yaml): Problem[] {
  const lacks = (path: Path): boolean =>
    at(value, [...path, 'config']) === undefined && isMap(at(value, path) ?? {});
  const someSlotLacks = SLOTS.some((slot) => kindOf(value, slot) !== 'fastcgi' && lacks(['slots', slot]));
  if (!isMap(value) || !someSlotLacks || !lacks(['pool'])) return [];
  const fix = "name FPM's own file; the least that works is  pool: { config: FILE }";
  return [{ place: place(['pool', 'config'], 'value'), what: 'pool.config is missing', fix }];
}

/**
 * What a script's or a command's map names to be run. An interpreter is handed what it runs as its first
 * word; whatever else a command line names is the business of the program.
 */
function startedBy(value: unknown, slot: Slot, file: (path: Path) => NamedFile | null): (NamedFile | null)[] {
  const manager = managerOf(value, slot);
  const own = typeof manager === 'string' ? placed(value, slot, manager) : null;
  if (own === null) return [];
  if (manager === 'init') return [file([...own, 'script'])];
  if (manager !== 'command') return [];
  const words = at(value, [...own, 'start']);
  if (!Array.isArray(words)) return [];
  const program = file([...own, 'start', 0]);
  const [, script] = words as unknown[];
  const isScript = typeof script === 'string' && isAbsolute(script) && INTERPRETER.test(program?.file ?? '');
  return [program, isScript ? file([...own, 'start', 1]) : null];
}

const INTERPRETER = /\/((ba|da)?sh|perl|python[\d.]*|ruby|node|php[\d.]*)$/;

function missingFile({ file, path, run }: NamedFile, yaml: Yaml): Problem[] {
  const place = yaml.place(path, 'value');
  const problem = (what: string, fix: string): Problem[] => [
    { place, what: `${dotted(path)}: ${what}`, fix },
  ];
  const found = factsThroughLinks(file);
  if (!found.ok) {
    const missing = found.code === 'ENOENT' || found.code === 'ENOTDIR';
    return missing
      ? problem(
          `there is no ${file}`,
          'create it, or correct the path; a relative one counts from the folder of this file',
        )
      : problem(`${file} cannot be looked at: ${found.code}`, 'run as root, or let this user read it');
  }
  if (found.value.kind !== 'file') return problem(`${file} is no file`, 'name a file');
  if (run && (found.value.mode & 0o111) === 0)
    return problem(`${file} is not executable`, 'name the program itself');
  return [];
}

/** The file after `-c` among nginx's arguments; a relative one counts from nginx's own prefix, which is not ours to know. */
function nginxArgument(value: unknown, file: (path: Path, slot: null) => NamedFile | null): NamedFile | null {
  const list = at(value, ['nginx', 'arguments']);
  const index = Array.isArray(list) ? list.indexOf('-c') + 1 : 0;
  const found = index > 0 ? file(['nginx', 'arguments', index], null) : null;
  return found !== null && found.file === at(list, [index]) ? found : null;
}

const isMap = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
