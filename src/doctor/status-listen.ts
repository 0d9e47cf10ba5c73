/** A status page on the pool's own socket waits when all workers are busy: just when it is asked for. */
import { SLOTS } from '../event.js';
import type { Check } from './subject.js';

export const statusListen: Check = ({ slots }) =>
  SLOTS.flatMap((slot) => {
    const own = slots?.[slot];
    if (own?.kind !== 'php-fpm' || own.statusPath === null || own.statusAddress !== null) return [];
    return [{ severity: 'advice', observation: { reason: 'no-status-listen', slot } }];
  });
