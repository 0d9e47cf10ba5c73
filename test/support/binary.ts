/** An nginx binary of a test's own, in a folder of its own, and what may be put in its place. */
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../src/demo/machine.js';
import { findPrograms } from '../../src/demo/programs.js';
import { executable, pids, procfs } from '../../src/system/proc.js';
import { withRig } from './rig.js';
import type { Rig, RigOptions } from './rig.js';

/** Holds the path that an nginx was started from. */
export class Binary {
  private constructor(
    private readonly folder: string,
    /** What replace() may run: another file than the one that the rig's nginx is, and nobody else's. */
    readonly real: string,
  ) {}

  static make(): Binary {
    const programs = findPrograms();
    if (!programs.ok) throw new Error('no nginx');
    const folder = mkdtempSync(join(temporaryFolder(false), 'nginx-binary-'));
    // a copy: endOthers() must never meet an nginx of somebody else's, who runs the machine's own
    const binary = new Binary(folder, join(folder, 'nginx-real'));
    copyFileSync(programs.value.nginx, binary.real);
    binary.renew();
    return binary;
  }

  get path(): string {
    return join(this.folder, 'nginx');
  }

  /** A new one in place of the old, as a package's upgrade puts it there: another file, renamed over it. */
  renew(): void {
    copyFileSync(this.real, `${this.path}.next`);
    renameSync(`${this.path}.next`, this.path);
  }

  /** The old one is moved out of the way first, as nginx's own manual has it. */
  renewBeside(): void {
    renameSync(this.path, `${this.path}.old`);
    this.renew();
  }

  /** A program that passes every question on to the real one, and as a server does what `lines` say. */
  replace(lines: string): void {
    this.script(`case " $* " in *" -t "*|*" -T "*|*" -V "*) exec ${this.real} "$@" ;; esac\n${lines}`);
  }

  script(lines: string): void {
    writeFileSync(`${this.path}.next`, `#!/bin/sh\n${lines}\n`);
    chmodSync(`${this.path}.next`, 0o755);
    renameSync(`${this.path}.next`, this.path);
  }

  /** Ends what runs the real one: a rig ends its own nginx alone. */
  endOthers(): void {
    const fs = procfs();
    for (const pid of pids(fs)) if (executable(fs, pid) === this.real) process.kill(pid, 'SIGKILL');
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** withRig(), with an nginx whose binary can be exchanged. */
export async function withBinary(
  options: RigOptions,
  act: (rig: Rig, binary: Binary) => Promise<void>,
): Promise<void> {
  const binary = Binary.make();
  try {
    await withRig({ ...options, nginx: binary.path }, async (rig) => {
      try {
        await act(rig, binary);
      } finally {
        binary.endOthers();
      }
    });
  } finally {
    binary.remove();
  }
}
