import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createTester, test } from '../../src/nginx/config-tree.js';
import type { Nginx } from '../../src/nginx/master.js';

/** Programs in the place of nginx; `words` are what each was run with. */
async function withPrograms(
  scripts: Readonly<Record<string, string>>,
  act: (nginx: (name: string) => Nginx, words: () => string[]) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tester-'));
  try {
    const told = join(folder, 'told');
    writeFileSync(told, '');
    for (const [name, script] of Object.entries(scripts)) {
      const text = `#!/bin/sh\necho ${name} "$@" >> ${told}\n${script}\n`;
      writeFileSync(join(folder, name), text, { mode: 0o755 });
    }
    await act(
      (name) =>
        ({ image: join(folder, name), arguments: [], cwd: folder, config: '/n.conf' }) as unknown as Nginx,
      () => readFileSync(told, 'utf8').split('\n').filter(Boolean),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('each nginx is tested once for all who ask, at once or later, and each of them hears the answer', () =>
  withPrograms({ good: 'exit 0', bad: 'echo no >&2; exit 1' }, async (nginx, words) => {
    const tester = createTester();
    const ask = (name: string) => test(nginx(name), 60_000, tester);
    const answers = await Promise.all([ask('good'), ask('bad'), ask('good'), ask('bad')]);
    answers.push(await ask('bad'));
    expect(answers.map(({ ok }) => ok)).toEqual([true, false, true, false, false]);
    expect(words().sort()).toEqual(['bad -T', 'good -T']);
  }));

it('a test that comes to no end has said nothing of the files', () =>
  withPrograms({ hangs: 'exec sleep 600', dies: 'kill -SEGV $$' }, async (nginx) => {
    expect(await test(nginx('hangs'), 300)).toEqual({
      ok: false,
      failure: { reason: 'nginx-test-timeout', config: '/n.conf', ms: 300 },
    });
    expect(await test(nginx('dies'), 60_000)).toMatchObject({ failure: { reason: 'nginx-config-broken' } });
  }));
