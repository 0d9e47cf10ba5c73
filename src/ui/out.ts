/**
 * A stream that may go away. A closed pipe (EPIPE), a lost terminal (EIO) or a full
 * disk behind a redirection is never a reason to stop a deploy: node would end the
 * process at the first unheard 'error' event.
 */
export interface Out {
  readonly write: (text: string) => void;
  /** The stream has failed; nothing reaches it any more. */
  readonly gone: () => boolean;
}

/** Makes a stream safe to write to, for the rest of the process's life. */
export function guard(stream: NodeJS.WritableStream): Out {
  const state = guarded.get(stream) ?? watch(stream);
  return {
    gone: () => state.gone,
    write: (text) => {
      if (state.gone) return;
      try {
        stream.write(text);
      } catch {
        state.gone = true;
      }
    },
  };
}

// ---------------------------------------------------------------- private

interface State {
  gone: boolean;
}

const guarded = new WeakMap<NodeJS.WritableStream, State>();

/** The listener stays for good: a failed last write is told only after our own last line ran. */
function watch(stream: NodeJS.WritableStream): State {
  const state = { gone: false };
  guarded.set(stream, state);
  stream.on('error', () => {
    state.gone = true;
  });
  return state;
}
