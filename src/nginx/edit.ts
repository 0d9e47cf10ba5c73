import { fail, ok } from '../event.js';
import type { Result } from '../event.js';

/** Bytes `offset` to `offset + length` become `replacement`. */
export interface Edit {
  readonly offset: number;
  readonly length: number;
  readonly replacement: Uint8Array;
}

/** Splices; every byte outside the edits stays. Edits that overlap or leave the file are a bug of the caller's. */
export function applyEdits(bytes: Uint8Array, edits: readonly Edit[]): Result<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let end = 0;
  for (const { offset, length, replacement } of inOrder(edits)) {
    if (offset < end || length < 0 || offset + length > bytes.length) {
      return fail({ reason: 'bug', detail: `edit of ${String(length)} bytes at ${String(offset)} overlaps` });
    }
    pieces.push(bytes.subarray(end, offset), replacement);
    end = offset + length;
  }
  pieces.push(bytes.subarray(end));
  const after = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    after.set(piece, at);
    at += piece.length;
  }
  return ok(after);
}

/** The edits that undo `edits`, for the bytes that they made of `bytes`. */
export function inverseEdits(bytes: Uint8Array, edits: readonly Edit[]): readonly Edit[] {
  let shift = 0;
  return inOrder(edits).map(({ offset, length, replacement }) => {
    const back = {
      offset: offset + shift,
      length: replacement.length,
      replacement: bytes.slice(offset, offset + length),
    };
    shift += replacement.length - length;
    return back;
  });
}

/**
 * A unified diff with three lines of context, as `diff -u` prints it; empty
 * when nothing changes. For people: bytes that are no UTF-8 show as U+FFFD.
 */
export function diff(before: Uint8Array, after: Uint8Array, file: string): string {
  const changes = compare(lines(before), lines(after));
  const hunks: string[] = [];
  for (let at = changes.findIndex(isChange); at >= 0;) {
    // A hunk goes on while no more than twice the context lies between two changes.
    let last = at;
    for (let next = at; next < changes.length && next - last <= 2 * CONTEXT + 1; next++) {
      const change = changes[next];
      if (change !== undefined && isChange(change)) last = next;
    }
    hunks.push(hunk(changes.slice(Math.max(0, at - CONTEXT), last + CONTEXT + 1)));
    const rest = changes.slice(last + 1).findIndex(isChange);
    at = rest < 0 ? -1 : last + 1 + rest;
  }
  return hunks.length === 0 ? '' : `--- ${file}\n+++ ${file}\n${hunks.join('')}`;
}

const CONTEXT = 3;

/** A line on one side or both, and how many lines of each side stand before it. */
interface Change {
  readonly sign: ' ' | '-' | '+';
  readonly text: string;
  readonly old: number;
  readonly new: number;
}

function inOrder(edits: readonly Edit[]): readonly Edit[] {
  return [...edits].sort((a, b) => a.offset - b.offset);
}

function isChange(change: Change): boolean {
  return change.sign !== ' ';
}

/** With their line ends, so that a last line without one differs from the same line with one. */
function lines(bytes: Uint8Array): readonly string[] {
  return new TextDecoder().decode(bytes).match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function compare(a: readonly string[], b: readonly string[]): readonly Change[] {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a.at(-1 - tail) === b.at(-1 - tail)) tail++;
  const same = common(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const changes: Change[] = [];
  let x = 0;
  let y = 0;
  const until = (oldEnd: number, newEnd: number): void => {
    while (x < oldEnd) changes.push({ sign: '-', text: a[x] ?? '', old: x++, new: y });
    while (y < newEnd) changes.push({ sign: '+', text: b[y] ?? '', old: x, new: y++ });
  };
  const both = (): void => {
    changes.push({ sign: ' ', text: a[x] ?? '', old: x++, new: y++ });
  };
  while (x < head) both();
  for (const [i, j] of same) {
    until(head + i, head + j);
    both();
  }
  until(a.length - tail, b.length - tail);
  while (x < a.length) both();
  return changes;
}

/** Pairs of equal lines, in order: line by line where the counts agree (our edits keep them), else the longest common subsequence. */
function common(a: readonly string[], b: readonly string[]): readonly (readonly [number, number])[] {
  const pairs: (readonly [number, number])[] = [];
  if (a.length === b.length || a.length * b.length > 4_000_000) {
    a.forEach((line, at) => {
      if (line === b[at]) pairs.push([at, at]);
    });
    return pairs;
  }
  const width = b.length + 1;
  const length = new Uint32Array((a.length + 1) * width);
  const best = (i: number, j: number): number => length[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] =
        a[i] === b[j] ? best(i + 1, j + 1) + 1 : Math.max(best(i + 1, j), best(i, j + 1));
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) pairs.push([i++, j++]);
    else if (best(i + 1, j) >= best(i, j + 1)) i++;
    else j++;
  }
  return pairs;
}

function hunk(changes: readonly Change[]): string {
  const count = (sign: string): number => changes.filter((each) => each.sign !== sign).length;
  const range = (start: number, length: number): string =>
    length === 1 ? String(start + 1) : `${String(length === 0 ? start : start + 1)},${String(length)}`;
  const [first] = changes;
  const head = `@@ -${range(first?.old ?? 0, count('+'))} +${range(first?.new ?? 0, count('-'))} @@\n`;
  const body = changes.map(({ sign, text }) =>
    text.endsWith('\n') ? sign + text : `${sign}${text}\n\\ No newline at end of file\n`,
  );
  return head + body.join('');
}
