/** What is so of a deploy whose disk said no: see fail-files.cjs. */
import { expect } from 'vitest';
import { otherSlot, type Slot } from '../../src/event.js';
import type { Run } from './command.js';
import { reasonOf } from './deaths.js';
import type { Rig } from './rig.js';

/** What a deploy makes beside a file, and a retired socket: dead, and in nobody's way. */
export const LEFT = /\/\.[^/]*\.swap-pool-(retired|[0-9a-f]{12})$/;

/** What an exit code says of the site is so: INTERFACE's table. */
export async function expectTrue(rig: Rig, run: Run, from: Slot, what: string): Promise<void> {
  const said = `${what}:\n${run.stdout}${run.stderr}`;
  expect(run.exit, said).toBeOneOf([0, 1, 4, 5]);
  const served = await rig.answering();
  if (run.exit === 1) expect(served, said).toBe(from);
  else if (run.exit !== 4) expect(served, said).toBe(otherSlot(from));
  else expect(served, said).toMatch(/^(blue|green)$/);
}

/** The program's first failure, as the disk tells it; null: it met none. */
export const failureOf = ({ stderr }: Run): string | null => /^failed: (.*)$/m.exec(stderr)?.[1] ?? null;

/** Whoever ran it has read of the disk; all but what whoever looks for it can do without. */
export function expectTold(run: Run, what: string): void {
  const said = `${what}:\n${run.stdout}${run.stderr}`;
  if (run.exit !== 0) {
    expect(run.stderr, said).toMatch(/cannot be (written|replaced)|could not be/);
  } else if (!/\.new$/.test(failureOf(run) ?? '')) {
    const told = run.events.map(({ warning }) => reasonOf(warning));
    expect(
      ['not-durable', 'journal-write-failed'].some((each) => told.includes(each)),
      said,
    ).toBe(true);
  }
}
