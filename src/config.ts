/**
 * One app's YAML -> Config, or every problem at once, each with file:line:column, what
 * is wrong and what to do.
 */
import { basename, dirname } from 'node:path';
import { type Failed, type Problem, type Result, fail, ok } from './event.js';
import { LARGEST, type Path, type Yaml, noYaml, readYaml } from './config/document.js';
import { fileProblems, namedFiles } from './config/named.js';
import { at, schemaProblems } from './config/problems.js';
import { type Config, resolveApp } from './config/resolve.js';
import { appSchema } from './config/schema.js';
import { factsThroughLinks, readBytes } from './system/files.js';
import { untrustedPart } from './system/trust.js';

/**
 * Reads an app's YAML. `file` is absolute and named APP.yaml (config/apps.ts sees to it).
 * Fails with `config-invalid`, or, when `root` (we act as root), with `unsafe-path` for the
 * first thing that somebody else than root could change: the YAML, what it names to be
 * read or run by root, or a folder or link on the way to them.
 */
export function loadConfig(file: string, { root }: { readonly root: boolean }): Result<Config> {
  const trust = root ? untrusted : () => null;
  const unsafe = trust(file);
  if (unsafe !== null) return unsafe;
  const yaml = readFile(file);
  const named = namedFiles(yaml.value, dirname(file));
  const parsed = appSchema.safeParse(spelledOut(yaml));
  const problems = [
    ...yaml.problems,
    ...(parsed.success || yaml.value === undefined ? [] : schemaProblems(parsed.error.issues, yaml)),
    ...fileProblems(named, yaml),
  ];
  if (!parsed.success || problems.length > 0) {
    return fail({ reason: 'config-invalid', problems: problems.sort(byPlace) });
  }
  for (const one of named.files) {
    const unsafe = trust(one.file);
    if (unsafe !== null) return unsafe;
  }
  const config = resolveApp(parsed.data, basename(file, '.yaml'), file, named.config);
  if (config.probe.script === undefined) return ok(config);
  // whether it is there is asked before a deploy alone: nobody else needs it, least of all who ends one
  return ok({ ...config, probe: { ...config.probe, scriptAt: yaml.place(['probe', 'script'], 'value') } });
}

/** The YAML, or as its one problem why it cannot be read. */
function readFile(file: string): Yaml {
  const found = factsThroughLinks(file);
  // Looked at first: reading a FIFO would wait for a writer.
  if (found.ok && found.value.kind !== 'file')
    return noYaml({ file, line: 1 }, 'is no file', 'name the YAML file itself');
  if (found.ok && found.value.size > LARGEST)
    return noYaml(
      { file, line: 1 },
      `is larger than ${String(LARGEST / 1024)} KiB`,
      'check that this is the right file',
    );
  const bytes = readBytes(file);
  if (bytes.ok) return readYaml(bytes.value, file);
  return bytes.code === 'ENOENT' || bytes.code === 'ENOTDIR'
    ? noYaml({ file, line: 1 }, 'there is no such file', 'create it: `swap-pool init` writes one')
    : noYaml({ file, line: 1 }, `cannot be read: ${bytes.code}`, 'run as root, or let this user read it');
}

/**
 * Where the YAML wants text, a number is the text it is written as: VERSION: 1.10 is
 * no 1.1, and `listen: 9000` is what FPM calls a port.
 */
function spelledOut(yaml: Yaml): unknown {
  const spell = (path: Path): void => {
    const parent = at(yaml.value, path.slice(0, -1));
    const value = at(yaml.value, path);
    if (typeof value !== 'number' && typeof value !== 'boolean') return;
    (parent as Record<string | number, unknown>)[path.at(-1) ?? ''] = yaml.written(path) ?? String(value);
  };
  const inside = (path: Path): void => {
    for (const key of Object.keys(at(yaml.value, path) ?? {})) spell([...path, key]);
  };
  for (const pool of [['pool'], ['slots', 'blue'], ['slots', 'green']]) {
    inside([...pool, 'env']);
    spell([...pool, 'listen']);
    spell([...pool, 'section']);
  }
  inside(['probe', 'params']);
  return yaml.value;
}

function untrusted(file: string): Failed | null {
  const part = untrustedPart(file, 0);
  return part === null ? null : fail({ reason: 'unsafe-path', ...part });
}

const byPlace = (a: Problem, b: Problem): number =>
  a.place.line - b.place.line || (a.place.column ?? 0) - (b.place.column ?? 0);
