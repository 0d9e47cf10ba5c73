import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { NextStep, SwitchKind } from '../../src/event.js';
import type { Run } from '../support/command.js';
import { withStock } from '../support/stock-site.js';

/** The commands that a person types on any host; those of its service manager are the host tests'. */
const nextOf = (run: Run): NextStep[] =>
  ((run.result['init'] as { next?: NextStep[] } | undefined)?.next ?? []).filter(
    ({ why }) => !['units', 'boot', 'flip'].includes(why),
  );

describe('the move of a live site', () => {
  it.each<SwitchKind>(['rewrite', 'symlink'])(
    'cuts nothing, by the very commands that are printed: %s',
    async (by) => {
      await withStock({ switch: by }, async ({ rig, init, follow, masterPid }) => {
        rig.allow.reloads = true;
        await rig.load();
        expect(await rig.answering()).toBe('old');
        const run = await init(['--yes', '--switch', by, '--manager', 'direct']);
        expect(run, run.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', command: 'init' } });
        expect(await rig.answering()).toBe('old');

        const next = nextOf(run);
        expect(next.map(({ why }) => why)).toEqual(['start', 'old-pool']);
        expect(await follow(next[0]?.command ?? '')).toBe(0);
        expect(await rig.answering()).toBe('blue');
        const [, ...words] = (next[1]?.command ?? '').split(' ');
        const waited = await rig.run(words);
        expect(waited, waited.stderr).toMatchObject({ exit: 0, result: { outcome: 'done' } });
        const old = masterPid();
        expect(nextOf(waited)).toEqual([{ why: 'stop-old', command: `kill -QUIT ${old}` }]);
        await follow(nextOf(waited)[0]?.command ?? '');
        await rig.until(
          () => !existsSync(`/proc/${old}`) || readFileSync(`/proc/${old}/stat`, 'utf8').includes(') Z '),
        );

        expect(await rig.deploy()).toMatchObject({
          exit: 0,
          result: { from: 'blue', to: 'green', drain: { cut: 0 } },
        });
        expect(await rig.answering()).toBe('green');
      });
    },
  );
});
