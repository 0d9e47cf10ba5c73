/**
 * Load on a contender, sent by a process of its own (sender.ts), and its records.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { LoadRecord } from '../src/demo/load.js';
import { now, wallClock } from '../src/system/clock.js';
import { unpacked, type SenderEnd, type SenderOptions } from './record.js';

/** Holds the sender. */
export class Recorder {
  private constructor(
    private readonly child: ChildProcess,
    private readonly lines: AsyncIterator<string>,
    private readonly input: Interface,
    private readonly options: SenderOptions,
  ) {}

  /** Starts to send. `program` is the bundled sender. */
  static async start(program: string, options: SenderOptions): Promise<Recorder> {
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const input = createInterface({ input: child.stdout });
    const recorder = new Recorder(child, input[Symbol.asyncIterator](), input, options);
    await recorder.line();
    return recorder;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  burst(burst: { readonly requests: number; readonly takes: number }): void {
    this.child.stdin?.write(`${JSON.stringify(burst)}\n`);
  }

  /** Sends no more, and gives every request, on the clock of now(). */
  async stop(): Promise<{ readonly records: readonly LoadRecord[]; readonly end: SenderEnd }> {
    this.child.stdin?.end();
    const end = JSON.parse(await this.line()) as SenderEnd;
    const origin = wallClock() - now();
    const records: LoadRecord[] = [];
    for await (const line of createInterface({ input: createReadStream(this.options.file) }))
      records.push(unpacked(line, origin));
    if (records.length !== end.records) throw new Error('records are missing');
    return { records, end };
  }

  /** Ends the sender at once. */
  abandon(): void {
    this.input.close();
    this.child.kill('SIGKILL');
  }

  private async line(): Promise<string> {
    const line = await this.lines.next();
    if (line.done === true) throw new Error('the load sender has ended early');
    return line.value;
  }
}
