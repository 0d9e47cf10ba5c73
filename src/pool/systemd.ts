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
import { ladderOf, rungOf, signals } from './stop.js';
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
  { root, timeout = TIMEOUT }: { readonly root: boolean; readonly timeout?: number | undefined },
): Promise<Result<Readonly<Record<Slot, Unit>>>> {
  const both = await show([names.blue, names.green], timeout);
  if (!both.ok) return both;
  const [blue, green] = both.value;
  if (blue === undefined || green === undefined) return silent('says nothing of the units');
  // two names of one unit: an alias, or one without its slot in it. It cannot be told which slot it is, either
  if (blue.id === green.id && blue.load === 'loaded')
    return fail({ reason: 'slots-one-master', what: 'unit', unit: blue.id, master: null });
  for (const [slot, unit] of [['blue', blue] as const, ['green', green] as const]) {
    const checked = check(slot, names[slot], unit, root);
    if (!checked.ok) return checked;
  }
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
  const stateOf = (unit: Unit): 'off' | 'busy' | 'on' => {
    // between two tries it is nobody's start: nobody waits for it, and it may go on so for ever
    if (unit.isToRestart) return 'on';
    if (unit.hasJob || ['activating', 'deactivating'].includes(unit.active)) return 'busy';
    return ['inactive', 'failed'].includes(unit.active) ? 'off' : 'on';
  };
  const startCommand = [systemctl(), 'start', name];
  const stopCommand = [systemctl(), 'stop', name];

  return {
    ...own([], {}),
    startCommand,
    stopCommand,
    prepare: async () => {
      // It may be on its way out: a process is gone a moment before its unit is inactive. One that is started again
      // and again without ever listening is ended: between two tries nobody runs, and so nothing is cut.
      const waited = await waitUntil(
        async () => {
          const unit = await now();
          if (!unit.ok) return unit;
          if (unit.value.isToRestart) await control('stop', name);
          const loops = unit.value.isToRestart || (unit.value.active === 'active' && unit.value.restarts > 0);
          return loops || stateOf(unit.value) === 'busy' ? undefined : unit;
        },
        { deadline: TIMEOUT },
      );
      const unit = waited.kind === 'seen' ? waited.value : await now();
      if (!unit.ok) return unit;
      if (stateOf(unit.value) !== 'off') return disagrees(unit.value, null);
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
    state: async () => {
      const unit = await now();
      return unit.ok ? ok(stateOf(unit.value)) : unit;
    },
    ladder: (life, told, { force }) => {
      const people = life.master === null ? life.workers : [life.master];
      const isOwn = (ids: readonly ProcessId[]): boolean => ids.some((id) => isInUnit(fs, id.pid, name));
      const orphaned = slot.kind === 'php-fpm' && life.master === null;
      if (orphaned || !isOwn(people)) return signals(fs, life.master, ladderOf(slot, { force }));
      // Never `systemctl kill`: it reaches whoever is in the unit by then. The unit is told to stop, or what is killed
      // would be started again (Restart=), and only while one of those who are to end is in it.
      const rung = (signal: 'SIGQUIT' | 'SIGTERM' | 'SIGKILL'): Rung => rungOf(fs, life.master, signal);
      const end = rung('SIGTERM');
      if (force) {
        const tell: Rung['tell'] = async (remaining, ms) => {
          if (isOwn(remaining)) await control('stop', '--no-block', name);
          return end.tell(remaining, ms);
        };
        return [{ signal: 'SIGTERM', tell }, rung('SIGKILL')];
      }
      const stop = runStop(fs, stopOf(slot, folder, stopCommand), told);
      const gentle = slot.kind === 'php-fpm' ? rung('SIGQUIT') : end;
      const tell: Rung['tell'] = (remaining, ms) =>
        isOwn(remaining) ? stop(remaining, ms) : gentle.tell(remaining, ms);
      return [{ signal: signalOf(first), tell }, end, rung('SIGKILL')];
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

async function show(names: readonly string[], timeout = TIMEOUT): Promise<Result<readonly Unit[]>> {
  const ran = await run([systemctl(), 'show', `--property=${PROPERTIES.join(',')}`, '--', ...names], {
    timeout,
  });
  return ran.status === 0 ? ok(parseUnits(ran.stdout)) : silent(ran.failure ?? ran.stderr.trim());
}

const silent = (detail: string): Result<never> => fail({ reason: 'unobservable', what: 'systemd', detail });

/** Where /usr is not merged, systemd's programs are in /bin. */
function program(name: string): string {
  return exists(`/usr/bin/${name}`) ? `/usr/bin/${name}` : `/bin/${name}`;
}
