/** Old workers of nginx that do not come to their end: under websockets, slow downloads, dead clients. */
import type { ProcessId } from '../event.js';
import { mainSettings } from '../nginx/settings.js';
import { wallClock } from '../system/clock.js';
import type { Check, NginxFacts } from './subject.js';

/** ms */
const LONG = 60 * 60 * 1000;

export const retiringWorkers: Check = ({ nginx }) => {
  if (nginx === null) return [];
  const unset = mainSettings(nginx.tree, 'worker_shutdown_timeout').length === 0;
  const { config } = nginx.nginx;
  return [
    ...longRetiring(nginx, wallClock()).map(({ id, ms }) => {
      const since = new Date(nginx.born(id)).toISOString();
      const observation = {
        reason: 'worker-retires-long',
        pid: id.pid,
        ...nginx.held(id),
        since,
        ms,
      } as const;
      return { severity: 'warning', host: true, observation } as const;
    }),
    ...(unset
      ? [
          {
            severity: 'advice',
            host: true,
            observation: { reason: 'shutdown-timeout-unset', config },
          } as const,
        ]
      : []),
  ];
};

/**
 * The workers that have been retiring for an hour. When one began nobody wrote down: it was when the generation
 * after it was born, so the first birth after its own, among the workers that are left, is the latest it can be.
 */
export function longRetiring(
  { workers, born }: Pick<NginxFacts, 'workers' | 'born'>,
  now: number,
): readonly { readonly id: ProcessId; readonly ms: number }[] {
  if (workers === null) return [];
  const { serving, retiring } = workers;
  const births = [...serving, ...retiring].map(born);
  return retiring.flatMap((id) => {
    // a reload sleeps 100 ms between its forks and the QUIT to those before
    const next = Math.min(...births.filter((birth) => birth > born(id) + GENERATION));
    const ms = now - next;
    return ms >= LONG ? { id, ms } : [];
  });
}
const GENERATION = 90;
