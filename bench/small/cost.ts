/**
 * What a command costs, nobody else around: its time, CPU, memory, and how much of a deploy is waiting for the disk;
 * and where the milliseconds of an idle deploy go.
 */
import type { Event, SwitchKind } from '../../src/event.js';
import { metered, type Used } from '../metered.js';
import { APP, must } from '../stage.js';
import { hundredths, median, tenths, type SmallBench } from '../table.js';
import { Sandbox } from '../../src/demo/sandbox.js';

const ROUNDS = 11;

export const cost: SmallBench = {
  name: 'cost',
  run: async (bench) => {
    const used = new Map<string, Used[]>();
    const parts = new Map<string, Map<string, number[]>>();
    for (const by of ['symlink', 'rewrite'] as const) {
      const { templates, programs } = bench;
      const sandbox = must(await Sandbox.open({ templates, programs, sites: [{ name: APP, switch: by }] }));
      const note = (name: string, one: Used): void => {
        used.set(name, [...(used.get(name) ?? []), one]);
      };
      try {
        await metered(bench, sandbox, ['deploy', APP, '--quiet']);
        for (let round = 0; round < ROUNDS; round += 1) {
          const onLine = (line: string): void => {
            take(parts, by, line);
          };
          note(
            `deploy, ${by}`,
            await metered(bench, sandbox, ['deploy', APP, '--json', '--quiet'], { onLine }),
          );
          if (by === 'rewrite') continue;
          note('status', await metered(bench, sandbox, ['status']));
          note('doctor', await metered(bench, sandbox, ['doctor'], { mayFail: true }));
        }
      } finally {
        await sandbox.close();
      }
    }
    const of = (name: string, what: keyof Used): number =>
      median((used.get(name) ?? []).map((one) => one[what]));
    const most = Math.max(...[...used.values()].flat().map(({ rss }) => rss));
    return {
      name: 'cost',
      title: 'What a command costs',
      columns: ['', 'ms', 'CPU ms', 'peak RSS MB', 'fsyncs', 'fsync ms', 'share of the time'],
      rows: [...used.keys()].map((name) => [
        name,
        tenths(of(name, 'ms')),
        tenths(of(name, 'cpuMs')),
        tenths(of(name, 'rss') / 1e6),
        of(name, 'fsyncs'),
        tenths(of(name, 'fsyncMs')),
        `${Math.round((100 * of(name, 'fsyncMs')) / of(name, 'ms'))} %`,
      ]),
      notes: [
        `Medians of ${ROUNDS} rounds, no load. fsync: fsync(2) and fdatasync(2), as far as the process waits in them.`,
        ...[...parts].map(
          ([by, steps]) =>
            `Where an idle deploy by ${by} goes, ms: ${[...steps].map(([step, ms]) => `${step} ${hundredths(median(ms))}`).join(' · ')}; the rest is the start of node and what is looked at before and written after.`,
        ),
      ],
      targets: [{ what: 'peak RSS', value: tenths(most / 1e6), limit: 80, unit: 'MB', noisy: true }],
    };
  },
};

/** A finished step of a deploy's JSON. */
function take(parts: Map<string, Map<string, number[]>>, by: SwitchKind, line: string): void {
  const event = JSON.parse(line) as Event;
  if (event.type !== 'step-done') return;
  const steps = parts.get(by) ?? new Map<string, number[]>();
  parts.set(by, steps);
  steps.set(event.step, [...(steps.get(event.step) ?? []), event.ms]);
}
