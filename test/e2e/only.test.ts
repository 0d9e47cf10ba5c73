/** `nginx.only`: elsewhere nginx may name a slot, too, and is left as it is. */
import { writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { freePort } from '../../src/demo/machine.js';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { Run } from '../support/command.js';
import { reasonOf } from '../support/deaths.js';
import { withRig } from '../support/rig.js';

const warnings = (run: Run): unknown[] =>
  run.events.map(({ warning }) => warning).filter((warning) => reasonOf(warning) === 'left-behind');

it('a place elsewhere that names the slot that goes is told with its line, and refuses nothing', async () => {
  const port = await freePort();
  const preview = (sandbox: Sandbox): void => {
    const server = `server {\n    listen 127.0.0.1:${port}; root ${sandbox.path('www')};
    location / {
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        if ($request_method = GET) {
            fastcgi_pass ${sandbox.site().address.blue};
        }
    }\n}\n`;
    writeFileSync(sandbox.path('sites', 'preview.conf'), server);
  };
  const site = { workers: 4, yamlNginx: 'only: [upstream demo]' };
  await withRig({ site, prepare: preview }, async (rig) => {
    const file = rig.sandbox.path('sites', 'preview.conf');
    const told = [{ slot: 'blue', places: [{ file, line: 7 }] }];
    const answer = async (): Promise<string> => {
      const url = `http://127.0.0.1:${port}/whoami.php`;
      const response = await fetch(url, { headers: { connection: 'close' } });
      return response.status === 200 ? (await response.text()).trim() : String(response.status);
    };
    const first = await rig.deploy();
    expect(first, first.stderr).toMatchObject({ exit: 0 });
    expect(warnings(first)).toEqual([]);
    await rig.load({ fast: { rate: 40 }, post: { clients: 1, takes: 5 } });

    const text = rig.read('sites', 'preview.conf');
    expect(warnings(await rig.deploy(['--dry-run']))).toMatchObject(told);
    expect(await answer()).toBe('blue');
    const there = await rig.deploy();
    expect(there, there.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'green' } });
    expect(warnings(there)).toMatchObject(told);
    expect(await answer()).toBe('502');

    // green is named by nobody else, and with blue the place has somebody behind it again
    const back = await rig.deploy();
    expect(back, back.stderr).toMatchObject({ exit: 0, result: { outcome: 'done', to: 'blue' } });
    expect(warnings(back)).toEqual([]);
    expect(await answer()).toBe('blue');
    expect(rig.read('sites', 'preview.conf')).toBe(text);
  });
});

it('an `only` that leaves out what names the slots is refused with those places', async () => {
  const prepare = (sandbox: Sandbox): void => {
    writeFileSync(sandbox.path('upstreams', 'other.conf'), 'upstream other {\n    server 127.0.0.1:1;\n}\n');
  };
  const site = { workers: 2, yamlNginx: 'only: [upstream other]' };
  await withRig({ site, prepare }, async (rig) => {
    const run = await rig.deploy();
    expect(run.result).toMatchObject({ outcome: 'refused', failure: { reason: 'reference-missing' } });
    expect(run.stderr).toMatch(/(upstreams\/demo.conf:\d+:\d+\n[^]*){2}hint: .*`nginx.only`/);
  });
});
