/** listen(2) cuts a backlog to net.core.somaxconn without a word. */
import { SLOTS } from '../event.js';
import { readText } from '../system/files.js';
import type { Check } from './subject.js';

export const backlog: Check = ({ fs, slots }) => {
  const text = readText(`${fs.root}/sys/net/core/somaxconn`);
  const somaxconn = text.ok ? Number(text.value) : NaN;
  return SLOTS.flatMap((slot) => {
    const own = slots?.[slot];
    const asked = own?.kind === 'php-fpm' ? own.backlog : -1;
    if (!(asked > somaxconn)) return [];
    return [{ severity: 'advice', observation: { reason: 'backlog-cut', slot, backlog: asked, somaxconn } }];
  });
};
