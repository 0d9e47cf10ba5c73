/** Past deploys, newest first. */
import type { AppFile } from '../config/apps.js';
import type { DeployState } from '../deploy/state.js';
import type { CommandResult, HistoryEntry, Timings } from '../event.js';
import type { Session } from '../session.js';
import { refusal } from './outcome.js';

export async function history(
  session: Pick<Session, 'past'>,
  files: readonly AppFile[],
): Promise<CommandResult> {
  const entries: HistoryEntry[] = [];
  for (const one of files) {
    const { store, file } = await session.past(one);
    const owned = store.inspect(file);
    if (!owned.ok) return refusal('history', owned.failure);
    for (const state of store.newestFirst()) {
      if (!state.ok) return refusal('history', state.failure);
      entries.push(toEntry(state.value));
    }
  }
  entries.sort((a, b) => (a.time < b.time ? 1 : -1));
  return { command: 'history', exit: 0, history: entries };
}

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
