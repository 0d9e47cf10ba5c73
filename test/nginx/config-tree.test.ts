/** Our own reading of nginx's files against the list that nginx gives of them. */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ProxySwitch } from '../../src/drivers.js';
import type { Result } from '../../src/event.js';
import { loadTree, testAndCompare } from '../../src/nginx/config-tree.js';
import { createFinder } from '../../src/nginx/master.js';
import type { Nginx } from '../../src/nginx/master.js';
import { createRewrite } from '../../src/nginx/rewrite.js';
import type { Tree } from '../../src/nginx/tree.js';
import { readWorkers } from '../../src/nginx/workers.js';
import { identify, procfs } from '../../src/system/proc.js';
import { PATIENCE } from '../support/limits.js';
import { Rig } from './rig.js';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
  rig.write('sites/one.conf', rig.server('return 200 x;'));
});
afterEach(async () => {
  await rig.end();
});

const root = process.geteuid?.() === 0;
const value = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(JSON.stringify(result.failure));
  return result.value;
};

/** nginx that runs with a folder of sites, and what we read of its files. */
async function started(): Promise<{ readonly nginx: Nginx; readonly tree: Tree }> {
  const fs = rig.procOf(rig.start(rig.conf(`  include ${rig.path('sites')}/*.conf;\n`)));
  const finder = createFinder({ fs, keys: { config: rig.path('nginx.conf') }, root, timeout: PATIENCE });
  const nginx = value(await finder.locate());
  return { nginx, tree: value(loadTree(nginx)) };
}

const compared = async ({ nginx, tree }: Awaited<ReturnType<typeof started>>): Promise<unknown> => {
  const same = await testAndCompare(nginx, tree, PATIENCE);
  return same.ok ? 'same' : same.failure;
};

describe('the files that were read and those that nginx names', () => {
  it('are-the-same', async () => {
    expect(await compared(await started())).toBe('same');
  });

  it('differ-by-one-that-came-and-by-one-that-went', async () => {
    const read = await started();
    const two = rig.write('sites/two.conf', '');
    expect(await compared(read)).toEqual({ reason: 'nginx-tree-differs', onlyOurs: [], onlyTheirs: [two] });
    rmSync(rig.path('sites/one.conf'));
    expect(await compared(read)).toEqual({
      reason: 'nginx-tree-differs',
      onlyOurs: [rig.path('sites/one.conf')],
      onlyTheirs: [two],
    });
  });

  it('are-the-same-by-whatever-links-they-are-reached', async () => {
    rmSync(rig.path('sites'), { recursive: true });
    mkdirSync(rig.path('real'));
    symlinkSync('real', rig.path('sites'));
    rig.write('real/one.conf', '');
    symlinkSync('one.conf', rig.path('real/two.conf'));
    const read = await started();
    expect(await compared(read)).toBe('same');
    // the name in between is another one now, the files are not
    rmSync(rig.path('sites'));
    symlinkSync(rig.path('real'), rig.path('sites'));
    expect(await compared(read)).toBe('same');
  });

  it('are-not-made-up-of-what-a-file-says', async () => {
    rig.write('sites/two.conf', '#\n# configuration file /etc/passwd:\n# configuration file none:\n');
    expect(await compared(await started())).toBe('same');
  });

  it('are-not-compared-where-nginx-refuses-them', async () => {
    const read = await started();
    rig.write('sites/two.conf', 'nonsense;\n');
    expect(await compared(read)).toMatchObject({
      reason: 'nginx-config-broken',
      output: expect.stringContaining('unknown directive "nonsense"') as string,
    });
  });
});

describe('an nginx whose command line includes a file that no other file names', () => {
  const fs = procfs();
  const proxy = (): ProxySwitch =>
    createRewrite({
      procfs: fs,
      nginx: { config: rig.path('nginx.conf'), only: [], reloadTimeout: PATIENCE },
      addresses: {
        blue: { kind: 'unix', path: rig.sockets.blue },
        green: { kind: 'unix', path: rig.sockets.green },
      },
      root,
    });

  it('is-not-understood-and-not-reloaded', async () => {
    const conf = rig.conf(rig.server(`fastcgi_pass unix:${rig.sockets.blue};`));
    const more = rig.write('more.conf', 'worker_rlimit_nofile 1024;\n');
    const master = identify(fs, rig.start(conf, '-g', `include ${more};`)) ?? expect.fail('no master');
    const workers = readWorkers(fs, master).serving;
    const differs = {
      ok: false,
      failure: { reason: 'nginx-tree-differs', onlyOurs: [], onlyTheirs: [more] },
    };
    expect(await proxy().survey(null)).toEqual(differs);
    expect(await proxy().reload()).toEqual(differs);
    expect(readWorkers(fs, master).serving).toEqual(workers);
    expect(rig.read('nginx.conf')).toBe(conf);
  });
});
