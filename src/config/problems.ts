/**
 * What zod says about a value -> Problems: what is wrong told from the value itself,
 * what to do from the schema's message, the place from the YAML.
 */
import type * as z from 'zod/mini';
import type { Place, Problem } from '../event.js';
import type { Path, Yaml } from './document.js';

type Issue = z.core.$ZodIssue;

/** Every issue as a Problem, or several (each unknown key is one). */
export function schemaProblems(issues: readonly Issue[], yaml: Yaml): Problem[] {
  if (yaml.value === null) {
    const fix = 'the least that works is  pool: { config: FILE }';
    return [{ place: yaml.place([], 'value'), what: 'the file is empty', fix }];
  }
  return issues.flatMap((issue) => problemsOf(issue, [], yaml));
}

/** The value at a path of plain maps and lists; undefined where there is none. */
export function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (part, name) =>
      typeof part === 'object' && part !== null && Object.hasOwn(part, name)
        ? (part as Record<string | number, unknown>)[name]
        : undefined,
    value,
  );
}

/** A path as a person writes it: `probe.params.HTTP_HOST`, `nginx.only[0]`. */
export const dotted = (path: Path): string =>
  path
    .map((name, index) =>
      typeof name === 'number' ? `[${String(name)}]` : `${index > 0 ? '.' : ''}${shorten(name)}`,
    )
    .join('');

function problemsOf(issue: Issue, above: Path, yaml: Yaml): Problem[] {
  const path = [...above, ...(issue.path as Path)];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      place: yaml.place([...path, key], 'key'),
      what: `unknown key ${dotted([...path, key])}`,
      fix: issue.message,
    }));
  }
  if (issue.code === 'invalid_key') {
    const fix = issue.issues[0]?.message ?? issue.message;
    return [{ place: yaml.place(path, 'key'), what: `${dotted(path)} cannot be set`, fix }];
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    return meant(issue.errors).flatMap((inner) => problemsOf(inner, path, yaml));
  }
  const value = at(yaml.value, path);
  const place: Place = yaml.place(path, 'value');
  return [
    { place, what: `${dotted(path) || 'the file'} ${description(value)}`, fix: fixFor(value, issue.message) },
  ];
}

/** Of the alternatives the one that the writer meant: that does not fail as a whole; else the first. */
function meant(alternatives: readonly (readonly Issue[])[]): readonly Issue[] {
  const failsAsAWhole = ({ code, path }: Issue): boolean =>
    path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
  return alternatives.find((issues) => !issues.some(failsAsAWhole)) ?? alternatives[0] ?? [];
}

function description(value: unknown): string {
  if (value === undefined) return 'is missing';
  if (value === null) return 'has no value';
  if (typeof value === 'string') return `is ${JSON.stringify(shorten(value))}`;
  if (typeof value === 'number') return `is the number ${String(value)}`;
  if (typeof value === 'boolean') return `is ${String(value)}`;
  return Array.isArray(value) ? 'is a list' : 'is a map';
}

/** `{slot}` without quotes is a map to YAML. */
const fixFor = (value: unknown, fix: string): string =>
  at(value, ['slot']) === null ? 'put {slot} in quotes: "{slot}"' : fix;

const shorten = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
