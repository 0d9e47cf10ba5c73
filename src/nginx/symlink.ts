/**
 * The switch that renames a link which nginx's configuration names. nginx follows the link at every connect, so
 * the rename itself moves the next request; only cached connections (`fastcgi_keep_conn`) need a reload to let go.
 */
import { dirname, relative, resolve } from 'node:path';
import { SLOTS, fail, ok, otherSlot } from '../event.js';
import type { Failure, FileChange, ProcessId, Result, Slot } from '../event.js';
import type { LastProven, ProxyProof, ProxySwitch, SwitchEvidence, TestWhen, WayIn } from '../drivers.js';
import {
  exists,
  facts,
  readLink,
  removeFile,
  removeTemporaries,
  replaceLink,
  writable,
} from '../system/files.js';
import { canonicalPath } from '../system/sockets.js';
import { otherPoolsNamed } from './bystanders.js';
import { resolverFor, testCommand } from './config-tree.js';
import { diff } from './edit.js';
import type { Told } from './exchange-files.js';
import { findLink } from './references.js';
import { createRunning } from './running.js';
import type { ProxyOptions, Reading } from './running.js';
import { keepConn } from './settings.js';
import { onTheWay, usesOf } from './uses.js';
import { sameProcesses } from './workers.js';

export function createSymlink(options: ProxyOptions & { readonly link: string }): ProxySwitch {
  const { addresses, link, others } = options;
  const running = createRunning(options);
  /** Whether any location keeps connections to the pools; null: not read yet. */
  let keeps: boolean | null = null;
  /** Whether nothing used the link in the files of this hash. */
  let seenUnused: { readonly hash: string; readonly unused: boolean } | null = null;

  async function survey(
    last: ProxyProof | null,
    test: TestWhen = 'always',
  ): ReturnType<ProxySwitch['survey']> {
    const read = await running.read();
    if (!read.ok) return read;
    const { nginx, tree } = read.value;
    const resolver = await resolverFor(tree, addresses, others);
    const named = findLink(tree, link, { addresses, resolve: resolver });
    if (!named.ok) return named;
    const active = linked();
    if (!active.ok) return active;
    const { variables } = named.value;
    // without a reload nginx reads nothing anew: what it runs was tested when it was proven
    keeps = keepConn(read.value.tree);
    const observed = await running.observe(read.value, last, keeps ? test : 'unless-proven');
    if (!observed.ok) return observed;
    const { unread, doubtful, ...seen } = observed.value;
    const { pid } = seen.status;
    // who runs older files may not know the link: a deploy reloads it first, and one that brings a site up with its switch
    const signalled = pid !== null && (keeps || seen.differing.length > 0);
    const uses = usesOf(tree, named.value.namings);
    const surely = onTheWay(uses, unread);
    seenUnused = { hash: read.value.hash, unused: uses.unused.length > 0 };
    return ok({
      ...seen,
      proof: seen.proof === null ? null : await marked(seen.proof, read.value),
      unread:
        surely.length > 0
          ? { files: surely, surely: true }
          : { files: onTheWay(uses, doubtful), surely: false },
      unused: uses.unused,
      active: active.value,
      otherPools: otherPoolsNamed(tree, resolver, others),
      // a place that named the slot itself would have been refused
      leftBehind: [],
      warnings: variables.length > 0 ? [{ reason: 'variable-reference', places: variables }] : [],
      changes: active.value === null ? [] : changesTo(otherSlot(active.value)),
      commands: [testCommand(nginx, '-T')],
      signals: signalled ? [{ signal: 'SIGHUP', to: `nginx ${String(pid)}` }] : [],
    });
  }

  /**
   * The slot that the link names, whether or not its socket exists. Null: there is no link, or it leads to
   * nothing that exists. Fails with `link-wrong` for everything else that stands there.
   */
  function linked(): Result<Slot | null> {
    const wrong = (detail: string): Result<never> => fail({ reason: 'link-wrong', link, detail });
    const found = facts(link);
    if (!found.ok) return found.code === 'ENOENT' ? ok(null) : wrong(found.code);
    if (found.value.kind !== 'link') return wrong(`a ${found.value.kind}, not a link`);
    const target = readLink(link);
    if (!target.ok) return wrong(target.code);
    const path = canonicalPath(resolve(dirname(canonicalPath(link)), target.value));
    const slot = SLOTS.find((each) => socketOf(each) === path);
    if (slot !== undefined) return ok(slot);
    return exists(link) ? wrong(`leads to ${target.value}`) : ok(null);
  }

  /** Where the link leads now, and where it would. */
  function changesTo(slot: Slot): readonly FileChange[] {
    const old = readLink(link);
    const path = socketOf(slot);
    if (!old.ok || path === null) return [];
    const text = (target: string): Buffer => Buffer.from(`${target}\n`);
    return [{ file: link, lines: [], diff: diff(text(old.value), text(targetOf(path, old.value)), link) }];
  }

  /** How the link is to name a socket: relative or absolute, as it was. */
  const targetOf = (path: string, old: string | null): string =>
    old === null || old.startsWith('/') ? path : relative(dirname(canonicalPath(link)), path);

  const socketOf = (slot: Slot): string | null => {
    const address = addresses[slot];
    return address.kind === 'unix' ? address.path : null;
  };

  // the link itself is replaced, and not what it leads to
  const mayPoint: ProxySwitch['mayPoint'] = () => {
    const may = writable(dirname(link));
    return may.ok ? ok(undefined) : fail({ reason: 'config-unwritable', file: link, code: may.code });
  };

  async function intent(): ReturnType<ProxySwitch['intent']> {
    const read = await running.read();
    if (!read.ok) return read;
    const active = linked();
    if (!active.ok) return active;
    const { nginx, hash } = read.value;
    const workers = nginx.master === null ? [] : running.workers(nginx.master).serving;
    return ok({ workers, hash, named: active.value });
  }

  /** A proof says, too, that nothing used the link: then nobody is served by what runs. */
  async function marked(proof: ProxyProof, { tree, hash }: Reading): Promise<ProxyProof> {
    if (seenUnused?.hash !== hash) {
      const resolve = await resolverFor(tree, addresses, others);
      const named = findLink(tree, link, { addresses, resolve });
      seenUnused = { hash, unused: named.ok && usesOf(tree, named.value.namings).unused.length > 0 };
    }
    return seenUnused.unused ? { ...proof, unused: true } : proof;
  }

  async function point(to: Slot, behind = false, told?: Told): Promise<Result<SwitchEvidence>> {
    const before = linked();
    if (!before.ok) return before;
    const read = await running.read();
    if (!read.ok) return read;
    const { nginx, tree } = read.value;
    keeps = keepConn(tree);
    const reloads = nginx.master !== null && (keeps || behind);
    if (reloads) {
      const checked = await ready(read.value);
      if (!checked.ok) return checked;
    }
    const undo = move(to, told);
    if (!undo.ok) return undo;
    const after = linked();
    if (!after.ok || after.value !== to) {
      return fail({ reason: 'stranded', detail: link, cause: after.ok ? null : after.failure });
    }
    if (nginx.master === null || !reloads) return ok(await withoutReload(read.value, nginx.master));
    const generation = await running.reload(read.value, nginx.master);
    if (generation.ok) {
      const proof = running.prove(read.value, generation.value.workers);
      return ok({ files: [link], proof: await marked(proof, read.value), older: generation.value.older });
    }
    return takeBack(undo.value, generation.failure);
  }

  async function ready(reading: Reading): Promise<Result<void>> {
    const upgrade = await running.refuseUpgrade(reading);
    return upgrade.ok ? running.test(reading) : upgrade;
  }

  /** Renames a link to `to` over what is there; gives back how to undo it. Fails only where it leads where it led. */
  function move(to: Slot, told?: Told): Result<() => Result<void>> {
    removeTemporaries(link);
    const old = readLink(link);
    const path = socketOf(to);
    if (path === null) return fail({ reason: 'bug', detail: `${to} has no socket's file` });
    const lead = (target: string): Result<void> => {
      const done = replaceLink(link, target);
      if (!done.ok) return fail({ reason: 'config-unwritable', file: link, code: done.code });
      const { unsynced } = done.value;
      // requests go there since: to lead it back would be one more switch, on a disk that fails
      if (unsynced !== null) told?.({ reason: 'not-durable', path: link, code: unsynced });
      return ok(undefined);
    };
    const led = lead(targetOf(path, old.ok ? old.value : null));
    if (!led.ok) return led;
    return ok(() => {
      if (old.ok) return lead(old.value);
      const removed = removeFile(link);
      return removed.ok ? removed : fail({ reason: 'config-unwritable', file: link, code: removed.code });
    });
  }

  function takeBack(undo: () => Result<void>, failure: Failure): Result<never> {
    const { reason } = failure;
    if (reason === 'reload-swallowed' || reason === 'nginx-stopping' || reason === 'nginx-gone') {
      const undone = undo();
      return fail(undone.ok ? failure : { reason: 'stranded', detail: link, cause: undone.failure });
    }
    return fail({ reason: 'stranded', detail: 'what nginx runs is unknown', cause: failure });
  }

  /**
   * The tree did not change and nobody was signalled, so what was proven before holds as long as the workers are
   * the same; else nothing is proven, and no hash is "".
   */
  async function withoutReload(reading: Reading, master: ProcessId | null): Promise<SwitchEvidence> {
    const agreed = running.agreed();
    const same =
      master !== null &&
      agreed?.hash === reading.hash &&
      sameProcesses(agreed.workers, running.workers(master).serving);
    return {
      files: [link],
      proof: same ? await marked(agreed, reading) : { hash: '', workers: [] },
      older: [],
    };
  }

  async function serving(
    intended: Parameters<ProxySwitch['serving']>[0],
  ): ReturnType<ProxySwitch['serving']> {
    const active = linked();
    if (!active.ok) return active;
    if (active.value === null) return ok('unclear');
    const read = await running.read();
    if (!read.ok) return read;
    // workers that were there before the link moved may hold connections to either slot
    if (!keepConn(read.value.tree)) return ok(active.value);
    const follows = await running.follows(read.value, intended);
    const moved = facts(link);
    const clear = follows === 'disk' && moved.ok && running.bornAfter(read.value, moved.value.changed);
    return ok(clear ? active.value : 'unclear');
  }

  async function wayIn(_left: Slot, older: readonly ProcessId[]): Promise<Result<WayIn>> {
    const retiring = running.alive(older);
    if (retiring.length === 0) return ok({ open: false, retiring });
    if (keeps === null) {
      const read = await running.read();
      keeps = read.ok ? keepConn(read.value.tree) : null;
    }
    return ok({ open: keeps ?? true, retiring });
  }

  function names(slot: Slot): Promise<Result<boolean>> {
    const named = linked();
    return Promise.resolve(named.ok ? ok(named.value === slot) : named);
  }

  async function known(last: LastProven | null): ReturnType<ProxySwitch['known']> {
    const named = linked();
    if (!named.ok || named.value === null) return null;
    return { slot: named.value, proven: last !== null && (await running.stillRuns(last.proof)) };
  }

  return {
    kind: 'symlink',
    mayPoint,
    needsLock: (behind = false) => behind || keeps !== false,
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
