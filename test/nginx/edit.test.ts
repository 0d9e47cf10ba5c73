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
  expect(applyEdits(bytes, [edit(2, 2)])).toMatchObject({
    failure: { reason: 'bug', detail: 'edit of 2 bytes at 2 overlaps' },
  });
  expect(applyEdits(bytes, [edit(1, -1)])).toMatchObject({ ok: false, failure: { reason: 'bug' } });
  expect(applyEdits(bytes, [edit(-1, 1)])).toMatchObject({ ok: false, failure: { reason: 'bug' } });
});

it('a-diff-shows-three-lines-of-context', () => {
  const before = bytesOf('1\n2\n3\n4\n5\n6\n7\n8\n9\n');
  const after = bytesOf('1\n2\n3\n4\nfive\n6\n7\n8\n9\n');
  expect(diff(before, after, 'a.conf')).toBe(
    '--- a.conf\n+++ a.conf\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n',
  );
  expect(diff(before, before, 'a.conf')).toBe('');
});

const linesOf = (text: string): readonly string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

/** The lines of each hunk; throws unless heads, context and counts are those of the files. */
function hunksOf(text: string, before: readonly string[], after: readonly string[]): readonly string[][] {
  const [from, to, ...rest] =
    text.replaceAll('\n\\ No newline at end of file\n', '\0').match(/[^\n\0]*[\n\0]/g) ?? [];
  expect([from, to]).toEqual(['--- file\n', '+++ file\n']);
  const hunks: string[][] = [];
  let [x, y] = [0, 0];
  let ends = [0, 0];
  for (const line of rest) {
    const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@\n$/.exec(line);
    if (head !== null) {
      expect([x, y].map((at, side) => (hunks.length === 0 ? ends[side] : at))).toEqual(ends);
      const [, old = '', oldCount = '1', fresh = '', newCount = '1'] = head;
      expect(line).not.toContain(',1 ');
      // of no lines the number is that of the line before
      [x, y] = [Number(old) - (oldCount === '0' ? 0 : 1), Number(fresh) - (newCount === '0' ? 0 : 1)];
      ends = [x + Number(oldCount), y + Number(newCount)];
      hunks.push([]);
      continue;
    }
    const sign = line[0] ?? '';
    const content = line.slice(1).replace('\0', '');
    if (sign !== '+') expect(before[x++]).toBe(content);
    if (sign !== '-') expect(after[y++]).toBe(content);
    hunks.at(-1)?.push(sign);
  }
  expect([x, y]).toEqual(ends);
  return hunks;
}

/** What the hunks make of the first lines. */
function patched(text: string, before: readonly string[], after: readonly string[]): string {
  const result: string[] = [];
  let x = 0;
  const heads = [...text.matchAll(/^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@$/gm)];
  for (const [, old = '', oldCount = '1', fresh = '', newCount = '1'] of heads) {
    const begin = Number(oldCount) === 0 ? Number(old) : Number(old) - 1;
    while (x < begin) result.push(before[x++] ?? '');
    let y = Number(newCount) === 0 ? Number(fresh) : Number(fresh) - 1;
    expect(result.length).toBe(y);
    for (let left = Number(newCount); left > 0; left--) result.push(after[y++] ?? '');
    x += Number(oldCount);
  }
  while (x < before.length) result.push(before[x++] ?? '');
  return result.join('');
}

/** How many lines two lists have in common, in order. */
function inCommon(a: readonly string[], b: readonly string[]): number {
  let row = new Array<number>(b.length + 1).fill(0);
  for (const line of a) {
    const next = [0];
    b.forEach((other, j) =>
      next.push(line === other ? (row[j] ?? 0) + 1 : Math.max(row[j + 1] ?? 0, next[j] ?? 0)),
    );
    row = next;
  }
  return row[b.length] ?? 0;
}

/** As many as differ, where what is between the first and the last difference is as long as it was; else as few as can be. */
function fewest(before: readonly string[], after: readonly string[]): number {
  let head = 0;
  while (head < Math.min(before.length, after.length) && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < Math.min(before.length, after.length) - head && before.at(-1 - tail) === after.at(-1 - tail))
    tail++;
  const [a, b] = [before.slice(head, before.length - tail), after.slice(head, after.length - tail)];
  if (a.length !== b.length) return a.length + b.length - 2 * inCommon(a, b);
  return 2 * a.filter((line, at) => line !== b[at]).length;
}

it('a-diff-is-one-that-patch-takes-with-no-more-lines-than-it-needs', () => {
  const line = fc.constantFrom('a\n', 'b\n', 'c\n', '\n', 'x y\n');
  const file = fc
    .tuple(fc.array(line, { maxLength: 40 }), fc.constantFrom('', '', 'd'))
    .map(([all, last]) => all.join('') + last);
  const changed = file.chain((text) =>
    fc
      .array(fc.record({ at: fc.nat(60), drop: fc.nat(2), put: fc.constantFrom('', 'a\n', 'z\n') }), {
        maxLength: 4,
      })
      .map((edits) => {
        const lines = [...linesOf(text)];
        for (const { at, drop, put } of edits) lines.splice(at % (lines.length + 1), drop, ...linesOf(put));
        return [text, lines.join('')] as const;
      }),
  );
  fc.assert(
    fc.property(fc.oneof(fc.tuple(file, file), changed), ([before, after]) => {
      const text = diff(bytesOf(before), bytesOf(after), 'file');
      expect(text === '').toBe(before === after);
      if (text === '') return;
      const [old, fresh] = [linesOf(before), linesOf(after)];
      const hunks = hunksOf(text, old, fresh);
      expect(patched(text, old, fresh)).toBe(after);
      expect(hunks.flat().filter((sign) => sign !== ' ')).toHaveLength(fewest(old, fresh));
      for (const [at, hunk] of hunks.entries()) {
        const shape = hunk.join('');
        // between two changes no more than the context of both; at the ends three lines, where there are as many
        expect(shape).toMatch(/^ {0,3}[-+](.*[-+])? {0,3}$/);
        expect(shape).not.toMatch(/[-+] {7,}[-+]/);
        // what goes is told before what comes
        expect(shape).not.toMatch(/\+-/);
        if (at > 0) expect(shape).toMatch(/^ {3}/);
        if (at < hunks.length - 1) expect(shape).toMatch(/ {3}$/);
      }
    }),
    { numRuns: 400 },
  );
});

it.each([
  ['at the begin', 'a\n', 'b\na\n', '@@ -1 +1,2 @@\n+b\n a\n'],
  ['of everything', 'a\nb\n', '', '@@ -1,2 +0,0 @@\n-a\n-b\n'],
  ['of nothing', '', 'a\n', '@@ -0,0 +1 @@\n+a\n'],
  ['without a last line end', 'a', 'a\n', '@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n'],
  [
    'six lines apart',
    '1\na\nb\nc\nd\ne\nf\n2\n',
    'x\na\nb\nc\nd\ne\nf\ny\n',
    '@@ -1,8 +1,8 @@\n-1\n+x\n a\n b\n c\n d\n e\n f\n-2\n+y\n',
  ],
  [
    'seven lines apart',
    '1\na\nb\nc\nd\ne\nf\ng\n2\n',
    'x\na\nb\nc\nd\ne\nf\ng\ny\n',
    '@@ -1,4 +1,4 @@\n-1\n+x\n a\n b\n c\n@@ -6,4 +6,4 @@\n e\n f\n g\n-2\n+y\n',
  ],
  ['in either of two ways', 'a\nb\n', 'b\na\nc\n', '@@ -1,2 +1,3 @@\n-a\n b\n+a\n+c\n'],
])('a-diff-%s', (_, before, after, hunks) => {
  expect(diff(bytesOf(before), bytesOf(after), 'f')).toBe(`--- f\n+++ f\n${hunks}`);
});

it('of-a-file-of-thousands-of-new-lines-the-diff-is-quick-and-not-short', () => {
  const lines = (from: number, count: number): string =>
    Array.from({ length: count }, (_, at) => `${from + at}\n`).join('');
  const kept = (count: number): number => {
    const text = diff(bytesOf(`x\n${lines(0, count)}y\n`), bytesOf(`z\n${lines(-2, count + 1)}w\n`), 'f');
    return text.split('\n').filter((line) => line.startsWith(' ')).length;
  };
  // shifted by two lines: found where the table of all pairs has at most four million entries
  expect(kept(1500)).toBeGreaterThan(0);
  expect(kept(2500)).toBe(0);
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
