/**
 * Signals as wishes. The first INT, TERM or HUP asks the command to stop where that is safe;
 * the second ends the process at once, and the journal tells `recover` the rest.
 */
import { closeSync, openSync } from 'node:fs';
import type { Interruption } from './deploy/deploy.js';
import type { StopSignal } from './event.js';

/**
 * Listens from now on. `leave` is called on the second signal.
 *
 * A HUP that comes because the terminal is gone is no wish, for nobody asked for anything;
 * one that somebody sends is.
 */
export function listenForSignals(
  leave: (signal: StopSignal) => void,
): Interruption & { readonly terminalLost: boolean } {
  const controller = new AbortController();
  const hadTerminal = hasTerminal();
  let requested: StopSignal | null = null;
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (signal === 'SIGHUP' && hadTerminal && !hasTerminal()) return;
      if (requested !== null) leave(signal);
      requested = signal;
      controller.abort();
    });
  }
  return {
    get requested() {
      return requested;
    },
    signal: controller.signal,
    get terminalLost() {
      return hadTerminal && !hasTerminal();
    },
  };
}

/** /dev/tty can be opened only while the process has a controlling terminal that is still there. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

/** node ends with SIGABRT instead of our exit code when it cannot give back a terminal that is gone. */
export function blankStandardStreams(): void {
  for (const fd of [0, 1, 2]) {
    try {
      closeSync(fd);
    } catch {
      // closed already
    }
    openSync('/dev/null', 'r+');
  }
}
