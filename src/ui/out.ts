/**
 * A stream that may go away. A closed pipe (EPIPE), a lost terminal (EIO) or a full
 * disk behind a redirection is never a reason to stop a deploy: node would end the
 * process at the first unheard 'error' event.
 */
export interface Out {
  readonly write: (text: string) => void;
  /** The stream has failed; nothing reaches it any more. */
  readonly gone: () => boolean;
  /**
   * Waits until what was written has come through. Why not all of it did (ENOSPC), null when it has, or when those who
   * read it went away: a reader that has seen enough (EPIPE), a terminal (EIO).
   */
  readonly lost: () => Promise<string | null>;
}

/** Makes a stream safe to write to, for the rest of the process's life. */
export function guard(stream: NodeJS.WritableStream): Out {
  const state = guarded.get(stream) ?? watch(stream);
  return {
    gone: () => state.gone,
    write: (text) => {
      if (state.gone) return;
      try {
        stream.write(text, (error) => {
          if (error) note(state, error);
        });
      } catch (error) {
        note(state, error);
      }
    },
    lost: async () => {
      if (!state.gone) await drained(stream);
      return state.code === 'EPIPE' || state.code === 'EIO' ? null : state.code;
    },
  };
}

// ---------------------------------------------------------------- private

interface State {
  gone: boolean;
  /** Of the first write that failed. */
  code: string | null;
}

const guarded = new WeakMap<NodeJS.WritableStream, State>();

/** The listener stays for good: a failed last write is told only after our own last line ran. */
function watch(stream: NodeJS.WritableStream): State {
  const state: State = { gone: false, code: null };
  guarded.set(stream, state);
  stream.on('error', (error) => {
    note(state, error);
  });
  return state;
}

function note(state: State, error: unknown): void {
  state.gone = true;
  state.code ??= error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

/** A stream calls back in the order of its writes. */
const drained = (stream: NodeJS.WritableStream): Promise<void> =>
  new Promise((resolve) => {
    try {
      stream.write('', () => {
        resolve();
      });
    } catch {
      resolve();
    }
  });
