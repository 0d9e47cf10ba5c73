/** A terminal as far as swap-pool's voice uses one: what is written to it can be read off its rows. */
import { Writable } from 'node:stream';

export class Screen extends Writable {
  readonly isTTY = true;
  readonly rows = 200;
  /** All that was written, escape sequences included. */
  raw = '';
  private readonly lines: string[][] = [[]];
  private row = 0;
  private column = 0;

  constructor(readonly columns = 100) {
    super({ decodeStrings: false });
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.raw += String(chunk);
    this.apply(String(chunk));
    done();
  }

  /** The rows as a person sees them. */
  text(): string {
    return this.lines
      .map((line) =>
        Array.from(line, (character: string | undefined) => character ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n')
      .trimEnd();
  }

  private apply(chunk: string): void {
    // eslint-disable-next-line no-control-regex
    for (const [part, parameter = '', act] of chunk.matchAll(/\u001b\[\??([0-9;]*)([A-Za-z])|[^]/gu)) {
      const n = Number(parameter) || 1;
      if (act === undefined) this.put(part);
      else if (act === 'G') this.column = n - 1;
      else if (act === 'A') this.row = Math.max(0, this.row - n);
      else if (act === 'F') [this.row, this.column] = [Math.max(0, this.row - n), 0];
      else if (act === 'K') this.line().length = Math.min(this.line().length, this.column);
      else if (act === 'J') {
        this.line().length = Math.min(this.line().length, this.column);
        this.lines.length = this.row + 1;
      } else if (!'mhl'.includes(act)) throw new Error(`the screen does not know ${JSON.stringify(part)}`);
    }
  }

  private put(character: string): void {
    if (character === '\n') [this.row, this.column] = [this.row + 1, 0];
    else if (character === '\r') this.column = 0;
    else {
      if (this.columns > 0 && this.column >= this.columns) [this.row, this.column] = [this.row + 1, 0];
      this.line()[this.column++] = character;
    }
    this.line();
  }

  private line(): string[] {
    while (this.lines.length <= this.row) this.lines.push([]);
    return this.lines[this.row] ?? [];
  }
}

/** A stream that is no terminal. */
export class Sink extends Writable {
  raw = '';

  constructor() {
    super({ decodeStrings: false });
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.raw += String(chunk);
    done();
  }
}

/** A stream whose reader went away: each write fails the way a closed pipe does. */
export class Broken extends Writable {
  override _write(_chunk: unknown, _encoding: string, done: (error: Error) => void): void {
    done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
  }
}
