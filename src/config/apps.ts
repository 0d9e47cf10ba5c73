/**
 * Which apps there are, and which one a command means. An app is a file `APP.yaml`;
 * nothing is read here but the folder's listing, and a name that was given is only
 * compared with it, so that no name leads anywhere else.
 */
import { basename, dirname, join, resolve } from 'node:path';
import { type Failed, type Failure, type Problem, type Result, fail, ok } from '../event.js';
import { list } from '../system/files.js';

export interface AppFile {
  readonly app: string;
  /** Absolute. */
  readonly file: string;
}

/** What the command line says: `name` as `<app>`, `file` as `-c FILE`. `folder` is the config folder. */
export interface Choice {
  readonly folder: string;
  readonly name?: string | undefined;
  readonly file?: string | undefined;
}

/**
 * Every app of a config folder, by name; none when the folder is missing. Fails with
 * `config-invalid` for a `.yml` and for a name that no app may have: an app that is
 * silently left out of `status` or `recover` is worse than a refusal. Hidden files
 * (editors' leftovers) are not looked at.
 */
export function findApps(folder: string): Result<readonly AppFile[]> {
  const names = listing(folder);
  if (!names.ok) return names;
  const problems = names.value.flatMap((name) => nameProblems(join(resolve(folder), name)));
  return problems.length > 0 ? invalid(problems) : ok(apps(folder, names.value));
}

/**
 * The one app that a command is about. Fails with `usage` for a name that no app may
 * have, `app-unknown`, `app-ambiguous` when it is left out and several are configured,
 * `no-apps`, or `config-invalid` as findApps does.
 */
export function selectApp(choice: Choice): Result<AppFile> {
  const { folder, name, file } = choice;
  if (file !== undefined) return byFile(file, name);
  if (name !== undefined) return byName(folder, name);
  const found = selectApps(choice);
  if (!found.ok) return found;
  const [only, ...others] = found.value;
  if (only === undefined) return fail({ reason: 'no-apps', folder });
  return others.length === 0 ? ok(only) : fail({ reason: 'app-ambiguous', known: found.value.map(toName) });
}

/** The same for a command that is about all apps when none is named; at least one. */
export function selectApps(choice: Choice): Result<readonly AppFile[]> {
  const { folder, name, file } = choice;
  if (file !== undefined || name !== undefined) {
    const one = selectApp(choice);
    return one.ok ? ok([one.value]) : one;
  }
  const found = findApps(folder);
  if (!found.ok) return found;
  return found.value.length > 0 ? found : fail({ reason: 'no-apps', folder });
}

/** The file of an app that is yet to be written; `usage` for a name that no app may have. */
export function newApp({ folder, name, file }: Choice): Result<AppFile> {
  if (file !== undefined) {
    const own = byFile(file, name);
    if (!own.ok || own.value.file === join(resolve(folder), basename(own.value.file))) return own;
    const detail = `what init writes (units, cron, logrotate) looks for apps in ${folder}, not for ${own.value.file}: give the app's name without -c, or call it with SWAP_POOL_CONFIG_DIR=${dirname(own.value.file)}`;
    return fail({ reason: 'usage', detail });
  }
  if (name === undefined) return fail({ reason: 'usage', detail: 'init needs the name of the app' });
  if (APP.test(name) && name.length <= LONGEST)
    return ok({ app: name, file: join(resolve(folder), `${name}${ENDING}`) });
  return fail({ reason: 'usage', detail: `${quote(name)} is no app's name (${RULE})` });
}

/**
 * The same, for a command that takes each by itself: a file whose name is wrong keeps no other app from its turn.
 * `misnamed` is then what is wrong, to be said all the same.
 */
export function selectEach(
  choice: Choice,
): Result<{ readonly apps: readonly AppFile[]; readonly misnamed: Failure | null }> {
  const all = selectApps(choice);
  if (all.ok) return ok({ apps: all.value, misnamed: null });
  const { folder, name, file } = choice;
  if (file !== undefined || name !== undefined) return all;
  const names = listing(folder);
  const rest = names.ok ? apps(folder, names.value) : [];
  return rest.length > 0 ? ok({ apps: rest, misnamed: all.failure }) : all;
}

function byFile(given: string, name: string | undefined): Result<AppFile> {
  const file = resolve(given);
  const problems = nameProblems(file);
  if (problems.length > 0) return invalid(problems);
  if (!file.endsWith(ENDING)) {
    return invalid([
      { place: { file, line: 1 }, what: 'is not named APP.yaml', fix: `rename it to ${basename(file)}.yaml` },
    ]);
  }
  const app = basename(file, ENDING);
  if (name === undefined || name === app) return ok({ app, file });
  return fail({
    reason: 'usage',
    detail: `${file} is the app "${app}", not ${quote(name)}: leave one of the two out`,
  });
}

function byName(folder: string, name: string): Result<AppFile> {
  if (!APP.test(name)) {
    const detail = `${quote(name)} is no app's name (${RULE}); -c FILE takes a file`;
    return fail({ reason: 'usage', detail });
  }
  const names = listing(folder);
  if (!names.ok) return names;
  // Another app's misnamed file does not concern this one.
  const problems = names.value.includes(`${name}.yml`)
    ? nameProblems(join(resolve(folder), `${name}.yml`))
    : [];
  if (problems.length > 0) return invalid(problems);
  const known = apps(folder, names.value);
  const found = known.find((one) => one.app === name);
  if (found !== undefined) return ok(found);
  return fail({ reason: 'app-unknown', app: shorten(name), known: known.map(toName) });
}

function listing(folder: string): Result<readonly string[]> {
  const names = list(folder);
  if (names.ok) return ok(names.value.filter((name) => !name.startsWith('.')));
  if (names.code === 'ENOENT') return ok([]);
  const fix =
    names.code === 'EACCES'
      ? 'run as root, or name one app with -c FILE'
      : 'SWAP_POOL_CONFIG_DIR must be a folder';
  return invalid([{ place: { file: folder, line: 1 }, what: `cannot be listed: ${names.code}`, fix }]);
}

const apps = (folder: string, names: readonly string[]): AppFile[] =>
  names
    .filter((name) => name.endsWith(ENDING) && APP.test(basename(name, ENDING)))
    .map((name) => ({ app: basename(name, ENDING), file: join(resolve(folder), name) }));

/** What is wrong with the name of a file that is, or was meant as, an app's. */
function nameProblems(file: string): Problem[] {
  const name = basename(file);
  const place = { file, line: 1 };
  if (/\.yml$/i.test(name)) {
    const fix = `rename it to ${name.replace(/\.yml$/i, ENDING)}`;
    return [{ place, what: 'is not read: an app is a .yaml file', fix }];
  }
  if (!name.endsWith(ENDING) || APP.test(basename(name, ENDING))) return [];
  return [{ place, what: `${quote(basename(name, ENDING))} is no app's name`, fix: `rename it: ${RULE}` }];
}

const ENDING = '.yaml';
const APP = /^(?!\.)[a-z0-9._-]+$/;
/** It becomes part of the names of files and units, which have 255 bytes. */
const LONGEST = 100;
const RULE = 'a-z 0-9 . _ - and no dot in front';

const invalid = (problems: readonly Problem[]): Failed => fail({ reason: 'config-invalid', problems });
const toName = ({ app }: AppFile): string => app;
const shorten = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
const quote = (text: string): string => JSON.stringify(shorten(text));
