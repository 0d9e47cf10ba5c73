/** What test/e2e/unprivileged.test.ts runs as an ordinary user: a whole rig, deploys both ways. argv: the switch. */
import { chmodSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { SwitchKind } from '../../src/event.js';
import { SHORT, withRig, type Rig } from './rig.js';

export async function deployBothWays(by: SwitchKind): Promise<void> {
  await withRig({ switch: by, site: { workers: 8 } }, async (rig) => {
    await rig.deployed();
    await rig.load(SHORT);
    for (const to of ['green', 'blue']) {
      const { exit, result, stdout, stderr } = await rig.deploy();
      if (exit !== 0 || result['to'] !== to) throw new Error(`no deploy to ${to}:\n${stdout}${stderr}`);
      if ((await rig.answering()) !== to) throw new Error(`${to} does not answer`);
    }
    const status = await rig.run(['status']);
    if (status.exit !== 0) throw new Error(`status: ${status.stdout}${status.stderr}`);
    const serving = await rig.answering();
    for (const verb of ['reload', 'reopen-logs', 'status']) {
      const run = await rig.run(['pool', verb, serving]);
      if (run.exit !== 0) throw new Error(`pool ${verb}: ${run.stdout}${run.stderr}`);
    }
    const rolled = await rig.run(['rollback']);
    if (rolled.exit !== 0) throw new Error(`rollback: ${rolled.stdout}${rolled.stderr}`);
    await refusedUpFront(rig, by);
  });
}

/** What the switch replaces stands where nothing may be written: told before anything is started. */
async function refusedUpFront(rig: Rig, by: SwitchKind): Promise<void> {
  const { upstream, link } = rig.site();
  const folder = dirname(by === 'rewrite' ? upstream : link);
  const { mode } = statSync(folder);
  chmodSync(folder, 0o555);
  const { events, result, stdout } = await rig.deploy();
  chmodSync(folder, mode);
  const refused =
    JSON.stringify(result).includes('"reason":"config-unwritable"') && result['outcome'] === 'refused';
  if (!refused || events.some(({ type }) => type === 'step-started')) {
    throw new Error(`not refused up front:\n${stdout}`);
  }
}
