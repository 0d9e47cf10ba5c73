/** `pool status`, with LSB's exit codes. Looks only; takes no lock. */
import type { AppFile } from '../config/apps.js';
import { slotForeign } from '../event.js';
import type { CommandResult, ExitCode, Failure, PoolStatus, Slot, SlotState } from '../event.js';
import type { Session } from '../session.js';
import { toStatus } from './status.js';

/** Exit: 0 running, 1 dead with its pidfile left, 3 stopped, 4 unknown or not as it should be; the worst of all apps'. */
export async function poolStatus(
  session: Pick<Session, 'open'>,
  files: readonly AppFile[],
  slot: Slot,
): Promise<CommandResult> {
  const pools: PoolStatus[] = [];
  for (const file of files) pools.push(await look(session, file, slot));
  const exit = pools.map(codeOf).reduce((worst, code) => (code > worst ? code : worst), 0);
  const failure = pools.find((pool) => pool.failure !== undefined)?.failure;
  return { command: 'pool', exit, pools, ...(failure === undefined ? {} : { failure }) };
}

async function look(session: Pick<Session, 'open'>, file: AppFile, slot: Slot): Promise<PoolStatus> {
  const opened = await session.open(file, { memory: true });
  if (!opened.ok) return { app: file.app, failure: opened.failure };
  const app = opened.value;
  const seen = app.drivers.pool.observe(slot);
  if (!seen.ok) return { app: file.app, failure: seen.failure };
  const open = app.store.open();
  const status = toStatus(app, seen.value, (open.ok ? open.value[0] : null) ?? null);
  const { life } = seen.value;
  const pids = life?.workers.map(({ pid }) => pid) ?? [];
  const failure: Failure | null =
    status.state === 'orphaned'
      ? { reason: 'pool-orphaned', slot, pids }
      : status.state === 'foreign'
        ? slotForeign(seen.value).failure
        : null;
  return { app: app.name, ...status, ...(failure === null ? {} : { failure }) };
}

const CODES: Readonly<Record<SlotState, ExitCode>> = {
  running: 0,
  draining: 0,
  'stale-pidfile': 1,
  stopped: 3,
  orphaned: 4,
  foreign: 4,
};

const codeOf = (pool: PoolStatus): ExitCode => ('state' in pool ? CODES[pool.state] : 4);
