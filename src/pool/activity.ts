/**
 * What a pool tells of the requests it got: its own full status page where it has one, and how
 * often the kernel gave its workers the CPU.
 */
import type { ProcessId } from '../event.js';
import type { PoolActivity, PoolLife } from '../drivers.js';
import { pageParams, request } from '../fastcgi/client.js';
import { readStatus, threads } from '../system/proc.js';
import type { Procfs } from '../system/proc.js';
import type { Staff } from './life.js';
import { spell } from './slots.js';
import type { PoolSlot } from './slots.js';

/** What FPM's full status page says, as far as it is of use. */
export interface FullStatus {
  readonly accepted: number | null;
  readonly uris: readonly string[];
}

/** How long a status page may take, ms. It is made by one worker, without PHP. */
const STATUS_TIMEOUT = 1000;
/** A worker takes about 400 bytes of it. */
const STATUS_BYTES = 16 * 1024 * 1024;

/**
 * Counts for one life after another, so that every number only grows: our own questions are
 * taken off, and a worker that has gone keeps its share.
 */
export class ActivityMeter {
  private life = '';
  /** Our own questions that FPM counts as accepted. */
  private asked = 0;
  private readonly switches = new Map<string, { readonly first: number; last: number }>();
  private looks = 0;

  constructor(
    private readonly fs: Procfs,
    private readonly slot: PoolSlot,
  ) {}

  /** `staff`: the workers of the life as they are now; null when they cannot be observed. */
  async read(life: PoolLife, staff: Staff | null): Promise<PoolActivity> {
    this.begin(life);
    const switches = staff === null ? null : this.countSwitches(staff.workers);
    const status = await this.ask(staff);
    const rest = { switches, idle: staff?.idle ?? 0 };
    if (status === 'full') return { accepted: null, full: true, uris: [], ...rest };
    const accepted = status?.accepted ?? null;
    return {
      accepted: accepted === null ? null : accepted - this.asked,
      uris: status?.uris ?? [],
      ...rest,
    };
  }

  private begin({ master, sockets = [] }: PoolLife): void {
    const life = master === null ? sockets.join() : `${String(master.pid)}:${String(master.start)}`;
    if (life === this.life) return;
    this.life = life;
    this.asked = 0;
    this.looks = 0;
    this.switches.clear();
  }

  /**
   * pm.status_listen is answered by workers of its own, and counts nothing. On the main socket a
   * question takes a worker, is counted, and waits behind all others when none is free; giving up
   * then leaves a connection in the backlog. So there it is only asked when one is free.
   */
  private async ask(staff: Staff | null): Promise<FullStatus | 'full' | null> {
    if (this.slot.kind !== 'php-fpm' || this.slot.statusPath === null) return null;
    const { statusAddress, statusPath, address, pm, maxChildren } = this.slot;
    const own = statusAddress === null;
    if (own) {
      if (staff === null) return null;
      const free = staff.idle > 0 || (pm === 'ondemand' && staff.workers.length < maxChildren);
      if (!free) return 'full';
      this.asked += 1;
    }
    const reply = await request({
      address: spell(statusAddress ?? address),
      params: pageParams(statusPath, 'full&json'),
      timeoutMs: STATUS_TIMEOUT,
      maxBytes: STATUS_BYTES,
    });
    if (!reply.ok || reply.value.status !== 200) return null;
    const status = parseFullStatus(Buffer.from(reply.value.body).toString('utf8'));
    if (status === null) return null;
    const isOurs = (uri: string): boolean => own && uri.split('?', 1)[0] === statusPath;
    // FPM writes "-" for a worker that had no request yet
    return { ...status, uris: status.uris.filter((uri) => uri !== '-' && !isOurs(uri)) };
  }

  /**
   * An idle worker is blocked in accept() and its counts stand still. A worker that is new since the
   * first look counts from when it was first seen: `dynamic` forks for want of idle ones also while old
   * requests go on. `ondemand` forks for a connection alone: there its birth is a request.
   */
  private countSwitches(workers: readonly ProcessId[]): number {
    const isFirst = this.looks === 0;
    this.looks += 1;
    const { slot } = this;
    const forksForRequests = slot.kind === 'php-fpm' && slot.pm === 'ondemand';
    for (const { pid, start } of workers) {
      const count = this.switchesOf(pid);
      if (count === undefined || Number.isNaN(count)) continue;
      const key = `${String(pid)}:${String(start)}`;
      const known = this.switches.get(key);
      if (known !== undefined) known.last = count;
      else {
        const first = !isFirst && forksForRequests ? 0 : count;
        this.switches.set(key, { first, last: count });
      }
    }
    let sum = 0;
    for (const { first, last } of this.switches.values()) sum += last - first;
    return sum;
  }

  /** FPM's workers have one thread; of others all count. */
  private switchesOf(pid: number): number | undefined {
    const { fs } = this;
    if (this.slot.kind === 'php-fpm') return readStatus(fs, pid)?.contextSwitches;
    const counts = threads(fs, pid).flatMap((thread) => readStatus(fs, pid, thread)?.contextSwitches ?? []);
    return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
  }
}

/** Reads `?full&json`; null when it is no such thing. FPM before 8.1 does not escape what it quotes. PURE. */
export function parseFullStatus(text: string): FullStatus | null {
  let page: unknown;
  try {
    page = JSON.parse(text);
  } catch {
    const accepted = /"accepted conn":(\d+)/.exec(text)?.[1];
    if (accepted === undefined) return null;
    const uris = [...text.matchAll(/"request uri":"(.*?)","content length"/g)].map(([, uri = '']) => uri);
    return { accepted: Number(accepted), uris };
  }
  if (typeof page !== 'object' || page === null) return null;
  const fields = page as Record<string, unknown>;
  const accepted = fields['accepted conn'];
  const processes = Array.isArray(fields['processes']) ? (fields['processes'] as unknown[]) : [];
  return {
    accepted: typeof accepted === 'number' ? accepted : null,
    uris: processes.flatMap((each) => {
      const uri = (each as Record<string, unknown> | null)?.['request uri'];
      return typeof uri === 'string' && uri !== '' ? uri : [];
    }),
  };
}
