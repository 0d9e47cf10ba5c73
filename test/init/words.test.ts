import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { shellWord, unitWord, yamlWord } from '../../src/init/words.js';

it('a shell reads back every word', () => {
  const words = fc.sample(
    fc.string({ minLength: 1, unit: fc.constantFrom(...'ab \'"$`\\*?;|&<>(){}[]!#~%=\t') }),
    200,
  );
  const said = execFileSync('/bin/sh', ['-c', `printf '%s\\n' ${words.map(shellWord).join(' ')}`]).toString();
  expect(said).toBe(`${words.join('\n')}\n`);
});

it('YAML reads back every word', () => {
  const word = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.constantFrom('yes', 'null', '1.10', '/a b', '~', 'a: b', '{slot}'),
  );
  fc.assert(
    fc.property(word, (text) => {
      expect((parse(`a: ${yamlWord(text)}\n`) as { a: unknown }).a).toBe(text);
    }),
  );
});

it.each([
  ['/usr/bin/node', '/usr/bin/node'],
  ['/opt/100%/node', '/opt/100%%/node'],
  ['/opt/my node', '"/opt/my node"'],
  ['$HOME', '$$HOME'],
])('systemd takes %s as %s', (word, written) => {
  expect(unitWord(word)).toBe(written);
});
