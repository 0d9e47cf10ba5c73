/** Past deploys, newest first. */
import type { AppFile } from '../config/apps.js';
import type { DeployState } from '../deploy/state.js';
import type { CommandResult, Failure, HistoryEntry, Timings } from '../event.js';
import type { Session } from '../session.js';
import { refusal } from './outcome.js';

export async function history(
  session: Pick<Session, 'past' | 'tell'>,
  files: readonly AppFile[],
): Promise<CommandResult> {
  const apps: HistoryEntry[][] = [];
  const lost: Failure[] = [];
  for (const one of files) {
    const entries: HistoryEntry[] = [];
    const { store, file, safe } = await session.past(one);
    if (!safe.ok) return refusal('history', safe.failure);
    const owned = store.inspect(file);
    if (!owned.ok) return refusal('history', owned.failure);
    const readable = store.readable();
    if (!readable.ok) return refusal('history', readable.failure);
    for (const state of store.newestFirst()) {
      if (state.ok) entries.push(toEntry(state.value));
      else lost.push(state.failure);
    }
    apps.push(entries);
  }
  const told = { command: 'history', history: merged(apps) } as const;
  // one that cannot be read hides none of the others
  const [failure, ...more] = lost;
  if (failure === undefined) return { ...told, exit: 0 };
  for (const one of more) session.tell(null, one);
  return { ...told, exit: 1, failure };
}

/** One list by time. Each app's own keep their order: a clock may have been set back between two of them. */
function merged(apps: readonly HistoryEntry[][]): readonly HistoryEntry[] {
  const all: HistoryEntry[] = [];
  for (;;) {
    const heads = apps
      .filter((entries) => entries.length > 0)
      .sort((a, b) => (timeOf(a) < timeOf(b) ? 1 : -1));
    const newest = heads[0]?.shift();
    if (newest === undefined) return all;
    all.push(newest);
  }
}

const timeOf = ([first]: readonly HistoryEntry[]): string => first?.time ?? '';

function toEntry(state: DeployState): HistoryEntry {
  const { opened } = state;
  const closed = state.phase === 'closed' ? state.closed : null;
  const none: Timings = {};
  return {
    deploy: opened.deploy,
    app: opened.app,
    time: opened.time,
    who: opened.who,
    command: opened.command,
    from: opened.from,
    to: opened.to,
    outcome: closed?.outcome ?? null,
    ms: closed?.ms ?? none,
    cut: closed?.cut ?? (state.phase === 'closed' ? 0 : state.cut),
    reason: closed?.reason ?? null,
  };
}
