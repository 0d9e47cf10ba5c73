/** Two slots of a real php-fpm in a folder of the test's own. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { build } from 'esbuild';
import type { PoolLife } from '../../src/drivers.js';
import type { ProcessId, Result, Slot } from '../../src/event.js';
import { request, scriptParams } from '../../src/fastcgi/client.js';
import type { Reply } from '../../src/fastcgi/client.js';
import { createPool } from '../../src/pool/driver.js';
import type { Pools } from '../../src/pool/driver.js';
import type { AppConfig, FpmConfig, FpmSlot, ProbeSettings } from '../../src/pool/slots.js';
import { waitUntil } from '../../src/system/clock.js';
import { children, pids, procfs, title } from '../../src/system/proc.js';
import { PATIENCE } from '../support/limits.js';

export const FPM = '/usr/sbin/php-fpm8.2';
export const fs = procfs();
export const isRoot = process.geteuid?.() === 0;

export interface RigOptions {
  /** Lines of [global]. */
  readonly global?: string;
  /** Lines of the pool; they win over the rig's. `DIR` is the folder. */
  readonly pool?: string;
  readonly listen?: string;
  /** '' for none. */
  readonly pidfile?: string;
  readonly slot?: Partial<FpmConfig>;
  readonly probe?: Partial<ProbeSettings>;
  /** ms of stop.timeout. */
  readonly stop?: number;
  readonly startTimeout?: number;
}

/** Holds a folder, an FPM configuration for both slots, and whatever of it runs. */
export class Rig {
  readonly folder = mkdtempSync(join(tmpdir(), 'swap-pool-test-'));
  /** The pool's name: it tells this rig's workers from everybody's. */
  readonly name = basename(this.folder);
  config: AppConfig;
  pool!: Pools;

  private constructor(readonly options: RigOptions) {
    chmodSync(this.folder, 0o755);
    for (const [name, code] of Object.entries(SCRIPTS)) this.write(`${name}.php`, code);
    this.write('fpm.conf', this.fpmConfig());
    this.write('app.yaml', '');
    const slot: FpmConfig = { config: this.path('fpm.conf'), binary: FPM, env: {}, ...options.slot };
    this.config = {
      app: 'test',
      file: this.path('app.yaml'),
      pool: { blue: slot, green: slot },
      probe: {
        params: {},
        successes: 2,
        interval: 20,
        timeout: 60_000,
        ...options.probe,
      },
      stop: { timeout: options.stop ?? 60_000 },
      watch: [],
    };
  }

  static async open(options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(options);
    try {
      rig.pool = value(await rig.create());
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  /** A driver as another run of the program would make it: it remembers nothing. */
  create(config: AppConfig = this.config): Promise<Result<Pools>> {
    const { startTimeout = 60_000 } = this.options;
    return createPool({ fs, config, folder: this.path('state'), root: isRoot, startTimeout });
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  write(name: string, text: string): string {
    const path = this.path(name);
    writeFileSync(path, text);
    return path;
  }

  /** FPM's file. The last of several lines for one key is the one that counts. */
  fpmConfig(options = this.options): string {
    const { global = '', pool = '', listen, pidfile } = options;
    const dir = (text: string): string => text.replaceAll('DIR', this.folder);
    return [
      '[global]',
      ...(pidfile === '' ? [] : [`pid = ${dir(pidfile ?? 'DIR/${SWAP_POOL_SLOT}.pid')}`]),
      `error_log = ${this.folder}/fpm.log`,
      'process_control_timeout = 60s',
      dir(global),
      `[${this.name}]`,
      ...(isRoot ? ['user = www-data', 'group = www-data'] : []),
      `listen = ${dir(listen ?? 'DIR/${SWAP_POOL_SLOT}.sock')}`,
      'listen.mode = 0666',
      'pm = static',
      'pm.max_children = 2',
      dir(pool),
      '',
    ].join('\n');
  }

  async start(slot: Slot = 'blue'): Promise<PoolLife> {
    const life = value(await this.pool.start(slot));
    const { startWorkers } = fpmSlot(this, slot);
    await this.until(() => value(this.pool.observe(slot)).idle >= startWorkers);
    return life;
  }

  /** Starts the slot's FPM as somebody else would, and waits until it listens. Gives back its status. */
  startByHand(config = this.path('fpm.conf'), slot: Slot = 'blue'): number | null {
    return spawnSync(FPM, ['-D', '-y', config], { env: { SWAP_POOL_SLOT: slot }, stdio: 'ignore', cwd: '/' })
      .status;
  }

  ask(script: keyof typeof SCRIPTS, query = '', slot: Slot = 'blue', timeoutMs = PATIENCE): Promise<Reply> {
    const uri = `/${script}.php${query === '' ? '' : `?${query}`}`;
    const params = scriptParams({ file: this.path(`${script}.php`), uri });
    return request({ address: this.pool.address(slot), params, timeoutMs });
  }

  /** Lets every `held` script end, until hold(). */
  release(): void {
    this.write('release', '');
  }

  hold(): void {
    rmSync(this.path('release'), { force: true });
  }

  async until(seen: () => boolean, ms = PATIENCE): Promise<void> {
    const waited = await waitUntil(() => (seen() ? true : undefined), { deadline: ms });
    if (waited.kind !== 'seen') throw new Error(`not seen within ${String(ms)} ms: ${seen.toString()}`);
  }

  log(): string {
    return readFileSync(this.path('fpm.log'), 'utf8');
  }

  /** Every process of this rig: masters by the folder in their title, workers by the pool's name. */
  processes(): number[] {
    return pids(fs).filter((pid) => pid !== process.pid && title(fs, pid).includes(this.name));
  }

  async close(): Promise<void> {
    for (let round = 0; round < 3; round += 1) {
      const found = this.processes();
      for (const pid of [...found, ...found.flatMap((each) => children(fs, each))]) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // gone meanwhile
        }
      }
      await waitUntil(() => (this.processes().length === 0 ? true : undefined), { deadline: PATIENCE });
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Runs code that imports from `src/` in a node of its own, begun by `argv`; gives back what it prints.
 * `input` is in `process.argv[2]` as JSON.
 */
export async function elsewhere(
  rig: Rig,
  code: string,
  input: unknown,
  before: readonly [string, ...string[]],
): Promise<string> {
  const file = rig.path('elsewhere.cjs');
  await build({
    stdin: { contents: code, resolveDir: resolve('src') },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    outfile: file,
    logLevel: 'silent',
  });
  const [program, ...rest] = before;
  const child = spawn(program, [...rest, process.execPath, file, JSON.stringify(input)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    env: { PATH: '/usr/bin:/bin' },
  });
  let told = '';
  child.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
  await new Promise((done) => child.once('close', done));
  // what a CI runner does to whatever its job left behind
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // nobody of it is left
  }
  return told;
}

export async function withRig(options: RigOptions, act: (rig: Rig) => Promise<void>): Promise<void> {
  const rig = await Rig.open(options);
  try {
    await act(rig);
  } finally {
    await rig.close();
  }
}

export function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
}

/** A slot of a rig as FPM reads its configuration. */
export function fpmSlot({ pool }: Rig, slot: Slot): FpmSlot {
  const found = pool.slots[slot];
  if (found.kind !== 'php-fpm') throw new Error(found.kind);
  return found;
}

/** For a signal: 0 would be everybody in this process's group. */
export function pidOf(id: ProcessId | null | undefined): number {
  if (!id) throw new Error('there is nobody to signal');
  return id.pid;
}

export const reason = (result: Result<unknown>): string => (result.ok ? 'ok' : result.failure.reason);

export const mkdir = (path: string, mode = 0o755): string => {
  mkdirSync(path, { mode });
  chmodSync(path, mode);
  return path;
};

const HELD =
  '$until = microtime(true) + 600; while (!file_exists(__DIR__ . "/release") && microtime(true) < $until) usleep(2000);';

/** They loop on the clock: QUIT cuts sleep() short, and a fixture that sleeps makes a broken drain look good. */
const SCRIPTS = {
  ok: '<?php echo "ok ", $_GET["n"] ?? "";',
  busy: '<?php $until = microtime(true) + (float) $_GET["t"]; while (microtime(true) < $until) {} echo "done";',
  // until the test lets go of it: what holds meanwhile can be asserted however slow the machine is
  held: `<?php ${HELD} echo "done";`,
  heldAfterwards: `<?php echo "early"; fastcgi_finish_request(); ${HELD}`,
  finish:
    '<?php echo "early"; fastcgi_finish_request(); $until = microtime(true) + (float) $_GET["t"]; while (microtime(true) < $until) {} touch($_GET["file"] ?? "/dev/null");',
  env: '<?php echo json_encode(["env" => getenv(), "cwd" => getcwd(), "umask" => umask()]);',
  fatal: '<?php echo "half a page"; flush(); undefined_function();',
  five: '<?php http_response_code(500); echo "sorry";',
  background: '<?php exec("sleep 600 > /dev/null 2>&1 & echo $!", $out); echo $out[0];',
} as const;
