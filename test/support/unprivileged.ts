/** What test/e2e/unprivileged.test.ts runs as an ordinary user: a whole rig, deploys both ways. argv: the switch. */
import type { SwitchKind } from '../../src/event.js';
import { SHORT, withRig } from './rig.js';

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
  });
}
