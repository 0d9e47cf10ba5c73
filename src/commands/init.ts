/** `init`: the files of a new app, from a site as it is; nothing is started, and the next commands are named. */
import { join } from 'node:path';
import { ok } from '../event.js';
import type { CommandResult, Emit } from '../event.js';
import { awaitOld } from '../init/await-old.js';
import { init as write } from '../init/init.js';
import type { InitOptions } from '../init/init.js';
import type { Session } from '../session.js';
import { timestamp } from '../system/clock.js';
import { refusal } from './outcome.js';
import { survey } from './survey.js';

export interface Wanted extends Omit<InitOptions, 'app' | 'file' | 'self'> {
  readonly yes: boolean;
  /** Write nothing: wait until the old pool of `from` serves nobody. */
  readonly awaitOld: boolean;
}

/** `program`: swap-pool's own bundle; the templates stand beside its folder. `node`: what runs it. */
export async function init(
  session: Session,
  name: string | undefined,
  wanted: Wanted,
  { program, node }: { readonly program: string; readonly node: string },
): Promise<CommandResult> {
  const { from } = wanted;
  if (wanted.awaitOld) {
    if (from !== undefined) return wait(session, name, { ...wanted, from });
    return refusal('init', { reason: 'usage', detail: '--await-old needs --from, the file of the old pool' });
  }
  const file = session.newFile(name);
  if (!file.ok) return refusal('init', file.failure);
  const self = { templates: join(program, '..', '..', 'templates'), command: [node, program] };
  const { app } = file.value;
  const emit: Emit = (body) => {
    session.surroundings.emit({ ...body, time: timestamp(), app });
  };
  const ended = await write({ ...wanted, ...file.value, self }, session.surroundings, emit, async (files) => {
    if (wanted.yes) return ok(undefined);
    return session.confirm({ kind: 'init-write', files });
  });
  if (!ended.ok) return refusal('init', ended.failure);
  const { report, written } = ended.value;
  return { command: 'init', outcome: written ? 'done' : 'unchanged', exit: 0, init: report };
}

async function wait(
  session: Session,
  name: string | undefined,
  sources: Wanted & { readonly from: string },
): Promise<CommandResult> {
  return session.withApp(name, async (app) => {
    const { proxy, drain } = app.drivers;
    const { interruption } = app;
    const seen = await survey(app, 'start', null);
    if (!seen.ok) return refusal('init', seen.failure);
    const { differing, older } = seen.value.proxy;
    const ended = await awaitOld({
      sources,
      root: session.surroundings.uid === 0,
      unread: differing,
      timeout: drain.timeout,
      signal: interruption.signal,
      retiring: async () => {
        const way = await proxy.wayIn('green', older);
        return way.ok ? way.value.retiring.length : null;
      },
    });
    if (interruption.requested !== null) {
      return refusal('init', { reason: 'interrupted', signal: interruption.requested });
    }
    return ended.ok
      ? { command: 'init', outcome: 'done', exit: 0, init: ended.value }
      : refusal('init', ended.failure);
  });
}
