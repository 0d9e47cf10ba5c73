import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findApps, selectApp, selectApps, selectEach } from '../../src/config/apps.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'swap-pool-apps-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});
const put = (...names: string[]): void => {
  for (const name of names) writeFileSync(join(folder, name), '');
};
const app = (name: string) => ({ app: name, file: join(folder, `${name}.yaml`) });
const failed = (failure: object) => ({ ok: false, failure });

describe('finding apps', () => {
  test('an-app-is-a-yaml-file-and-is-named-after-it', () => {
    put(
      'shop.yaml',
      'blog.v2.yaml',
      'README',
      'shop.yaml~',
      'shop.yaml.bak',
      '.shop.yaml.swp',
      '.x.yaml',
      '.y.yml',
      'x.conf',
    );
    expect(findApps(folder)).toEqual({ ok: true, value: [app('blog.v2'), app('shop')] });
  });

  test('a-missing-folder-holds-no-apps', () => {
    expect(findApps(join(folder, 'none'))).toEqual({ ok: true, value: [] });
  });

  test('a-file-as-folder-says-so', () => {
    put('x');
    expect(findApps(join(folder, 'x'))).toMatchObject(
      failed({ reason: 'config-invalid', problems: [{ what: 'cannot be listed: ENOTDIR' }] }),
    );
  });

  test('yml-and-names-no-app-may-have-are-told-all-at-once', () => {
    put('blog.yml', 'Shop.yaml', 'a b.yaml', 'good.yaml', 'UP.YML');
    const problem = (name: string, what: string, fix: string) => ({
      place: { file: join(folder, name), line: 1 },
      what,
      fix,
    });
    expect(findApps(folder)).toEqual(
      failed({
        reason: 'config-invalid',
        problems: [
          problem('Shop.yaml', '"Shop" is no app\'s name', 'rename it: a-z 0-9 . _ - and no dot in front'),
          problem('UP.YML', 'is not read: an app is a .yaml file', 'rename it to UP.yaml'),
          problem('a b.yaml', '"a b" is no app\'s name', 'rename it: a-z 0-9 . _ - and no dot in front'),
          problem('blog.yml', 'is not read: an app is a .yaml file', 'rename it to blog.yaml'),
        ],
      }),
    );
  });
});

describe('which app is meant', () => {
  test('the-one-that-is-named', () => {
    put('shop.yaml', 'blog.yaml', 'other.yml', 'Bad.yaml');
    expect(selectApp({ folder, name: 'shop' })).toEqual({ ok: true, value: app('shop') });
    expect(selectApps({ folder, name: 'shop' })).toEqual({ ok: true, value: [app('shop')] });
  });

  test('the-only-one-may-be-left-out', () => {
    put('shop.yaml');
    expect(selectApp({ folder })).toEqual({ ok: true, value: app('shop') });
  });

  test('none-and-several-are-told-apart', () => {
    expect(selectApp({ folder })).toEqual(failed({ reason: 'no-apps', folder }));
    expect(selectApps({ folder })).toEqual(failed({ reason: 'no-apps', folder }));
    put('shop.yaml', 'blog.yaml');
    expect(selectApp({ folder })).toEqual(failed({ reason: 'app-ambiguous', known: ['blog', 'shop'] }));
    expect(selectApps({ folder })).toEqual({ ok: true, value: [app('blog'), app('shop')] });
  });

  test('an-unknown-one-is-told-with-those-that-are-known', () => {
    put('shop.yaml', 'blog.yaml');
    expect(selectApp({ folder, name: 'sop' })).toEqual(
      failed({ reason: 'app-unknown', app: 'sop', known: ['blog', 'shop'] }),
    );
  });

  test('an-app-misnamed-yml-says-how-to-rename-it', () => {
    put('shop.yml');
    const failure = { reason: 'config-invalid', problems: [{ fix: 'rename it to shop.yaml' }] };
    expect(selectApp({ folder, name: 'shop' })).toMatchObject(failed(failure));
    expect(selectApp({ folder })).toMatchObject(failed(failure));
    expect(selectApp({ folder, file: join(folder, 'shop.yml') })).toMatchObject(failed(failure));
  });

  test('a-file-is-an-app-wherever-it-is', () => {
    const other = join(folder, 'deep');
    mkdirSync(other);
    writeFileSync(join(other, 'x.yaml'), '');
    const value = { app: 'x', file: join(other, 'x.yaml') };
    expect(selectApp({ folder, file: value.file })).toEqual({ ok: true, value });
    expect(selectApp({ folder, file: value.file, name: 'x' })).toEqual({ ok: true, value });
    expect(selectApps({ folder, file: `${other}/../deep/x.yaml` })).toEqual({ ok: true, value: [value] });
    expect(selectApp({ folder, file: value.file, name: 'y' })).toMatchObject(failed({ reason: 'usage' }));
  });

  test.each(['/etc/passwd', 'x.conf', '/', '', 'Shop.yaml', '.yaml', '.x.yaml', 'a\nb.yaml', 'x.yaml.gz'])(
    'a-file-that-can-be-no-app-is-refused-by-its-name: %j',
    (file) => {
      expect(selectApp({ folder, file })).toMatchObject(failed({ reason: 'config-invalid' }));
    },
  );

  test.each([
    ...[
      '',
      '.',
      '..',
      '.hidden',
      '../shop',
      '/etc/shop',
      'shop/',
      'shop/../shop',
      'shop\n',
      'a\0b',
      'Shop',
      'żółw',
      '-c FILE',
    ],
    'x/'.repeat(5000),
  ])('a-name-that-no-app-may-have-leads-nowhere: %j', (name) => {
    put('shop.yaml');
    const result = selectApp({ folder: join(folder, 'none'), name });
    expect(result).toMatchObject(failed({ reason: 'usage' }));
    expect(JSON.stringify(result).length).toBeLessThan(300);
    expect(selectApp({ folder, name })).toEqual(result);
  });

  test('a-long-name-is-unknown-and-told-short', () => {
    expect(selectApp({ folder, name: 'x'.repeat(10_000) })).toEqual(
      failed({ reason: 'app-unknown', app: `${'x'.repeat(60)}…`, known: [] }),
    );
  });

  test('no-name-at-all-leads-outside-the-folder', () => {
    put('shop.yaml');
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z./]{0,8}$/)), (name) => {
        const result = selectApp({ folder, name });
        if (result.ok) expect(result.value).toEqual(app('shop'));
      }),
    );
  });
});

test('one-whose-name-is-wrong-keeps-no-other-from-its-turn', () => {
  put('shop.yaml', 'other.yml');
  const misnamed = { reason: 'config-invalid', problems: [{ what: 'is not read: an app is a .yaml file' }] };
  expect(selectEach({ folder })).toMatchObject({ ok: true, value: { apps: [app('shop')], misnamed } });
  expect(selectEach({ folder, name: 'shop' })).toEqual({
    ok: true,
    value: { apps: [app('shop')], misnamed: null },
  });
  rmSync(join(folder, 'shop.yaml'));
  expect(selectEach({ folder })).toMatchObject(failed(misnamed));
});
