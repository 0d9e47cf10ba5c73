/**
 * Keys that would do nothing where they stand. A person who has written down what an answer must be like believes
 * that it is asked for; silence would let a broken application go live.
 */
import { type Problem, SLOTS } from '../event.js';
import type { Path, Yaml } from './document.js';
import { kindOf } from './managers.js';
import { at } from './problems.js';

export function idleKeys({ value, place }: Yaml): Problem[] {
  const found: Problem[] = [];
  const idle = (path: Path, what: string, fix: string): void => {
    if (at(value, path) === undefined) return;
    found.push({ place: place(path, 'key'), what: `${path.join('.')} does nothing ${what}`, fix });
  };
  // without a script php-fpm is asked for its own ping; any other server, for the URI
  if (
    at(value, ['probe', 'script']) === undefined &&
    SLOTS.every((slot) => kindOf(value, slot) !== 'fastcgi')
  ) {
    const fix = "name the application's own script in probe.script: it is what is asked";
    idle(['probe', 'uri'], 'without probe.script', fix);
    idle(['probe', 'expect'], 'without probe.script', fix);
  }
  return found;
}
