/**
 * What a pool's keys have to do with each other: each manager has a map of its own and no other's,
 * each kind its keys. Taken from the plain value, so that all of it is told at once.
 */
import { type Problem, SLOTS, type Slot } from '../event.js';
import type { Path, Yaml } from './document.js';
import { at } from './problems.js';
import { forSlot } from './resolve.js';
import { MANAGERS, isLine } from './schema.js';

type ManagerName = (typeof MANAGERS)[number];

const LACKS: Readonly<Record<Exclude<ManagerName, 'direct'>, string>> = {
  systemd: 'name the unit: systemd: { unit: "shop-fpm@{slot}.service" }',
  init: 'name the script: init: { script: "/etc/init.d/shop-fpm-{slot}" }',
  command: 'say what starts it: command: { start: [/path/program, …] }',
};

/** Keys that only FPM has. */
const OF_FPM = ['config', 'section', 'binary', 'status'];

/** Every problem once, though both slots may have it. */
export function managerProblems(yaml: Yaml): Problem[] {
  const found = SLOTS.flatMap((slot) => problemsOf(slot, yaml));
  const once = new Map(found.map((one) => [`${String(one.place.line)} ${one.what}`, one]));
  return [...once.values(), ...differences(yaml)];
}

/** What a slot's pool is, as far as the YAML makes sense; `direct` and `php-fpm` where it says nothing. */
export const managerOf = (value: unknown, slot: Slot): unknown => read(value, slot, 'manager') ?? 'direct';
export const kindOf = (value: unknown, slot: Slot): unknown => read(value, slot, 'kind') ?? 'php-fpm';

/** Where a slot's key stands: among its own, else the pool's; null where it does not. */
export function placed(value: unknown, slot: Slot, key: string): Path | null {
  for (const path of [
    ['slots', slot, key],
    ['pool', key],
  ]) {
    if (at(value, path) !== undefined) return path;
  }
  return null;
}

function problemsOf(slot: Slot, yaml: Yaml): Problem[] {
  const { value } = yaml;
  const manager = managerOf(value, slot);
  const kind = kindOf(value, slot);
  const found: Problem[] = [];
  const extra = (key: string, with_: string, fix: string): void => {
    const path = placed(value, slot, key);
    if (path === null) return;
    found.push({ place: yaml.place(path, 'key'), what: `${path.join('.')} does nothing with ${with_}`, fix });
  };
  const missing = (key: string, because: 'manager' | 'kind', fix: string): void => {
    if (placed(value, slot, key) !== null) return;
    const place = yaml.place(placed(value, slot, because) ?? ['pool'], 'value');
    found.push({ place, what: `pool.${key} is missing`, fix });
  };
  for (const other of MANAGERS) {
    if (other === 'direct' || !isManager(manager)) continue;
    if (other === manager) missing(other, 'manager', LACKS[other]);
    else extra(other, `manager ${manager}`, `remove it, or write manager: ${other}`);
  }
  if (manager === 'systemd') extra('env', 'manager systemd', 'write Environment= into the unit');
  if (kind === 'fastcgi') {
    missing('listen', 'kind', 'say where it listens, {slot} in it: /path, HOST:PORT or PORT');
    for (const key of OF_FPM) extra(key, 'kind fastcgi', 'remove it: only php-fpm has one');
    if (manager === 'direct') {
      const path = placed(value, slot, 'manager') ?? placed(value, slot, 'kind') ?? ['pool'];
      const fix = 'write manager: command, init or systemd; only php-fpm is started directly';
      found.push({ place: yaml.place(path, 'value'), what: 'nothing says who starts this pool', fix });
    }
  }
  return found;
}

/** What cannot differ between the slots, and what must. */
function differences(yaml: Yaml): Problem[] {
  const { value } = yaml;
  const found: Problem[] = [];
  for (const [key, of] of [
    ['manager', managerOf],
    ['kind', kindOf],
  ] as const) {
    if (of(value, 'blue') === of(value, 'green')) continue;
    const path =
      SLOTS.map((slot) => ['slots', slot, key]).find((each) => at(value, each) !== undefined) ?? [];
    const fix = `both slots have one ${key}: write it under pool`;
    found.push({ place: yaml.place(path, 'value'), what: `${path.join('.')} is not the other slot's`, fix });
  }
  for (const key of ['listen', 'pidfile'] as const) {
    const path = placed(value, 'green', key);
    const [one, other] = SLOTS.map((slot) => {
      const text = read(value, slot, key);
      // what is wrong in itself is told by itself
      const sound = typeof text === 'string' && isLine(text) && !text.startsWith('unix:');
      return sound ? forSlot(text, slot) : undefined;
    });
    if (path === null || one === undefined || one !== other) continue;
    const fix = 'let the slots differ: write {slot} into it';
    found.push({ place: yaml.place(path, 'value'), what: `${path.join('.')} is one for both slots`, fix });
  }
  const [blue, green] = SLOTS.map((slot) => {
    const path = placed(value, slot, 'systemd');
    const unit = path === null ? null : at(value, [...path, 'unit']);
    return typeof unit === 'string' ? { path: [...(path ?? []), 'unit'], unit: forSlot(unit, slot) } : null;
  });
  if (managerOf(value, 'blue') === 'systemd' && blue && green && blue.unit === green.unit) {
    const fix = 'one master has one life: name a unit for each slot, such as "shop-fpm@{slot}.service"';
    const place = yaml.place(green.path, 'value');
    found.push({ place, what: `${green.path.join('.')} is one unit for both slots`, fix });
  }
  return found;
}

function read(value: unknown, slot: Slot, key: string): unknown {
  const path = placed(value, slot, key);
  return path === null ? undefined : at(value, path);
}

const isManager = (value: unknown): value is ManagerName => MANAGERS.some((name) => name === value);
