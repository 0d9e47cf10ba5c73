/** Pools that others start, and pools that are no php-fpm: deploys under load, to and fro. */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { deaths, expectClean, expectNoCut, mend } from '../support/deaths.js';
import {
  byCommand,
  byInit,
  lacks,
  loop,
  prefork,
  spawnFcgi,
  spawnFcgiByInit,
  spawnFcgiOverTcp,
  type Managed,
} from '../support/managed.js';
import { withRig, type Rig } from '../support/rig.js';

const onRig = (by: SwitchKind, managed: Managed, act: (rig: Rig) => Promise<void>): Promise<void> =>
  withRig({ switch: by, site: { workers: 8 }, ...managed.rig }, async (rig) => {
    rig.allow.processes.push(...managed.processes);
    await act(rig);
  });

/** Reasons of what a run warned of. */
const warned = (run: { readonly events: readonly { readonly [key: string]: unknown }[] }): unknown[] =>
  run.events.flatMap(({ warning }) => (warning as { reason?: unknown } | undefined)?.reason ?? []);

const KINDS: readonly (readonly [string, Managed])[] = [
  ['of php-fpm by LSB scripts', byInit()],
  ['of php-fpm by a command', byCommand()],
  ['of fcgiwraps that spawn-fcgi leaves behind', spawnFcgi()],
  ['of fcgiwraps by LSB scripts', spawnFcgiByInit()],
  ['of a server that stays in the foreground with its children', prefork()],
  ['of one process that waits in epoll', loop()],
];

describe.for([
  ['rewrite', KINDS],
  ['symlink', KINDS],
  // which no link can name
  ['rewrite', [['of fcgiwraps over TCP', spawnFcgiOverTcp()]]],
] as const satisfies readonly (readonly [SwitchKind, typeof KINDS])[])(
  'deploys by %s cut nothing',
  ([by, kinds]) => {
    it.for(kinds)('%s', async ([, managed], { skip }) => {
      skip(lacks(managed), 'its programs are not installed');
      await onRig(by, managed, async (rig) => {
        await rig.deployed();
        const load = await rig.load(managed.load);
        for (const [from, to] of [
          ['blue', 'green'],
          ['green', 'blue'],
        ]) {
          await rig.until(() => load.underWay('slow') > 0 && load.underWay('upload') > 0);
          const run = await rig.deploy();
          expect(run, run.stdout + run.stderr).toMatchObject({
            exit: 0,
            result: { from, to, drain: { cut: 0 } },
          });
          expect(warned(run)).toEqual([]);
          expect(await rig.answering()).toBe(to);
        }
        expect(await rig.run(['status'])).toMatchObject({
          exit: 0,
          result: {
            apps: [{ active: 'blue', slots: { blue: { state: 'running' }, green: { state: 'stopped' } } }],
          },
        });
      });
    });
  },
);

describe('a server without scripts', () => {
  /** Its probe asks for a URI, whose answer this one is to be. */
  const expecting = (rig: Rig, body: string): void => {
    const yaml = readFileSync(rig.site().config, 'utf8');
    const probe = `probe:\n  timeout: 1s\n  uri: /ready?id=ok\n  expect: { body: ${body} }\n`;
    writeFileSync(rig.site().config, yaml.replace(/^probe:\n( .*\n)+/m, probe));
  };

  it('is ready when the URI answers as expected, and never serves when it does not', async () => {
    await onRig('rewrite', loop(), async (rig) => {
      expecting(rig, 'ok');
      await rig.deployed();
      await rig.load({ fast: { rate: 25 } });
      const run = await rig.deploy();
      expect(run, run.stdout + run.stderr).toMatchObject({ exit: 0, result: { to: 'green' } });
      expect(warned(run)).toEqual([]);
      expecting(rig, 'well');
      const refused = await rig.deploy();
      expect(refused, refused.stdout).toMatchObject({
        exit: 1,
        result: { outcome: 'reverted', failure: { reason: 'probe-failed' } },
      });
      expect(await rig.answering()).toBe('green');
    });
  });
});

describe('kill -9', () => {
  it.for([
    ['of a deploy by LSB scripts', 'symlink', byInit(), [2, 14]],
    ['of a deploy by a command', 'rewrite', spawnFcgi(), [2]],
  ] as const)('%s cuts nothing, and is mended', async ([, by, managed, records], { skip }) => {
    skip(lacks(managed), 'its programs are not installed');
    await onRig(by, managed, async (rig) => {
      await rig.deployed();
      const load = await rig.load(managed.load);
      await rig.until(() => load.underWay('slow') > 0);
      // records 2 and 14 are the intents of start and stop
      for (const record of records) {
        let turn = record;
        for await (const { words } of deaths(record, (dieAt) => rig.deploy([], { dieAt }))) {
          turn += 1;
          await mend(rig, turn % 4 < 2 ? 'recover' : 'deploy');
          await expectClean(rig);
          expectNoCut(rig, load, `died after ${words ?? 'nothing'}`);
        }
      }
    });
  });
});
