/** nginx follows a link at every connect; a connection that it keeps is made once, to the pool of that time. */
import { keepConnPlaces } from '../nginx/settings.js';
import type { Check } from './subject.js';

export const keptConnections: Check = ({ config, nginx }) => {
  if (nginx === null || config.switch.by !== 'symlink') return [];
  const places = keepConnPlaces(nginx.tree);
  if (places.length === 0) return [];
  return [{ severity: 'warning', observation: { reason: 'keep-conn-symlink', places } }];
};
