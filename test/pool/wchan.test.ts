/** Whether a worker is idle, where /proc/PID/syscall may not be read: the kernel's wchan has to tell. */
import { describe, expect, it } from 'vitest';
import type { PoolLife } from '../../src/drivers.js';
import { createPool, type Pools } from '../../src/pool/driver.js';
import { blocked } from '../../src/system/proc.js';
import { withoutSyscall } from '../support/no-syscall.js';
import { type Rig, fs as real, isRoot, value, withRig } from './rig.js';

// below the range from which the kernel takes ports for clients
const port = 20_000 + (process.pid % 10_000);

async function onTcp(rig: Rig): Promise<void> {
  const { pool } = rig.config;
  const at = (each: number) => ({ ...pool.blue, env: { PORT: String(each) } });
  rig.config = { ...rig.config, pool: { blue: at(port), green: at(port + 1) } };
  rig.write('fpm.conf', rig.fpmConfig({ listen: '127.0.0.1:${PORT}' }));
  rig.pool = value(await rig.create());
}

const pidsOf = ({ master, workers }: PoolLife): number[] =>
  [master, ...workers].flatMap((id) => id?.pid ?? []);

/** A pool that runs, seen through a /proc without `syscall`. */
const seen = (listen: string, act: (rig: Rig, pool: Pools, life: PoolLife) => Promise<void>): Promise<void> =>
  withRig({}, async (rig) => {
    if (listen === 'TCP') await onTcp(rig);
    const life = await rig.start();
    await rig.until(() => value(rig.pool.observe('blue')).idle === 2);
    await withoutSyscall(pidsOf(life), async (fs) => {
      const options = { fs, config: rig.config, folder: rig.path('state'), root: isRoot };
      await act(rig, value(await createPool(options)), life);
    });
  });

describe.each(['a unix socket', 'TCP'])('without /proc/PID/syscall, on %s', (listen) => {
  it('idle workers are told from those at work, also past fastcgi_finish_request', () =>
    seen(listen, async (rig, pool, life) => {
      expect(value(pool.observe('blue'))).toMatchObject({
        state: 'running',
        idle: 2,
        working: 0,
        life: { master: life.master },
      });
      for (const [script, connections] of [
        ['held', 1],
        ['heldAfterwards', 0],
      ] as const) {
        rig.hold();
        const asked = rig.ask(script);
        await rig.until(() => {
          const load = value(pool.load('blue', life));
          return load.working === 1 && load.connections.accepted === connections;
        });
        rig.release();
        expect(await asked).toMatchObject({ ok: true });
        await rig.until(() => value(pool.load('blue', life)).working === 0);
      }
    }));
});

it('where a process waits is the same that syscall tells, in the words of the kernel', () =>
  seen('a unix socket', async (_, __, life) => {
    await withoutSyscall([process.pid, ...pidsOf(life)], async (fs) => {
      for (const { pid } of life.workers) {
        expect(blocked(real, pid).kind).toBe('syscall');
        expect(blocked(fs, pid).kind).toBe('function');
      }
      expect(blocked(fs, process.pid)).toEqual({ kind: 'running' });
      expect(blocked(fs, 2 ** 22 + 1)).toEqual({ kind: 'unreadable' });
      return Promise.resolve();
    });
  }));
