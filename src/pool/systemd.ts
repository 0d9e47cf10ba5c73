/**
 * Pools that are units of systemd, one a slot. Who serves is still known from the listening
 * socket; the unit has to say the same of its main process.
 */
import { fail, ok } from '../event.js';
import type { ProcessId, Result, Slot } from '../event.js';
import { waitUntil } from '../system/clock.js';
import { run } from '../system/exec.js';
import type { Ran } from '../system/exec.js';
import { exists } from '../system/files.js';
import { untrustedPart } from '../system/trust.js';
import { readLog } from './log.js';
import type { Manager, Managing } from './manager.js';
import { isInUnit } from './servers.js';
import { runStop, stopOf } from './program.js';
import { ladderOf, signals } from './stop.js';
import type { Rung } from './stop.js';
import { parseUnits, PROPERTIES } from './unit.js';
import type { Unit } from './unit.js';

const systemctl = (): string => program('systemctl');
/** systemctl answers within 10 ms; a host that is booting has more to do. */
const TIMEOUT = 20_000;

/**
 * The slots' units. Fails with `unit-invalid` where one is missing, masked, broken, or not told
 * which slot it is; `slots-one-master` where both are one; `unsafe-path` where, as root, somebody else
 * could change their files; `unobservable` where systemd does not answer.
 */
export async function readUnits(
  names: Readonly<Record<Slot, string>>,
  { root }: { readonly root: boolean },
): Promise<Result<Readonly<Record<Slot, Unit>>>> {
  const both = await show([names.blue, names.green]);
  if (!both.ok) return both;
  const [blue, green] = both.value;
  if (blue === undefined || green === undefined) return silent('says nothing of the units');
  for (const [slot, unit] of [['blue', blue] as const, ['green', green] as const]) {
    const checked = check(slot, names[slot], unit, root);
    if (!checked.ok) return checked;
  }
  // two names of one unit: an alias, or one without its slot in it
  if (blue.id === green.id)
    return fail({ reason: 'slots-one-master', what: 'unit', unit: blue.id, master: null });
  return ok({ blue, green });
}

function check(slot: Slot, name: string, unit: Unit, root: boolean): Result<void> {
  const invalid = (
    what: 'not-found' | 'masked' | 'bad' | 'no-slot',
    detail: string = unit.loadError,
  ): Result<never> => fail({ reason: 'unit-invalid', slot, unit: name, what, detail });
  if (unit.load === 'not-found' || unit.load === 'masked') return invalid(unit.load);
  if (unit.load !== 'loaded') return invalid('bad');
  const named = unit.environment['SWAP_POOL_SLOT'];
  // an environment file may set it: what it holds is only known to systemd
  if (
    named !== slot &&
    (named !== undefined || !unit.files.some((file) => !/\.(service|conf)$/.test(file)))
  ) {
    return invalid('no-slot', named ?? '');
  }
  for (const file of root ? unit.files : []) {
    const part = untrustedPart(file, 0);
    if (part !== null) return fail({ reason: 'unsafe-path', ...part });
  }
  return ok(undefined);
}

export function systemd(
  { fs, slot, managed, folder, unit: first }: Managing,
  own: (command: readonly string[], more: Partial<Manager>) => Manager,
): Manager {
  if (managed.manager !== 'systemd' || first === null) throw new Error('no unit');
  const name = first.id;
  const control = (...words: readonly string[]): Promise<Ran> =>
    run([systemctl(), ...words], { timeout: TIMEOUT });
  const now = async (): Promise<Result<Unit>> => {
    const found = await show([name]);
    if (!found.ok) return found;
    return found.value[0] === undefined ? silent('says nothing of the unit') : ok(found.value[0]);
  };
  const disagrees = (unit: Unit, pid: number | null): Result<never> =>
    fail({
      reason: 'unit-disagrees',
      slot: slot.slot,
      unit: name,
      state: unit.result === 'success' ? unit.active : `${unit.active}: ${unit.result}`,
      unitPid: unit.mainPid,
      pid,
    });
  const isBusy = (unit: Unit): boolean => unit.hasJob || unit.active === 'deactivating';
  const startCommand = [systemctl(), 'start', name];
  const stopCommand = [systemctl(), 'stop', name];

  return {
    ...own([], {}),
    startCommand,
    stopCommand,
    prepare: async () => {
      // it may be on its way out: a process is gone a moment before its unit is inactive
      const waited = await waitUntil(
        async () => {
          const unit = await now();
          return !unit.ok || !isBusy(unit.value) ? unit : undefined;
        },
        { deadline: TIMEOUT },
      );
      const unit = waited.kind === 'seen' ? waited.value : await now();
      if (!unit.ok) return unit;
      if (!['inactive', 'failed'].includes(unit.value.active)) return disagrees(unit.value, null);
      // the last end may have been a failure, and starts are counted: five in ten seconds are refused
      await control('reset-failed', name);
      return ok(undefined);
    },
    agrees: async (life) => {
      const unit = await now();
      if (!unit.ok) return unit;
      const { mainPid } = unit.value;
      const people = life.master === null ? life.workers : [life.master];
      const pid = people[0]?.pid ?? null;
      const isOwn = people.every((id) => isInUnit(fs, id.pid, name));
      const leads = mainPid === null || life.master === null || mainPid === life.master.pid;
      return isOwn && leads ? ok(undefined) : disagrees(unit.value, pid);
    },
    abandon: async () => {
      await control('stop', name);
      await control('reset-failed', name);
    },
    isStarting: async () => {
      const unit = await now();
      return unit.ok && (isBusy(unit.value) || unit.value.active === 'activating');
    },
    ladder: (life, told, { force }) => {
      const people = life.master === null ? life.workers : [life.master];
      const orphaned = slot.kind === 'php-fpm' && life.master === null;
      const isOwn = people.some((id) => isInUnit(fs, id.pid, name));
      if (orphaned || !isOwn) return signals(fs, life.master, ladderOf(slot, { force }));
      const kill = (signal: 'SIGTERM' | 'SIGKILL') => ({
        signal,
        tell: async (remaining: readonly ProcessId[], ms: number): Promise<string | null> => {
          await control('kill', `--signal=${signal}`, name);
          // whoever has left the unit's control group is not reached by it
          const outside = remaining.filter((id) => !isInUnit(fs, id.pid, name));
          const [rung] = signals(fs, null, [signal]);
          return outside.length === 0 ? null : ((await rung?.tell(outside, ms)) ?? null);
        },
      });
      // a unit that is killed and was not to stop is started again (Restart=); its own stop signal comes first
      const end = kill('SIGTERM');
      const atOnce: Rung = {
        signal: 'SIGTERM',
        tell: async (remaining, ms) => {
          await control('stop', '--no-block', name);
          return end.tell(remaining, ms);
        },
      };
      if (force) return [atOnce, kill('SIGKILL')];
      return [
        { signal: signalOf(first), tell: runStop(fs, stopOf(slot, folder, stopCommand), told) },
        end,
        kill('SIGKILL'),
      ];
    },
    words: async (log) => {
      const lines = await journal(name, log.began);
      return [readLog(log), lines].filter(Boolean).join('\n').slice(-WORDS);
    },
    files: first.files,
  };
}

const WORDS = 4096;

/** What the unit stops its pool with, where that is one of ours. */
const signalOf = ({ killSignal }: Unit): 'SIGQUIT' | 'SIGTERM' | null =>
  killSignal === 3 ? 'SIGQUIT' : killSignal === 15 ? 'SIGTERM' : null;

/** The unit's last journal lines since a moment (ms since the epoch); '' when there are none or no journal. */
async function journal(unit: string, since: number): Promise<string> {
  const time = `--since=@${String(Math.floor(since / 1000))}`;
  const ran = await run(
    [program('journalctl'), '--unit', unit, time, '--lines=20', '--output=cat', '--no-pager', '--quiet'],
    { timeout: TIMEOUT },
  );
  return ran.status === 0 ? ran.stdout.trim() : '';
}

async function show(names: readonly string[]): Promise<Result<readonly Unit[]>> {
  const ran = await run([systemctl(), 'show', `--property=${PROPERTIES.join(',')}`, '--', ...names], {
    timeout: TIMEOUT,
  });
  return ran.status === 0 ? ok(parseUnits(ran.stdout)) : silent(ran.failure ?? ran.stderr.trim());
}

const silent = (detail: string): Result<never> => fail({ reason: 'unobservable', what: 'systemd', detail });

/** Where /usr is not merged, systemd's programs are in /bin. */
function program(name: string): string {
  return exists(`/usr/bin/${name}`) ? `/usr/bin/${name}` : `/bin/${name}`;
}
