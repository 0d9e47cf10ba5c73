import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/demo/sandbox.js';
import type { SwitchKind } from '../../src/event.js';
import { withRig, type Rig } from '../support/rig.js';

/** Unpacked by `node scripts/setup.mjs test`. */
const DOKUWIKI = resolve('node_modules/.cache/swap-pool/dokuwiki');
const isThere = existsSync(DOKUWIKI);
if (!isThere) {
  console.warn('NO REAL APPLICATION WAS TESTED: `node scripts/setup.mjs test` fetches dokuwiki');
}

const PAGES = 12;
const READERS = 3;
const marker = (page: number): string => `the-${String(page)}th-page-says-so`;

/** Puts a wiki into the sandbox and makes it the site: what nginx serves, and what is probed and verified. */
function installWiki(sandbox: Sandbox): void {
  cpSync(DOKUWIKI, sandbox.path('wiki'), { recursive: true });
  const wiki = (...names: string[]): string => sandbox.path('wiki', ...names);
  for (let page = 0; page < PAGES; page += 1) {
    writeFileSync(
      wiki('data', 'pages', `page${page}.txt`),
      `====== Page ${page} ======\n\n${marker(page)}\n`,
    );
  }
  chmodSync(wiki(), 0o755);
  // Debian's libraries lie elsewhere than where the package would look for them
  for (const path of readdirSync(wiki(), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.php')) continue;
    const text = readFileSync(wiki(path), 'utf8');
    if (text.includes('/usr/share/php'))
      writeFileSync(wiki(path), text.replaceAll('/usr/share/', `${wiki('share')}/`));
  }
  openToAll(wiki('data'));
  writeFileSync(
    wiki('conf', 'local.php'),
    `<?php $conf['savedir'] = '${wiki('data')}'; $conf['useacl'] = 0; $conf['superuser'] = '';`,
  );
  writeFileSync(
    wiki('before.php'),
    `<?php define('DOKU_MAIN_CONF', '${wiki('conf')}/'); define('DOKU_CONF', '${wiki('conf')}/');
header('X-Pool: ' . getenv('SWAP_POOL_SLOT'));`,
  );
  const { fpmConfig, site, config } = sandbox.site();
  appendFileSync(fpmConfig.blue, `\nphp_admin_value[auto_prepend_file] = ${wiki('before.php')}\n`);
  replace(site, `root ${sandbox.path('www')};`, `root ${wiki('app')};`);
  replace(config, sandbox.path('www', 'health.php'), wiki('app', 'doku.php'));
  replace(config, 'uri: /health.php', 'uri: "/doku.php?id=page0"');
  replace(config, 'body: ok', `body: ${marker(0)}`);
  replace(config, '/verify.php', '/doku.php?id=page0');
}

function replace(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  expect(text).toContain(from);
  writeFileSync(file, text.replace(from, to));
}

/** The pools' user writes pages, caches and indexes there. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o777);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o777 : 0o666);
  }
}

interface Answer {
  readonly status: number;
  readonly by: string;
  readonly body: string;
  readonly location: string;
}

/** Readers and writers without a pause, each answer read to its end; what was wrong is a sentence. */
class Visitors {
  readonly wrong: string[] = [];
  readonly served = new Map<string, number>();
  pages = 0;
  saved = 0;
  private going = true;
  private readonly running: Promise<void>[];

  constructor(private readonly rig: Rig) {
    this.running = [
      // DokuWiki fills its cache without a lock, and what writers save empties it: two who ask for one page then can
      // leave half of it there. So nobody else asks for a reader's pages; page 0 is the probe's
      ...Array.from({ length: READERS }, (_, reader) => this.read(reader)),
      ...[0, 1].map((writer) => this.write(writer)),
    ];
  }

  async stop(): Promise<void> {
    this.going = false;
    await Promise.all(this.running);
  }

  private async read(reader: number): Promise<void> {
    for (let turn = 0; this.going; turn += 1) {
      const page = 1 + reader + READERS * (turn % 3);
      const answer = await this.ask(`/doku.php?id=page${page}`);
      const whole = answer.body.includes(marker(page)) && answer.body.trimEnd().endsWith('</html>');
      if (answer.status !== 200 || !whole) this.wrong.push(`page${page}: ${show(answer)}`);
      this.pages += 1;
    }
  }

  /** Saves a page and reads it back. */
  private async write(writer: number): Promise<void> {
    for (let turn = 0; this.going; turn += 1) {
      const id = `written${writer}`;
      const text = `turn-${turn}-of-writer-${writer}`;
      const form = new URLSearchParams({
        id,
        'do[save]': '1',
        wikitext: text,
        prefix: '.',
        suffix: '',
        summary: '',
      });
      const saved = await this.ask('/doku.php', form.toString());
      if (saved.status !== 302 || !saved.location.includes(id)) this.wrong.push(`save ${id}: ${show(saved)}`);
      const answer = await this.ask(`/doku.php?id=${id}`);
      if (!answer.body.includes(text)) this.wrong.push(`${id} without ${text}: ${show(answer)}`);
      this.saved += 1;
    }
  }

  private ask(path: string, form?: string): Promise<Answer> {
    return new Promise((done) => {
      const failed = (error: Error): void => {
        done({ status: 0, by: '', body: error.message, location: '' });
      };
      const asked = request(
        {
          host: '127.0.0.1',
          port: this.rig.site().port,
          path,
          method: form === undefined ? 'GET' : 'POST',
          headers: form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' },
          // a connection each: what nginx's own reload does to kept ones is a class of its own
          agent: false,
        },
        (response) => {
          let body = '';
          response.setEncoding('utf8');
          response.on('data', (chunk: string) => (body += chunk));
          response.on('error', failed);
          response.on('end', () => {
            const by = String(response.headers['x-pool']);
            this.served.set(by, (this.served.get(by) ?? 0) + 1);
            done({ status: response.statusCode ?? 0, by, body, location: response.headers.location ?? '' });
          });
        },
      );
      asked.on('error', failed);
      asked.end(form);
    });
  }
}

const show = ({ status, by, body }: Answer): string =>
  `${status} by ${by}: ${body.slice(0, 200)} … ${body.slice(-200)}`;

describe.skipIf(!isThere)('a real application, Debian’s DokuWiki,', () => {
  it.each<SwitchKind>(['rewrite', 'symlink'])(
    'switches both ways under readers and writers, 0 cut: %s',
    async (by) => {
      const options = {
        switch: by,
        site: { workers: 8, locationLines: 'fastcgi_param SERVER_PORT $server_port;' },
        prepare: installWiki,
      };
      await withRig(options, async (rig) => {
        await rig.deployed();
        const visitors = new Visitors(rig);
        try {
          await rig.until(() => visitors.pages > PAGES && visitors.saved > 1);
          for (const to of ['green', 'blue', 'green', 'blue']) {
            expect(await rig.deploy()).toMatchObject({ exit: 0, result: { to, drain: { cut: 0 } } });
            const { pages, saved } = visitors;
            await rig.until(() => visitors.pages > pages + PAGES && visitors.saved > saved);
          }
        } finally {
          await visitors.stop();
        }
        expect(visitors.wrong).toEqual([]);
        expect([...visitors.served.keys()].sort()).toEqual(['blue', 'green']);
      });
    },
  );
});
