import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { SwitchKind } from '../../src/event.js';
import { withRig, type Rig } from '../support/rig.js';
import { DOKUWIKI, PAGES, installWiki, marker } from '../support/wiki.js';

const isThere = existsSync(DOKUWIKI);
if (!isThere) {
  console.warn('NO REAL APPLICATION WAS TESTED: `node scripts/setup.mjs test` fetches dokuwiki');
}

const READERS = 3;

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
