/**
 * The switch that exchanges the two addresses in nginx's configuration, reloads nginx, and proves that what
 * runs follows. Everything here happens under the lock of that nginx, which the caller holds.
 */
import { fail, ok } from '../event.js';
import type { Failure, FileChange, ProcessId, Result, Slot, Warning } from '../event.js';
import type {
  LastProven,
  OlderWorker,
  ProxyProof,
  ProxySwitch,
  SwitchEvidence,
  TestWhen,
  WayIn,
} from '../drivers.js';
import { wallClock } from '../system/clock.js';
import { removeTemporaries } from '../system/files.js';
import type { Resolver } from './address.js';
import { backupPairs } from './backup.js';
import { leftBehind, otherPoolsNamed } from './bystanders.js';
import { changes, hashOf, loadTree, resolverFor, testCommand } from './config-tree.js';
import { diff } from './edit.js';
import { exchangeEdits } from './exchange.js';
import { holds, mayReplace, replaceAll, reversed, stage, versionsOf } from './exchange-files.js';
import type { FileVersion, Told } from './exchange-files.js';
import { activeSlot, findReferences } from './references.js';
import type { Found } from './references.js';
import type { Generation } from './reload.js';
import { createRunning, readAt } from './running.js';
import type { ProxyOptions, Reading } from './running.js';
import type { Tree } from './tree.js';
import { onTheWay, usesOf } from './uses.js';
import type { Uses } from './uses.js';
import { contains, sameProcesses } from './workers.js';

const sameTimes = (one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): boolean =>
  one.size === other.size && [...one].every(([path, at]) => other.get(path) === at);

/** Its master was killed, and nobody can tell which of its configurations they run. */
const masterless = (cause: Failure): Failure => ({
  reason: 'stranded',
  detail:
    'nginx has lost its master, and its workers serve on: end them (`swap-pool nginx stop`), and start it',
  cause,
});

export function createRewrite(options: ProxyOptions): ProxySwitch {
  const { addresses, others } = options;
  const { only } = options.nginx;
  const running = createRunning(options);
  const pair = JSON.stringify([addresses.blue, addresses.green]);
  /** The tree as our last exchange left it, when its files and folders changed last, and the slot it names since. */
  let written: {
    readonly to: Slot;
    readonly tree: Tree;
    readonly changed: ReadonlyMap<string, number>;
  } | null = null;

  interface Named extends Reading {
    readonly resolver: Resolver;
    readonly found: Found;
    readonly active: Slot;
  }

  async function name(reading: Reading): Promise<Result<Named>> {
    const resolver = await resolverFor(reading.tree, addresses, others);
    const found = findReferences(reading.tree, { addresses, only, resolve: resolver });
    if (!found.ok) return found;
    const active = activeSlot(found.value, addresses);
    return active.ok ? ok({ ...reading, resolver, found: found.value, active: active.value }) : active;
  }

  async function read(): Promise<Result<Named>> {
    const reading = await running.read();
    return reading.ok ? name(reading.value) : reading;
  }

  async function survey(
    last: ProxyProof | null,
    test: TestWhen = 'always',
  ): ReturnType<ProxySwitch['survey']> {
    const named = await read();
    if (!named.ok) return named;
    const { nginx, tree, found, active, resolver } = named.value;
    const observed = await running.observe(named.value, last, test);
    if (!observed.ok) return observed;
    const { unread, doubtful, ...seen } = observed.value;
    const { pid } = seen.status;
    const uses = usesIn(named.value);
    const surely = onTheWay(uses, unread);
    return ok({
      ...seen,
      proof: marked(seen.proof, uses),
      unread:
        surely.length > 0
          ? { files: surely, surely: true }
          : { files: onTheWay(uses, doubtful), surely: false },
      unused: uses.unused,
      older: markForgiving(seen.older),
      active,
      otherPools: otherPoolsNamed(tree, resolver, others),
      leftBehind: leftBehind(tree, addresses[active], found.references, resolver),
      warnings: warningsOf(tree, found),
      changes: changesOf(found),
      commands: [testCommand(nginx, '-T'), testCommand(nginx, '-t')],
      signals: pid === null ? [] : [{ signal: 'SIGHUP', to: `nginx ${String(pid)}` }],
    });
  }

  const usesIn = ({ tree, found }: Named): Uses =>
    usesOf(
      tree,
      found.references.filter(({ role }) => role === 'primary'),
    );

  /** A proof says, too, that nothing used the slots: then nobody is served by what runs. */
  const marked = <P extends ProxyProof | null>(proof: P, { unused }: Uses): P =>
    proof === null || unused.length === 0 ? proof : { ...proof, unused: true };

  function warningsOf(tree: Tree, found: Found): readonly Warning[] {
    const lax = backupPairs(tree, found.references, addresses).withoutMaxFails;
    return [
      ...(lax.length > 0 ? [{ reason: 'backup-max-fails', places: lax } as const] : []),
      ...(found.variables.length > 0
        ? [{ reason: 'variable-reference', places: found.variables } as const]
        : []),
    ];
  }

  function changesOf(found: Found): readonly FileChange[] {
    const edits = exchangeEdits(found.references, addresses);
    const versions = versionsOf(edits);
    if (!versions.ok) return [];
    return versions.value.map(({ path, before, after }, at) => ({
      file: path,
      lines: edits[at]?.lines ?? [],
      diff: diff(before, after, path),
    }));
  }

  const mayPoint: ProxySwitch['mayPoint'] = (to, view) =>
    mayReplace(view.active === to ? [] : view.changes.map(({ file }) => file));

  async function intent(): ReturnType<ProxySwitch['intent']> {
    const named = await read();
    if (!named.ok) return named;
    const { nginx, hash, active } = named.value;
    const workers = nginx.master === null ? [] : running.workers(nginx.master).serving;
    return ok({ workers, hash, named: active });
  }

  async function point(to: Slot, _behind?: boolean, told?: Told): Promise<Result<SwitchEvidence>> {
    const named = await read();
    if (!named.ok) return named;
    const { nginx, found, active } = named.value;
    const { master } = nginx;
    if (master === null) {
      const gone = await running.absent(named.value);
      return fail(gone.reason === 'nginx-orphaned' ? masterless(gone) : gone);
    }
    const upgrade = await running.refuseUpgrade(named.value);
    if (!upgrade.ok) return upgrade;
    for (const real of new Set(found.references.map(({ file }) => file.real))) removeTemporaries(real);
    return active === to ? confirm(named.value, master) : exchange(named.value, master, to, told);
  }

  /** The files name the slot already: what runs must follow them, whatever it followed before. */
  async function confirm(named: Named, master: ProcessId): Promise<Result<SwitchEvidence>> {
    const tested = await running.test(named);
    if (!tested.ok) return tested;
    const generation = await running.reload(named, master);
    if (!generation.ok) {
      const { failure } = generation;
      if (failure.reason === 'nginx-gone' || failure.reason === 'nginx-stopping') return generation;
      return fail({
        reason: 'stranded',
        detail: 'the files name the slot, what runs is unknown',
        cause: failure,
      });
    }
    return ok(evidence(named, [], named, generation.value, []));
  }

  async function exchange(
    named: Named,
    master: ProcessId,
    to: Slot,
    told?: Told,
  ): Promise<Result<SwitchEvidence>> {
    const versions = versionsOf(exchangeEdits(named.found.references, addresses));
    if (!versions.ok) return versions;
    const staged = stage(versions.value, told);
    if (!staged.ok) return staged;
    const idle = await running.waitIdle(named, master);
    if (!idle.ok) {
      staged.value.discard();
      return idle;
    }
    const { serving: before, retiring } = running.workers(master);
    const committed = staged.value.commit();
    if (!committed.ok) return committed;

    const tested = await running.test(named);
    if (!tested.ok) {
      const { failure } = tested;
      // nginx has not rejected what it had no time for
      const why: Failure =
        failure.reason === 'nginx-config-broken'
          ? { reason: 'edit-rejected', output: failure.output }
          : failure;
      return takeBack(versions.value, to, why, told);
    }
    const began = wallClock();
    const tree = loadTree(named.nginx);
    if (!tree.ok) return takeBack(versions.value, to, tree.failure, told);
    const generation = await running.reload({ ...named, tree: tree.value }, master);
    if (generation.ok) {
      const forgiving = isForgiving(named, before) ? before : [];
      const files = versions.value.map(({ path }) => path);
      const changed = changes(tree.value, 'changed');
      written = { to, tree: tree.value, changed };
      const read = { hash: hashOf(tree.value), at: readAt(began, changed) };
      return ok(evidence(named, files, read, generation.value, forgiving));
    }
    const { failure } = generation;
    switch (failure.reason) {
      case 'reload-swallowed':
        // somebody else's reload between our rename and our HUP has read our file: it runs, though ours was refused
        if (!sameProcesses(running.workers(master).serving, before)) break;
        return takeBack(versions.value, to, failure, told);
      case 'nginx-stopping': {
        // it hears no HUP any more, but may have heard somebody else's right before
        const now = running.workers(master);
        const left = [...now.serving, ...now.untitled, ...now.retiring];
        if (!left.every((id) => contains([...before, ...retiring], id))) break;
        return takeBack(versions.value, to, failure, told);
      }
      case 'nginx-gone': {
        const back = await takeBack(versions.value, to, failure, told);
        const again = await running.shared.status();
        // killed, its workers go on, and some may have been born of our file
        const left = (await running.orphans(named)).filter((id) => !contains(before, id));
        // started again by its service manager: from which of the two versions, nobody can tell
        if (again?.pid !== null) break;
        return left.length === 0 ? back : fail(masterless(failure));
      }
      default:
    }
    return fail({ reason: 'stranded', detail: 'what nginx runs is unknown', cause: failure });
  }

  /** What a worker was found to do when its pool is gone it does as long as it lives. */
  function markForgiving(
    older: readonly OlderWorker[],
    now: readonly ProcessId[] = [],
  ): readonly OlderWorker[] {
    const known = [...now, ...running.forgiving(pair)];
    return older.map((id) => (contains(known, id) ? { ...id, forgiving: true } : id));
  }

  /** Whether the workers from before are known to run the files from before, which list each slot as the other's backup. */
  function isForgiving({ tree, found, hash }: Named, workers: readonly ProcessId[]): boolean {
    const { complete } = backupPairs(tree, found.references, addresses);
    const known = running.agreed();
    return complete && known?.hash === hash && sameProcesses(known.workers, workers);
  }

  function evidence(
    named: Named,
    files: readonly string[],
    read: Pick<Reading, 'hash' | 'at'>,
    { workers, older }: Generation,
    forgiving: readonly ProcessId[],
  ): SwitchEvidence {
    const left = markForgiving(older, forgiving);
    const proof = marked(running.prove(read, workers), usesIn(named));
    running.forgive(
      pair,
      left.filter((id) => id.forgiving === true).map(({ boot, pid, start }) => ({ boot, pid, start })),
    );
    return { files, proof, older: left };
  }

  /**
   * Undoes an exchange by the files alone: as they were where nobody has touched them since, else by the same
   * exchange applied to what stands there now. Gives back `failure`, or `stranded` when the spans no longer say
   * what we wrote.
   */
  async function takeBack(
    versions: readonly FileVersion[],
    to: Slot,
    failure: Failure,
    told?: Told,
  ): Promise<Result<never>> {
    const stranded = (cause = failure): Result<never> => {
      const detail = versions.map(({ path }) => path).join(', ');
      return fail({ reason: 'stranded', detail, cause });
    };
    // a disk that does not take it back is why a person has to look
    const ended = (back: Result<void>): Result<never> => (back.ok ? fail(failure) : stranded(back.failure));
    if (versions.every(({ path, after }) => holds(path, after)))
      return ended(replaceAll(reversed(versions), told));
    const now = await read();
    if (!now.ok || now.value.active !== to) return stranded();
    const again = versionsOf(exchangeEdits(now.value.found.references, addresses));
    return again.ok ? ended(replaceAll(again.value, told)) : stranded();
  }

  async function serving(
    intended: Parameters<ProxySwitch['serving']>[0],
  ): ReturnType<ProxySwitch['serving']> {
    const named = await read();
    if (!named.ok) return named;
    const follows = await running.follows(named.value, intended);
    if (follows === 'disk') return ok(named.value.active);
    return ok(follows === 'intent' ? (intended?.named ?? 'unclear') : 'unclear');
  }

  function wayIn(_left: Slot, older: readonly OlderWorker[]): Promise<Result<WayIn>> {
    const retiring = running.alive(older);
    return Promise.resolve(ok({ open: retiring.some(({ forgiving }) => forgiving !== true), retiring }));
  }

  async function names(slot: Slot): Promise<Result<boolean>> {
    // nobody has touched it since, nor put a file in: no need to read a tree of thousands of sites again
    if (written !== null && sameTimes(written.changed, changes(written.tree, 'changed')))
      return ok(written.to === slot);
    const named = await read();
    return named.ok ? ok(named.value.active === slot) : named;
  }

  async function known(last: LastProven | null): ReturnType<ProxySwitch['known']> {
    return last === null ? null : { slot: last.slot, proven: await running.stillRuns(last.proof) };
  }

  return {
    kind: 'rewrite',
    mayPoint,
    needsLock: () => true,
    survey,
    intent,
    point,
    serving,
    names,
    wayIn,
    known,
    ...running.shared,
  };
}
