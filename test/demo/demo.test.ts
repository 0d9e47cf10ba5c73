import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Slot } from '../../src/event.js';
import { otherSlot } from '../../src/event.js';
import { runDemo } from '../../src/demo/demo.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import {
  eventOf,
  readDeploy,
  spawnDeploy,
  type Deploy,
  type DeployEnd,
} from '../../src/demo/spawn-deploy.js';
import { end, moveOver, swap } from '../support/bare-swap.js';

const none = { requested: null, signal: new AbortController().signal };
const templates = resolve('templates');

/** Deploys by hand; the first one of a sandbox is a start. */
function byHand(act: (sandbox: Sandbox) => Promise<Slot>): { deploy: Deploy; sandboxes: Sandbox[] } {
  const sandboxes: Sandbox[] = [];
  const deploy: Deploy = async ({ sandbox }) => {
    const first = !sandboxes.includes(sandbox);
    if (first) sandboxes.push(sandbox);
    if (first && sandbox.site().switch === 'rewrite') {
      await sandbox.startPool('blue');
      return done(null, 'blue');
    }
    const from = await (first ? moveOver(sandbox) : act(sandbox));
    return done(first ? null : from, otherSlot(from));
  };
  return { deploy, sandboxes };
}
const done = (from: Slot | null, to: Slot): DeployEnd => ({
  outcome: 'done',
  from,
  to,
  ms: 7,
  failure: null,
});

describe('the demo', () => {
  it('reports both switches both ways, and that nothing was cut', async () => {
    const { deploy, sandboxes } = byHand(swap);
    const { report, failure } = await runDemo({
      emit: () => undefined,
      interruption: none,
      deploy,
      templates,
    });
    expect(failure).toBeNull();
    expect(report?.rows).toEqual([
      { switch: 'rewrite', from: 'blue', to: 'green', deployMs: 7 },
      { switch: 'rewrite', from: 'green', to: 'blue', deployMs: 7 },
      { switch: 'symlink', from: 'blue', to: 'green', deployMs: 7 },
      { switch: 'symlink', from: 'green', to: 'blue', deployMs: 7 },
    ]);
    expect(report?.cut).toBe(0);
    expect(report?.classes.map(({ name }) => name)).toEqual(['fast', 'idle-keep-alive', 'slow', 'upload']);
    expect(report?.classes.find(({ name }) => name === 'slow')?.p50).toBeGreaterThanOrEqual(3000);
    expect(sandboxes.flatMap((sandbox) => sandbox.residents())).toEqual([]);
  });

  it('counts what a careless deploy cuts', async () => {
    const { deploy } = byHand(async (sandbox) => {
      const left = await moveOver(sandbox);
      await end(sandbox, left, 'SIGTERM');
      return left;
    });
    const { report, failure } = await runDemo({
      emit: () => undefined,
      interruption: none,
      deploy,
      templates,
    });
    // rewrite by hand waits for the old nginx workers and so for their requests; the symlink does not
    expect(failure).toMatchObject({ reason: 'demo-cut', cut: report?.cut, requests: report?.requests });
    expect(report?.cut).toBeGreaterThan(0);
  });

  it('that is interrupted ends early and leaves nothing', async () => {
    const { deploy, sandboxes } = byHand(swap);
    const controller = new AbortController();
    const interruption = { requested: 'SIGINT' as const, signal: controller.signal };
    const running = runDemo({
      emit: () => undefined,
      interruption,
      templates,
      deploy: async (asked) => {
        const end = await deploy(asked);
        controller.abort();
        return end;
      },
    });
    expect(await running).toEqual({
      report: null,
      failure: { reason: 'interrupted', signal: 'SIGINT', demo: true },
    });
    expect(sandboxes).toHaveLength(1);
    expect(sandboxes.flatMap((sandbox) => sandbox.residents())).toEqual([]);
  });

  it('ends with the failure of a deploy that fails, and leaves nothing', async () => {
    const sandboxes: Sandbox[] = [];
    const failure = { reason: 'pool-died', slot: 'green', log: '' } as const;
    const deploy: Deploy = async ({ sandbox }) => {
      sandboxes.push(sandbox);
      await sandbox.startPool('blue');
      return { ...done(null, 'blue'), outcome: 'reverted', failure };
    };
    const ended = await runDemo({ emit: () => undefined, interruption: none, deploy, templates });
    expect(ended).toEqual({ report: null, failure });
    expect(sandboxes.flatMap((sandbox) => sandbox.residents())).toEqual([]);
  });

  it('does not believe a deploy that moved nobody', async () => {
    let first = true;
    const deploy: Deploy = async ({ sandbox }) => {
      if (first) await sandbox.startPool('blue');
      const to = first ? 'blue' : 'green';
      first = false;
      return done(null, to);
    };
    const { failure } = await runDemo({ emit: () => undefined, interruption: none, deploy, templates });
    expect(failure).toEqual({ reason: 'bug', detail: 'demo: no answer from green' });
  });
});

describe('a deploy in a process of its own', () => {
  const read = (lines: readonly object[]): { end: DeployEnd; told: unknown[] } => {
    const output = lines.map((line) => JSON.stringify(line));
    return {
      end: readDeploy(output.join('\n'), { ms: 9, otherwise: 'exit 1' }),
      told: output.flatMap((line) => eventOf(line) ?? []),
    };
  };
  const step = { type: 'step-started', time: 't', app: 'demo', step: 'start', slot: 'green', revert: false };

  it('is done when its result says so, and its events are passed on without its id', () => {
    const result = { type: 'result', outcome: 'done', from: 'blue', to: 'green', ms: { total: 41 } };
    expect(read([{ ...step, deploy: '000001' }, result])).toEqual({
      end: { outcome: 'done', from: 'blue', to: 'green', ms: 41, failure: null },
      told: [step],
    });
  });

  it('that is reverted gives its failure', () => {
    const failure = { reason: 'pool-died', slot: 'green', log: 'x' };
    const { end, told } = read([
      { type: 'failure', failure },
      { type: 'result', outcome: 'reverted' },
    ]);
    expect(end).toMatchObject({ outcome: 'reverted', failure });
    expect(told).toEqual([]);
  });

  it.each([
    ['says nothing', []],
    ['is still draining', [{ type: 'result', outcome: 'draining' }]],
    ['breaks off', [step]],
  ])('that %s is no success', (_, lines) => {
    expect(read(lines).end.failure).toEqual({ reason: 'bug', detail: 'exit 1' });
  });

  it('that cannot be run is a failure that says how it was called', async () => {
    const sandbox = { env: {} } as Sandbox;
    const asked = { sandbox, app: 'demo', signal: none.signal, told: () => undefined };
    const { failure } = await spawnDeploy('/nowhere/swap-pool.cjs')(asked);
    expect(failure?.reason).toBe('bug');
    expect(JSON.stringify(failure)).toContain('/nowhere/swap-pool.cjs deploy demo --json --quiet: exit 1');
  });
});
