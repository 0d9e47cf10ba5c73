/** README's section on the configuration names every key that there is, and no other. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { toJSONSchema } from 'zod';
import { appSchema } from '../../src/config/schema.js';

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** `pool.config`, … Of a map with names of the user's own, that map; of a slot, nothing: it has pool's keys. */
const keysOf = (schema: JsonSchema, above = ''): string[] => {
  const forms = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap((form) => keysOf(form, above));
  const named = Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const path = `${above}${key}`;
    return [path, ...(above === 'slots.' ? [] : keysOf(inner, `${path}.`))];
  });
  return [...forms, ...named];
};

const OWN_NAMES = ['pool.env', 'probe.params'];

const keysIn = (value: unknown, above = ''): string[] =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? []
    : Object.entries(value).flatMap(([key, inner]) => {
        const path = `${above}${key}`;
        return [path, ...(above === 'slots.' || OWN_NAMES.includes(path) ? [] : keysIn(inner, `${path}.`))];
      });

it('every-key-of-the-schema-is-in-the-README-and-no-other', () => {
  const readme = readFileSync('README.md', 'utf8');
  const block = /^## Configuration$.*?^```yaml\n(.*?)^```$/ms.exec(readme)?.[1] ?? '';
  // what stands there as a comment is a key, too: of other kinds, or the other form of one
  const lines = block.replaceAll(/^( *)# ([\w-]+: [^\n]*)$/gm, '$1$2').split('\n');
  // some stand there twice, in two forms: each line of the top alone, and what belongs to it
  const parts = lines.reduce<string[]>((all, line) => {
    if (/^[\w-]/.test(line)) all.push(line);
    else all.push(`${all.pop() ?? ''}\n${line}`);
    return all;
  }, []);
  const told = parts.flatMap((part) => keysIn(parse(part)));
  const known = keysOf(toJSONSchema(appSchema, { unrepresentable: 'any', io: 'input' }) as JsonSchema);
  expect(known).toContain('pool.command.start');
  expect([...new Set(told)].sort()).toEqual([...new Set(known)].sort());
});
