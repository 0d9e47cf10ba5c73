/**
 * Whether the script of a probe is there to be run: known before anything is started, so that nobody waits for
 * a probe that no try can pass.
 */
import { fail, ok } from '../event.js';
import type { Problem, Result } from '../event.js';
import { factsThroughLinks } from '../system/files.js';
import type { PoolSlot, ProbeSettings } from './slots.js';

/**
 * Fails with `config-invalid`. Only what we can see as the pool does is judged: in a chroot or a unit's sandbox the
 * path may lead somewhere else, and who may read the file its workers alone can tell (root may not, on a network
 * file system that squashes it).
 */
export function mayProbe(slot: PoolSlot, { script, scriptAt }: ProbeSettings): Result<void> {
  if (script === undefined || scriptAt === undefined) return ok(undefined);
  if (slot.kind === 'fastcgi' || slot.ownFiles) return ok(undefined);
  const wrong = (what: string, fix: string): Result<never> => {
    const problem: Problem = { place: scriptAt, what: `probe.script: ${what}`, fix };
    return fail({ reason: 'config-invalid', problems: [problem] });
  };
  const found = factsThroughLinks(script);
  if (!found.ok) {
    return found.code === 'ENOENT' || found.code === 'ENOTDIR'
      ? wrong(`there is no ${script}`, 'create it, or correct the path')
      : ok(undefined);
  }
  return found.value.kind === 'file' ? ok(undefined) : wrong(`${script} is no file`, 'name a PHP script');
}
