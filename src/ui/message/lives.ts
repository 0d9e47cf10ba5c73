/** What is said of several pools that have bound one address, and how they are brought to one. PURE. */
import type { Life, Slot } from '../../event.js';
import { list, say } from '../text.js';
import { run, suspectText } from './phrase.js';

export const overlapping = (slot: Slot, address: string): string =>
  say`Several pools have bound the ${slot} slot's address ${address}: only one can be reached, and whichever stops takes that one's socket and pidfile away.`;

/** FPM's last act, after QUIT as after TERM, is to unlink what stands at its paths; KILL lets it do nothing. */
export const NEITHER = 'Send QUIT or TERM to none of them, and stop none by its pidfile.';

/** `pid 12 (nginx, user www-data): answers`. */
export function lifeText(life: Life): string {
  const load = say`${life.accepted} accepted, ${life.working} working${life.idle ? ', none queued' : ''}`;
  const reach =
    life.reachable === null
      ? 'whether it can be reached is not known'
      : life.reachable
        ? 'answers at the address'
        : 'nobody can reach it';
  return `${suspectText(life)}: ${reach} (${load})`;
}

/** Who is named is ended once nothing is lost by it; who answers, or may, never. */
export function livesHint(lives: readonly Life[], app: string | null): string {
  const again = run('doctor', app);
  if (lives.some(({ reachable }) => reachable === null)) {
    return `${NEITHER} Which of them answers cannot be told now, as when all workers are busy: ask ${again} again.`;
  }
  const lost = lives.filter(({ reachable }) => reachable === false);
  const idle = lost.filter((life) => life.idle);
  const busy = lost.filter((life) => !life.idle);
  const ends = idle.length === 0 ? '' : ` End what nobody can reach with KILL: ${list(idle.map(ending))}.`;
  const waits =
    busy.length === 0
      ? ''
      : say` Pid ${list(busy.map(({ pid }) => pid))} still has work that KILL would cut: ask ${again} again when that is done.`;
  const up =
    lives.length === lost.length ? ` Nobody answers: ${run('start', app)} when they have ended.` : '';
  return `${NEITHER}${ends}${waits}${up}`;
}

/** The command that ends a life and lets it do nothing more. Stopped first, or a master would replace its workers. */
function ending({ pid, leads, workers }: Life): string {
  return leads
    ? say`\`kill -STOP ${pid}; pkill -KILL -P ${pid}; kill -KILL ${pid}\``
    : say`\`kill -KILL ${workers.join(' ')}\``;
}
