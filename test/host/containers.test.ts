/** A container on the same machine shows its processes in /proc: with the same titles, files and addresses as ours. */
import { expect, inject, it } from 'vitest';
import { withRig } from '../support/rig.js';
import { withHost, type Host } from './host.js';

const here = it.skipIf(inject('host').why !== null);

here(
  'the pools of a container are no pools of ours, though all their paths are the same',
  async () => {
    await withRig({ switch: 'rewrite', site: { workers: 8 }, timeout: 150_000 }, async (rig) => {
      await withHost({}, async (host) => {
        const env = rig.sandbox.env;
        const { folder } = rig.sandbox;
        copyInto(host, folder);
        await host.run(['/usr/sbin/nginx', '-c', `${folder}/nginx.conf`]);
        expect(await host.swapPool(['deploy', 'demo'], { env })).toMatchObject({
          exit: 0,
          result: { to: 'blue' },
        });
        const theirs = mastersOf(host);
        expect(theirs).toHaveLength(2);

        expect((await rig.run(['status', 'demo'])).result).toMatchObject({
          apps: [{ slots: { blue: { state: 'stopped' }, green: { state: 'stopped' } } }],
        });
        for (const to of ['blue', 'green', 'blue']) {
          expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to } });
        }
        expect(mastersOf(host)).toEqual(theirs);
        expect(await host.swapPool(['deploy', 'demo'], { env })).toMatchObject({
          exit: 0,
          result: { to: 'green' },
        });
        expect(await rig.answering()).toBe('blue');
      });
    });
  },
  240_000,
);

/** A sandbox's files, without what runs. */
function copyInto(host: Host, folder: string): void {
  const parts = ['nginx.conf', 'fastcgi_params', 'config', 'pools', 'upstreams', 'sites', 'www'];
  host.unpack(folder, parts);
  host.sh(`cd ${folder} && mkdir run log temp && mkdir -m 700 state && mkdir -m 1777 work`);
}

/** The masters of the sandbox's nginx and pool, by their pids here. */
const mastersOf = (host: Host): number[] =>
  host.machine
    .inhabitants()
    .filter(({ command }) => /master process .*\/swap-pool-\w+\//.test(command))
    .map(({ id }) => id.pid)
    .sort();
