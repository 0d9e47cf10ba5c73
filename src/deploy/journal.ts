/**
 * The write-ahead journal of one app: a folder with one append-only file a deploy, newline
 * delimited JSON, every record fsynced before the act it announces.
 *
 * A torn last line is the record that was being written when the process died: its act had
 * not begun, so it is as if it were not there.
 */
import { join } from 'node:path';
import { fail, ok } from '../event.js';
import type { PoolLife } from '../drivers.js';
import type { Failure, ProcessId, Result, Slot } from '../event.js';
import { timestamp } from '../system/clock.js';
import {
  createFile,
  DurableLog,
  list,
  makeFolder,
  readOwn,
  realPath,
  removeFile,
  rename,
  sizeOf,
} from '../system/files.js';
import { replay } from './state.js';
import type { DeployState, Entry, Opened } from './state.js';

/** Bytes reserved at least for one deploy's journal: several times what one of small pools writes. */
const ROOM = 64 * 1024;
const KEPT = 200;

/** A deploy's journal, held open by the process that runs it. */
export class Journal {
  private constructor(
    private readonly log: DurableLog,
    readonly path: string,
    private readonly entries: Entry[],
  ) {}

  /** Starts the journal of a new deploy. Its whole room is on the disk when this returns, else `state-unwritable`. */
  static begin(path: string, opened: Opened): Result<Journal> {
    // the lives of large pools take most of it: the one that leaves, and one like it that arrives
    const log = DurableLog.create(path, ROOM + 4 * Buffer.byteLength(JSON.stringify(opened)));
    if (!log.ok) return fail({ reason: 'state-unwritable', path, code: log.code });
    const journal = new Journal(log.value, path, []);
    const written = journal.write(opened);
    if (written.ok) return ok(journal);
    log.value.abandon();
    removeFile(path);
    return written;
  }

  /** Takes up the journal of a deploy that broke off. */
  static resume(path: string): Result<Journal> {
    const records = readRecords(path);
    if (!records.ok) return records;
    const log = DurableLog.open(path, records.value.end);
    if (!log.ok) return fail({ reason: 'state-unwritable', path, code: log.code });
    return ok(new Journal(log.value, path, [...records.value.entries]));
  }

  /** Appends one record; it is on the disk when this returns, else `state-unwritable`. */
  write(entry: Entry): Result<void> {
    const unwritable = (code: string): Result<never> =>
      fail({ reason: 'state-unwritable', path: this.path, code });
    const written = this.log.append(JSON.stringify(entry));
    if (!written.ok) return unwritable(written.code);
    // durable or not, it stands in the file, and is what the next one who reads it goes by
    this.entries.push(entry);
    if (entry.type === 'closed') this.log.close();
    return written.value.unsynced === null ? ok(undefined) : unwritable(written.value.unsynced);
  }

  /** The state after the last record. */
  state(): DeployState {
    const state = replay(this.entries);
    if (state === null) throw new Error(`${this.path}: a journal without its first record`);
    return state;
  }

  /** Stops writing; a journal that is not closed is left open, for `recover`. */
  leave(): void {
    if (this.state().phase !== 'closed') this.log.abandon();
  }
}

/** All journals of one app. */
export class JournalStore {
  private readonly deploys: string;

  constructor(private readonly folder: string) {
    this.deploys = join(folder, 'deploys');
  }

  /**
   * Makes the folder (0700) and checks that it belongs to this configuration file: two apps
   * of one name in two config folders must not read each other's past.
   */
  claim(config: string): Result<void> {
    for (const folder of [this.folder, this.deploys]) {
      const made = makeFolder(folder, 0o700);
      if (!made.ok) return fail({ reason: 'state-unwritable', path: folder, code: made.code });
    }
    const real = realPath(config);
    const mine = real.ok ? real.value : config;
    const path = join(this.folder, 'owner');
    const owner = readOwn(path);
    if (owner.ok && owner.value.trim() !== '') return this.check(owner.value.trim(), mine);
    // a power cut, or somebody else's very first deploy, leaves it empty
    if (owner.ok) removeFile(path);
    else if (owner.code !== 'ENOENT') return fail({ reason: 'state-unwritable', path, code: owner.code });
    const written = createFile(path, `${mine}\n`, 0o600);
    return written.ok ? ok(undefined) : fail({ reason: 'state-unwritable', path, code: written.code });
  }

  /** Like claim(), but makes nothing: for commands that only look. */
  inspect(config: string): Result<void> {
    const owner = readOwn(join(this.folder, 'owner'));
    const real = realPath(config);
    if (!owner.ok || owner.value.trim() === '') return ok(undefined);
    return this.check(owner.value.trim(), real.ok ? real.value : config);
  }

  /** Whether the caller may read what is kept: to somebody who may not, no deploy would ever have been. */
  readable(): Result<void> {
    const names = list(this.deploys);
    if (names.ok || names.code === 'ENOENT') return ok(undefined);
    return fail({ reason: 'journal-unreadable', path: this.deploys, detail: names.code });
  }

  /** Deploy ids, oldest first. They sort by their number, not by a clock that may be set back. */
  ids(): string[] {
    const names = list(this.deploys);
    if (!names.ok) return [];
    return names.value
      .filter((name) => /^\d{6,}-.*\.ndjson$/.test(name))
      .map((name) => name.slice(0, -'.ndjson'.length))
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
  }

  read(id: string): Result<readonly Entry[]> {
    return readEntries(this.pathOf(id));
  }

  /** How a deploy stands now that has written its first record. */
  state(id: string): Result<DeployState> {
    const entries = this.read(id);
    if (!entries.ok) return entries;
    const state = replay(entries.value);
    if (state !== null) return ok(state);
    return fail({ reason: 'journal-unreadable', path: this.pathOf(id), detail: 'it has no first record' });
  }

  /** The states of all deploys, newest first, read one by one as they are asked for. */
  *newestFirst(): Generator<Result<DeployState>> {
    for (const path of this.newestPaths()) {
      const entries = readEntries(path);
      if (!entries.ok) {
        yield entries;
        continue;
      }
      const state = replay(entries.value);
      if (state !== null) yield ok(state);
    }
  }

  /**
   * The deploys that nobody finished, newest first. `locked`: the caller holds the app's lock, so that a journal
   * without its first record is one that died, and is removed; else it may be one that begins at this moment.
   */
  open({ locked = false } = {}): Result<readonly DeployState[]> {
    const found: DeployState[] = [];
    for (const path of this.newestPaths()) {
      if (!mayBeOpen(path)) continue;
      const entries = readEntries(path);
      if (!entries.ok) return entries;
      const state = replay(entries.value);
      // not even the first record got through: nothing had been touched
      if (state === null) {
        if (locked) removeFile(path);
      } else if (state.phase !== 'closed') found.push(state);
    }
    return ok(found);
  }

  /** As things stand, for who only looks: of each journal one reading at most, and of two hundred few are read at all. */
  recent(): Recent {
    const past: DeployState[] = [];
    const damaged: Damaged[] = [];
    let open: DeployState | null = null;
    for (const path of this.newestPaths()) {
      const isPast = past.at(-1)?.phase === 'closed';
      const unfinished = mayBeOpen(path);
      if (isPast && !unfinished) continue;
      const entries = readEntries(path);
      const state = entries.ok ? replay(entries.value) : null;
      if (state !== null && !isPast) past.push(state);
      if (state !== null && state.phase !== 'closed') open ??= state;
      if (!entries.ok && unfinished && isDamaged(entries.failure)) damaged.unshift(entries.failure);
    }
    return { past, open, damaged };
  }

  /** Keeps a journal under a name that is no journal's. Gives back that name. */
  setAside(path: string): Result<string> {
    const aside = `${path}.damaged`;
    const moved = rename(path, aside);
    return moved.ok ? ok(aside) : fail({ reason: 'state-unwritable', path, code: moved.code });
  }

  begin(opened: Opened): Result<Journal> {
    return Journal.begin(this.pathOf(opened.deploy), opened);
  }

  resume(id: string): Result<Journal> {
    return Journal.resume(this.pathOf(id));
  }

  /** The fingerprint of the deploy that started this very pool; null when none of them is known to have. */
  startedWith({ boot, pid, start }: ProcessId): string | null {
    for (const path of this.newestPaths()) {
      const entries = readEntries(path);
      if (!entries.ok) continue;
      const started = entries.value.some((entry) => {
        const master = entry.type === 'evidence' && entry.step === 'start' ? entry.life?.master : null;
        return master?.pid === pid && master.start === start && master.boot === boot;
      });
      if (started) return replay(entries.value)?.opened.fingerprint ?? null;
    }
    return null;
  }

  /** Who lived in a slot when a deploy last wrote that down: its master, or all of a pool that has none. */
  lastOf(slot: Slot): readonly ProcessId[] {
    for (const path of this.newestPaths()) {
      const entries = readEntries(path);
      const lives = entries.ok ? livesOf(slot, entries.value) : [];
      if (lives.length > 0) return lives.flatMap(({ master, workers }) => master ?? workers);
    }
    return [];
  }

  /** The next deploy's id: a running number, then when, for people. */
  nextId(): string {
    const last = Number.parseInt(this.ids().at(-1) ?? '0', 10);
    const when = timestamp().replace(/[-:]|\.\d+/g, '');
    return `${String(last + 1).padStart(6, '0')}-${when}`;
  }

  /** Forgets all but the last 200 finished deploys. */
  prune(): void {
    const ids = this.ids();
    for (const id of ids.slice(0, Math.max(0, ids.length - KEPT))) {
      const entries = this.read(id);
      const state = entries.ok ? replay(entries.value) : null;
      if (state?.phase === 'closed') removeFile(this.pathOf(id));
    }
  }

  private newestPaths(): string[] {
    return this.ids()
      .reverse()
      .map((id) => this.pathOf(id));
  }

  private pathOf(id: string): string {
    // join() is most of what it takes to look at two hundred of them
    return `${this.deploys}/${id}.ndjson`;
  }

  private check(owner: string, mine: string): Result<void> {
    return owner === mine
      ? ok(undefined)
      : fail({ reason: 'state-of-another-config', folder: this.folder, owner, config: mine });
  }
}

export type Damaged = Extract<Failure, { reason: 'journal-unreadable' }>;

const isDamaged = (failure: Failure): failure is Damaged =>
  failure.reason === 'journal-unreadable' && failure.damaged === true;

export interface Recent {
  /** Newest first, as far as they can be read, the last finished deploy at the end: what is older says nothing of now. */
  readonly past: readonly DeployState[];
  /** The newest deploy that nobody finished, however old. */
  readonly open: DeployState | null;
  /** Journals that may be of unfinished deploys, and can be read no more, oldest first. */
  readonly damaged: readonly Damaged[];
}

/** The room of a journal is only given back when it is closed. */
function mayBeOpen(path: string): boolean {
  const size = sizeOf(path);
  return !size.ok || size.value === 0 || size.value >= ROOM;
}

function readEntries(path: string): Result<readonly Entry[]> {
  const records = readRecords(path);
  return records.ok ? ok(records.value.entries) : records;
}

/** The lives of a slot that a deploy's records name. */
function livesOf(slot: Slot, entries: readonly Entry[]): PoolLife[] {
  const [opened] = entries;
  if (opened?.type !== 'opened') return [];
  const { from, to, leaving, arriving } = opened;
  if (from === slot) return leaving === null ? [] : [leaving];
  if (to !== slot) return [];
  const found = entries.flatMap((entry) =>
    entry.type === 'adopted' || entry.type === 'evidence' ? (entry.life ?? []) : [],
  );
  return arriving === null ? found : [arriving, ...found];
}

/** The whole records of a file, and the byte behind the last of them. */
function readRecords(path: string): Result<{ readonly entries: readonly Entry[]; readonly end: number }> {
  const text = readOwn(path);
  if (!text.ok) return fail({ reason: 'journal-unreadable', path, detail: text.code });
  const lines = text.value.replace(/\n+$/, '').split('\n');
  const entries: Entry[] = [];
  let end = 0;
  for (const [index, line] of lines.entries()) {
    const entry = parseRecord(line);
    // torn: only the last record before a death can be
    if (entry === null && index === lines.length - 1) break;
    if (entry === null) {
      return fail({
        reason: 'journal-unreadable',
        path,
        detail: `line ${String(index + 1)} is not a record`,
        damaged: true,
      });
    }
    entries.push(entry);
    end += Buffer.byteLength(line) + 1;
  }
  return ok({ entries, end });
}

function parseRecord(line: string): Entry | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'type' in value ? (value as Entry) : null;
  } catch {
    return null;
  }
}
