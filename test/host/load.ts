/** Load on a host's own loopback, sent by a process of this machine that has entered its network alone. */
import { spawn, type ChildProcess } from 'node:child_process';
import type { LoadClass, LoadOptions, LoadRecord } from '../../src/demo/load.js';
import { now, waitUntil, wallClock } from '../../src/system/clock.js';
import type { Machine } from './machine.js';

/** Holds the sender and its records, on the clock of now(). */
export class HostLoad {
  readonly records: LoadRecord[] = [];
  private readonly child: ChildProcess;
  private readonly end: Promise<number | null>;
  private waiting: Partial<Record<LoadClass, number>> = {};
  private rest = '';
  private said = '';
  private readonly origin = wallClock() - now();

  constructor(
    machine: Machine,
    sender: string,
    readonly options: LoadOptions,
  ) {
    const [file = '', ...argv] = machine.enter(
      ['setpriv', '--pdeathsig', 'KILL', process.execPath, sender, JSON.stringify(options)],
      ['--net'],
    );
    this.child = spawn(file, argv, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.hear(chunk.toString());
    });
    this.child.stderr?.on('data', (chunk: Buffer) => (this.said += chunk.toString()));
    // a sender that is gone says so by its status
    this.child.stdin?.on('error', () => undefined);
    this.end = new Promise((done) => {
      this.child.on('error', () => {
        done(null);
      });
      this.child.on('close', done);
    });
  }

  /** Requests of a class, or of all, that were sent and had no end yet, some ms ago. */
  underWay(kind?: LoadClass): number {
    if (kind !== undefined) return this.waiting[kind] ?? 0;
    return Object.values(this.waiting).reduce((sum, count) => sum + count, 0);
  }

  /** Waits until so many more requests have been answered. */
  async answered(more = 20): Promise<void> {
    const wanted = this.records.length + more;
    const seen = await waitUntil(() => (this.records.length >= wanted ? true : undefined), {
      deadline: 30_000,
    });
    if (seen.kind !== 'seen') throw new Error(`the load stands still: ${this.said}`);
  }

  /** Sends no more, waits for every request under way, and gives all records. May be called twice. */
  async stop(): Promise<readonly LoadRecord[]> {
    this.child.stdin?.end();
    const status = await this.end;
    if (status !== 0) throw new Error(`the load sender failed: ${this.said}`);
    return this.records;
  }

  abandon(): void {
    this.child.kill('SIGKILL');
  }

  private hear(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) {
      const { record, underWay } = JSON.parse(line) as {
        record?: LoadRecord;
        underWay?: Record<LoadClass, number>;
      };
      if (record !== undefined) this.records.push({ ...record, start: record.start - this.origin });
      if (underWay !== undefined) this.waiting = underWay;
    }
  }
}
