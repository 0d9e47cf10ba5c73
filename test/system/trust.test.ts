import {
  chmodSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { untrustedPart } from '../../src/system/trust.js';

const uid = process.getuid?.() ?? 0;
let dir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'swap-pool-trust-')));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const at = (path: string): string => join(dir, path);
const folder = (path: string, mode = 0o755): void => {
  mkdirSync(at(path));
  chmodSync(at(path), mode);
};
const file = (path: string, mode = 0o644): void => {
  writeFileSync(at(path), '');
  chmodSync(at(path), mode);
};
/** The culprit, from the test's folder on. */
const culprit = (path: string, who = uid): string | null => {
  const part = untrustedPart(at(path), who);
  return part === null ? null : `${part.path.replace(`${dir}/`, '')} ${part.detail}`;
};

describe('what others could change', () => {
  test('a-file-in-good-hands-is-believed', () => {
    folder('a');
    file('a/f');
    expect(culprit('a/f')).toBeNull();
    expect(untrustedPart('/usr/sbin', 0)).toBeNull();
    expect(untrustedPart('/', 0)).toBeNull();
  });

  test.each([
    [0o666, 'f is writable by everybody'],
    [0o602, 'f is writable by everybody'],
    [0o664, `f is writable by the group ${String(process.getgid?.())}`],
    [0o444, null],
    [0o755, null],
  ])('a-file-of-mode-%o', (mode, found) => {
    file('f', mode);
    expect(culprit('f')).toBe(found);
  });

  test('a-writable-folder-anywhere-above-is-found-before-what-is-in-it', () => {
    folder('a', 0o777);
    folder('a/b');
    file('a/b/f', 0o666);
    expect(culprit('a/b/f')).toBe('a is writable by everybody');
  });

  test('a-sticky-folder-is-fine-and-what-stands-in-it-is-still-looked-at', () => {
    folder('tmp', 0o1777);
    folder('tmp/a');
    file('tmp/a/f');
    file('tmp/g', 0o666);
    expect(culprit('tmp/a/f')).toBeNull();
    expect(culprit('tmp/g')).toBe('tmp/g is writable by everybody');
  });

  test('a-sticky-bit-on-a-file-excuses-nothing', () => {
    file('f', 0o1666);
    expect(culprit('f')).toBe('f is writable by everybody');
  });

  test('what-is-missing-is-no-danger-where-nobody-else-can-create-it', () => {
    folder('a');
    folder('b', 0o777);
    expect(culprit('a/none/f')).toBeNull();
    expect(culprit('b/none')).toBe('b is writable by everybody');
    file('f');
    expect(culprit('f/x')).toBeNull();
  });
});

describe('links', () => {
  test('are-followed-and-every-hop-is-looked-at', () => {
    folder('a');
    folder('open', 0o777);
    file('open/f');
    symlinkSync('../open/f', at('a/relative'));
    symlinkSync(at('open/f'), at('a/absolute'));
    symlinkSync('open', at('folder'));
    symlinkSync('a/relative', at('two-hops'));
    for (const link of ['a/relative', 'a/absolute', 'folder/f', 'two-hops']) {
      expect(culprit(link)).toBe('open is writable by everybody');
    }
  });

  test('a-detour-through-a-writable-folder-counts', () => {
    folder('open', 0o777);
    file('f');
    symlinkSync('../f', at('open/link'));
    symlinkSync('open/link', at('start'));
    expect(culprit('start')).toBe('open is writable by everybody');
  });

  test('two-dots-after-a-link-mean-the-parent-of-its-target', () => {
    folder('a');
    folder('a/b');
    folder('open', 0o777);
    symlinkSync('a/b', at('link'));
    file('a/f');
    file('f', 0o666);
    expect(untrustedPart(`${dir}/link/../f`, uid)).toBeNull();
    expect(untrustedPart(`${dir}/a/./..//f`, uid)).toMatchObject({ path: at('f') });
  });

  test('a-good-link-and-a-dangling-one-are-fine', () => {
    file('f');
    symlinkSync('f', at('good'));
    symlinkSync('none', at('dangling'));
    expect(culprit('good')).toBeNull();
    expect(culprit('dangling')).toBeNull();
  });

  test('a-circle-ends', () => {
    symlinkSync('b', at('a'));
    symlinkSync('a', at('b'));
    expect(culprit('a')).toMatch(/leads through too many links/);
  });
});

describe.runIf(uid === 0)('owners', () => {
  test('another-owner-of-a-file-a-folder-or-a-link-is-found', () => {
    folder('a');
    file('a/f');
    file('g');
    symlinkSync('g', at('l'));
    lchownSync(at('a'), 12345, 0);
    lchownSync(at('l'), 12345, 0);
    expect(culprit('a/f')).toBe('a belongs to uid 12345');
    expect(culprit('l')).toBe('l belongs to uid 12345');
    expect(culprit('g')).toBeNull();
  });

  test('a-user-trusts-himself-and-root', () => {
    file('f');
    lchownSync(at('f'), 12345, 0);
    expect(culprit('f', 12345)).toBeNull();
    expect(culprit('f', 12346)).toBe('f belongs to uid 12345');
  });
});
