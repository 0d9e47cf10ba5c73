import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { applyEdits, diff, inverseEdits } from '../../src/nginx/edit.js';
import { lex } from '../../src/nginx/lexer.js';
import { bytesOf } from '../../src/nginx/spelling.js';
import { sandbox } from './disk.js';
import { anyBytes, configText } from './generate.js';

const box = sandbox();
afterAll(box.remove);

const applied = (bytes: Uint8Array, edits: Parameters<typeof applyEdits>[1]): Uint8Array => {
  const result = applyEdits(bytes, edits);
  if (!result.ok) throw new Error(result.failure.reason);
  return result.value;
};

/** Some tokens of some text, each with what to put in its place. */
const edited = fc
  .tuple(fc.oneof(anyBytes, configText.map(bytesOf)), fc.infiniteStream(fc.option(anyBytes)))
  .map(([bytes, choices]) => {
    const edits = lex(bytes).tokens.flatMap(({ offset, length }) => {
      const { value: replacement } = choices.next() as IteratorResult<Uint8Array | null, undefined>;
      return replacement ? [{ offset, length, replacement }] : [];
    });
    return { bytes, edits };
  });

it('an-edit-changes-its-span-and-nothing-else', () => {
  fc.assert(
    fc.property(edited, ({ bytes, edits }) => {
      const after = applied(bytes, [...edits].reverse());
      let from = 0;
      let to = 0;
      for (const { offset, length, replacement } of [
        ...edits,
        { offset: bytes.length, length: 0, replacement: new Uint8Array() },
      ]) {
        expect(after.subarray(to, to + offset - from)).toEqual(bytes.subarray(from, offset));
        to += offset - from;
        expect(after.subarray(to, to + replacement.length)).toEqual(replacement);
        from = offset + length;
        to += replacement.length;
      }
      expect(to).toBe(after.length);
    }),
  );
});

it('no-edit-gives-the-same-bytes', () => {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      expect(applied(bytes, [])).toEqual(bytes);
      const same = lex(bytes).tokens.map(({ offset, length }) => ({
        offset,
        length,
        replacement: bytes.slice(offset, offset + length),
      }));
      expect(applied(bytes, same)).toEqual(bytes);
    }),
  );
});

it('the-inverse-gives-the-first-bytes-back', () => {
  fc.assert(
    fc.property(edited, ({ bytes, edits }) => {
      expect(applied(applied(bytes, edits), inverseEdits(bytes, edits))).toEqual(bytes);
    }),
  );
});

it('edits-that-overlap-are-a-bug-and-no-throw', () => {
  const bytes = bytesOf('abc');
  const edit = (offset: number, length: number) => ({ offset, length, replacement: bytes });
  expect(applyEdits(bytes, [edit(0, 2), edit(1, 1)])).toMatchObject({
    ok: false,
    failure: { reason: 'bug' },
  });
  expect(applyEdits(bytes, [edit(2, 2)])).toMatchObject({ ok: false, failure: { reason: 'bug' } });
});

it('a-diff-shows-three-lines-of-context', () => {
  const before = bytesOf('1\n2\n3\n4\n5\n6\n7\n8\n9\n');
  const after = bytesOf('1\n2\n3\n4\nfive\n6\n7\n8\n9\n');
  expect(diff(before, after, 'a.conf')).toBe(
    '--- a.conf\n+++ a.conf\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n',
  );
  expect(diff(before, before, 'a.conf')).toBe('');
});

it('patch-makes-the-after-of-the-before', () => {
  const file = fc
    .array(fc.constantFrom('a\n', 'b\n', 'c\n', '\n', 'd'), { maxLength: 30 })
    .map((all) => all.join(''));
  fc.assert(
    fc.property(file, file, (before, after) => {
      const text = diff(bytesOf(before), bytesOf(after), 'file');
      expect(text === '').toBe(before === after);
      if (text === '') return;
      const path = box.write('file', before);
      writeFileSync(`${box.root}/patch`, text);
      const run = spawnSync('patch', ['-s', '-o', '-', path, `${box.root}/patch`], { encoding: 'latin1' });
      if (run.error === undefined) expect(run.stdout, text + run.stderr).toBe(after);
    }),
    { numRuns: 60 },
  );
});
