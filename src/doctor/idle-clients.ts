/** A reload closes idle keep-alive connections at once, whoever is just about to send the next request on one. */
import { idleClientPlaces, keepConnPlaces } from '../nginx/settings.js';
import type { Check } from './subject.js';

export const idleClients: Check = ({ config, nginx }) => {
  if (nginx === null) return [];
  const { tree, version } = nginx;
  // a symlink switch reloads nothing, unless nginx keeps connections to the pool
  if (config.switch.by === 'symlink' && keepConnPlaces(tree).length === 0) return [];
  const places = idleClientPlaces(tree);
  if (places.length === 0) return [];
  const mendable = version !== null && isAtLeast(version, [1, 27, 4]);
  const observation = { reason: 'reload-hits-idle', version, mendable, places } as const;
  return [{ severity: 'advice', host: true, observation }];
};

/** Pure: whether a version is that one or a later one. */
export function isAtLeast(version: string, wanted: readonly number[]): boolean {
  const parts = version.split('.').map(Number);
  const differs = wanted.findIndex((number, at) => (parts[at] ?? 0) !== number);
  return differs < 0 || (parts[differs] ?? 0) > (wanted[differs] ?? 0);
}
