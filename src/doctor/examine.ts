/** Everything that doctor can find of one app, whatever of it is broken. Looks only. */
import type { ProxyView, SlotView } from '../drivers.js';
import { otherSlot, SLOTS } from '../event.js';
import type { Failure, Finding, Life, Result, Slot } from '../event.js';
import { test } from '../nginx/config-tree.js';
import { quitting } from '../nginx/quitting.js';
import type { Pools } from '../pool/driver.js';
import { livesOf } from '../pool/several.js';
import { inTurns } from '../system/turns.js';
import { backlog } from './backlog.js';
import { balancer } from './balancer.js';
import { elsewhere, mastersElsewhere } from './elsewhere.js';
import type { Elsewhere } from './elsewhere.js';
import { idleClients } from './idle-clients.js';
import { keptConnections } from './kept-connections.js';
import { leftovers } from './leftovers.js';
import { nginxFacts } from './nginx-facts.js';
import { oldBinary } from './old-binary.js';
import { orphans } from './orphans.js';
import { deployWarnings } from './pool-advice.js';
import { reloadNotTaken } from './reload-not-taken.js';
import { retiringWorkers } from './retiring-workers.js';
import { served } from './served.js';
import { socketPath, tooLong } from './socket-path.js';
import { statusListen } from './status-listen.js';
import { replaceable, rooms, shared, storage } from './storage.js';
import { strangers } from './stranger.js';
import type { Check, Patient, Subject, Verdict } from './subject.js';

const CHECKS: readonly Check[] = [
  served,
  strangers,
  elsewhere,
  orphans,
  leftovers,
  reloadNotTaken,
  balancer,
  oldBinary,
  keptConnections,
  retiringWorkers,
  deployWarnings,
  statusListen,
  backlog,
  socketPath,
  idleClients,
];

/** What an app's pools look like, why those of them that run do not answer, and who does where there are several. */
export interface Heard extends Pick<Subject, 'views' | 'silent' | 'lives'> {
  readonly failures: readonly Failure[];
}

/**
 * Asks those that run, as nginx's workers' user, once and not for long. One that hears nothing takes all the time that
 * it is given: the pools of several apps are asked at once.
 */
export async function ask(patient: Patient): Promise<Heard> {
  const { views, failures } = viewsNow(patient);
  const answers = await Promise.all(
    SLOTS.map(async (slot) => ({
      silence: await silence(patient, slot, views[slot]),
      lives: await several(patient, views[slot]),
    })),
  );
  const [blue, green] = answers;
  const silent = {
    ...(blue?.silence ? { blue: blue.silence } : {}),
    ...(green?.silence ? { green: green.silence } : {}),
  };
  const lives = { blue: blue?.lives ?? [], green: green?.lives ?? [] };
  return { views, failures, silent, lives };
}

/** Some at a time, and in the order of their apps. */
export const examineEach = async (
  all: readonly { readonly patient: Patient; readonly heard: Heard }[],
): Promise<readonly Finding[]> =>
  (await inTurns(all, ({ patient, heard }) => examine(patient, heard))).flat();

/** In the order of the checks; the caller sorts. */
async function examine(patient: Patient, heard: Heard): Promise<readonly Finding[]> {
  const verdicts = [...ofState(patient), ...(await ofSite(patient, heard))];
  const once = new Map(verdicts.map((verdict) => [JSON.stringify(verdict), verdict]));
  return [...once.values()].map(({ host, fixable, ...found }) => ({
    ...found,
    app: host === true ? null : patient.app,
    fixable: fixable === true,
  }));
}

/** What needs no configuration. */
function ofState({ folders, app, root, past, lockHolder }: Patient): readonly Verdict[] {
  const { owned, open, damaged } = past;
  const found: Verdict[] = [];
  if (lockHolder !== null) {
    found.push({ severity: 'advice', observation: { reason: 'at-work', holder: lockHolder } });
  } else if (open !== null) {
    found.push({ severity: 'error', observation: { reason: 'deploy-left-open', ...open } });
  }
  if (!owned.ok) found.push(failed(owned.failure));
  found.push(...damaged.map(failed));
  return [...found, ...storage(folders, app), ...(root ? shared(folders) : [])];
}

async function ofSite(
  patient: Patient,
  { views, failures, silent, lives: several }: Heard,
): Promise<readonly Verdict[]> {
  const { fs, config, pools, folders, past, lockHolder } = patient;
  if (!config.ok) return [failed(config.failure)];
  const found: Verdict[] = [];
  const broken = pools?.ok === false ? [pools.failure, ...patient.faults] : [];
  found.push(...broken.map((failure) => tooLong(failure) ?? failed(failure)));
  if (pools?.ok === true) found.push(...(await brokenFiles(pools.value)));
  const own = pools?.ok === true ? pools.value : null;
  found.push(...failures.map(failed));

  const nginx = await nginxFacts(patient, config.value, own);
  const surveyed = patient.proxy === null ? null : await patient.proxy.survey(past.proof);
  const proxy = surveyed?.ok === true ? surveyed.value : null;
  // the survey reads the same, and more
  const unread = surveyed ?? nginx;
  if (!unread.ok) found.push(failed(unread.failure));
  // as the survey asks it
  if (surveyed === null && nginx.ok && nginx.value.workers !== null) {
    const tested = await test(nginx.value.nginx, config.value.nginx.reloadTimeout, patient.tester);
    if (!tested.ok) found.push(failed(tested.failure));
  }
  const leaves = nginx.ok ? quitting(fs, nginx.value.nginx) : null;
  if (leaves !== null && (unread.ok || unread.failure.reason !== leaves.reason)) found.push(failed(leaves));
  if (nginx.ok && nginx.value.workers === null) {
    const { nginx: meant, orphans: left } = nginx.value;
    const pids = left.map(({ pid }) => pid);
    found.push(
      failed(
        pids.length === 0
          ? { reason: 'nginx-not-running', config: meant.config }
          : { reason: 'nginx-orphaned', config: meant.config, pids },
      ),
    );
  }
  const astray = own === null ? [] : mastersElsewhere(fs, own.slots, views);
  const subject: Subject = {
    fs,
    config: config.value,
    slots: own?.slots ?? null,
    views,
    ...(await leadsTo(patient, views, { seen: proxy, why: unread.ok ? null : unread.failure, astray })),
    pools: own,
    proxy,
    nginx: nginx.ok ? nginx.value : null,
    silent,
    lives: several,
    elsewhere: astray,
    folders,
    inBetween: lockHolder !== null || past.open !== null,
  };
  const { switch: by } = config.value;
  return [
    ...found,
    ...CHECKS.flatMap((check) => check(subject)),
    ...replaceable(proxy, by.by === 'symlink' ? by.link : null),
    ...rooms(proxy, subject.slots),
  ];
}

/** What a pool's file is not understood for, when the pool is looked at by what it was before; one file is often both slots'. */
async function brokenFiles(pools: Pools): Promise<readonly Verdict[]> {
  const slots = new Map(pools.remembered.map(({ file, slot }) => [file, slot]));
  const tested = await Promise.all([...slots.values()].map((slot) => pools.test(slot)));
  return tested.flatMap((one) => (one.ok ? [] : failed(one.failure)));
}

const failed = (failure: Failure): Verdict => ({ severity: 'error', failure });

function viewsNow({ pools }: Patient): {
  readonly views: Subject['views'];
  readonly failures: readonly Failure[];
} {
  const views: Partial<Record<Slot, SlotView>> = {};
  const failures: Failure[] = [];
  if (pools?.ok !== true) return { views, failures };
  for (const slot of SLOTS) {
    const view = pools.value.observe(slot);
    if (view.ok) views[slot] = view.value;
    else failures.push(view.failure);
  }
  return { views, failures };
}

const lives = (view: SlotView | undefined): boolean => (view?.life ?? null) !== null;

/** The slot that the site is sent to, as far as that is known: what the proxy runs may be proven where its files are not read. */
async function leadsTo(
  patient: Patient,
  views: Subject['views'],
  { seen, why, astray }: Sight,
): Promise<Pick<Subject, 'active' | 'led'>> {
  const { proxy, past } = patient;
  const { slot: active, named: isNamed } = await activeSlot(patient, views, seen);
  // where the last deploy led says nothing of files that lead elsewhere since, nor of a pool that was moved from there
  const moved = why !== null && ELSEWHERE.has(why.reason);
  const isStale = !isNamed && (moved || astray.some(({ addresses }) => addresses.length > 0));
  const named = { active, led: isStale ? 'unknown' : 'known' } as const;
  if (proxy === null || seen === null || seen.unread.files.length === 0) return named;
  const { open, last, proof } = past;
  const proven = open === null && last !== null && proof !== null && proof.unused !== true;
  const known = proven ? await proxy.known({ slot: last, proof }) : null;
  if (known?.proven === true) return { active: known.slot, led: 'known' };
  return { ...named, led: seen.unread.surely ? 'unknown' : 'doubtful' };
}

/** What was seen of the proxy, why it was not, and who else runs the slots' configuration. */
interface Sight {
  readonly seen: ProxyView | null;
  readonly why: Failure | null;
  readonly astray: readonly Elsewhere[];
}

/** The proxy's files were read, and lead to neither slot. */
const ELSEWHERE: ReadonlySet<Failure['reason']> = new Set<Failure['reason']>([
  'reference-missing',
  'link-not-named',
]);

/** As the proxy names it; where its files are broken, as they would name it; else as it was left. */
async function activeSlot(
  { proxy, past }: Patient,
  views: Subject['views'],
  seen: ProxyView | null,
): Promise<{ readonly slot: Slot | null; readonly named: boolean }> {
  const now = seen?.active ?? null;
  if (now !== null) return { slot: now, named: true };
  for (const slot of SLOTS) {
    const named: Result<boolean> | null = seen === null && proxy !== null ? await proxy.names(slot) : null;
    if (named?.ok === true && named.value) return { slot, named: true };
  }
  if (past.last !== null) return { slot: past.last, named: false };
  const alive = SLOTS.filter((slot) => lives(views[slot]));
  const [only] = alive;
  return { slot: only !== undefined && !lives(views[otherSlot(only)]) ? only : null, named: false };
}

/** None where the address has but one life. */
async function several({ fs, pools }: Patient, view: SlotView | undefined): Promise<readonly Life[]> {
  if (pools?.ok !== true || view?.lives === undefined) return [];
  const found = await livesOf(fs, pools.value.slots[view.slot]);
  return found.ok && found.value.length > 1 ? found.value : [];
}

/** Null: it answers as it should, or nobody can be expected to. */
async function silence({ probe }: Patient, slot: Slot, view: SlotView | undefined): Promise<Failure | null> {
  if (probe === null || view === undefined || view.life === null || view.retired) return null;
  const answered = await probe.probe(slot);
  return answered.ok ? null : answered.failure;
}
