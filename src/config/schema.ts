/**
 * The shape of an app's YAML: which keys there are, what each takes, its default. The
 * message of every check is the *fix* of a Problem; what is wrong is told from the value.
 *
 * zod/mini and not zod: loading it, building this schema and one parse take 6 ms of
 * start-up as bundled; loading the whole of zod takes 12 more.
 */
import * as z from 'zod/mini';
import { parseDuration } from '../duration.js';

/** A map with these keys and no others. */
const section = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: ({ code }) => {
      const keys = Object.keys(shape).join(', ');
      return code === 'unrecognized_keys' ? `the keys here are ${keys}` : `write a map with any of ${keys}`;
    },
  });

const string = (fix: string, test: (text: string) => boolean = () => true) =>
  z.string({ error: fix }).check(z.refine(test, { error: fix }));
const oneOf = <const Word extends string>(words: readonly Word[], fix = `write ${words.join(' or ')}`) =>
  z.enum(words, { error: fix });

/** Paths end up in FPM's and nginx's own files, where a line break would begin another directive. */
export const isLine = (text: string): boolean => text !== '' && !/\p{Cc}/u.test(text);
const line = (fix: string) => string(fix, isLine);
const path = line("write a file's path; in quotes when it begins with {slot}");
/** What reaches a process as part of a C string. */
const value = string('write a string without NUL; "" is the empty one', (text) => !text.includes('\0'));

const name = /^[A-Za-z_][A-Za-z0-9_]*$/;
const strings = (refused: readonly string[]) =>
  z.record(
    string('a name is made of letters, digits and _, with no digit in front', (text) =>
      name.test(text),
    ).check(z.refine((text) => !refused.includes(text), { error: 'remove it: swap-pool sets it' })),
    value,
    { error: 'write a map of names and strings' },
  );

const list = (fix: string, test: (text: string) => boolean = isLine) =>
  z.array(string(fix, test), { error: `write a list; ${fix}` });

const whole = (least: number, most: number) => {
  const fix = `write a whole number from ${String(least)} to ${String(most)}`;
  return z
    .number({ error: fix })
    .check(z.refine((n) => Number.isInteger(n) && n >= least && n <= most, { error: fix }));
};

/** ms. A wait of no time at all is only sense where it means "do not wait". */
const duration = (least: 0 | 1) =>
  z.pipe(
    z.string({ error: ({ input }) => fixOf(parseDuration(typeof input === 'number' ? String(input) : '')) }),
    z.transform((text, context) => {
      const read = parseDuration(text);
      if (read.ok && read.ms >= least) return read.ms;
      context.issues.push({ code: 'custom', message: fixOf(read), input: text });
      return z.NEVER;
    }),
  );
const fixOf = (read: ReturnType<typeof parseDuration>): string =>
  read.ok ? 'write a duration above 0, such as 250ms or 10s' : read.fix;

/** Who may start a pool; each but `direct` has a map of its own name. */
export const MANAGERS = ['direct', 'systemd', 'init', 'command'] as const;

// All optional: a slot may say what `pool` does not. Defaults count after both are put together.
const pool = section({
  manager: z.optional(oneOf(MANAGERS, 'write direct, systemd, init or command')),
  kind: z.optional(oneOf(['php-fpm', 'fastcgi'])),
  config: z.optional(path),
  section: z.optional(line("write the name of one of FPM's [pools]")),
  binary: z.optional(path),
  env: z.optional(strings(['SWAP_POOL_SLOT'])),
  listen: z.optional(
    string(
      'write it as FPM does: /path, HOST:PORT or PORT',
      (text) => isLine(text) && !text.startsWith('unix:'),
    ),
  ),
  pidfile: z.optional(path),
  status: z.optional(
    string("write the path of FPM's status page, such as /status", (text) => /^\/[!-~]+$/.test(text)),
  ),
  systemd: z.optional(
    section({
      unit: string('write the name of a service, such as shop-fpm@{slot}.service', (text) =>
        /^(?!-)[\w:.\\@{}-]+\.service$/.test(text),
      ),
    }),
  ),
  init: z.optional(section({ script: path })),
  command: z.optional(
    section({
      start: list('every word is a string; put numbers in quotes', (text) => !text.includes('\0')).check(
        z.refine(([program]) => program !== undefined && program.includes('/'), {
          error: 'the first word is the path of the program; PATH is not searched',
        }),
      ),
    }),
  ),
});

const link = { by: z.literal('symlink'), link: path };
const switchForms = 'write rewrite, or { by: symlink, link: FILE }';
const switching = z.union([
  z.literal('rewrite', {
    error: ({ input }) => (input === 'symlink' ? 'name the link: { by: symlink, link: FILE }' : switchForms),
  }),
  z.discriminatedUnion('by', [section({ by: z.literal('rewrite') }), section(link)], { error: switchForms }),
]);

const status = whole(100, 599);
const body = z.optional(string('write a part of the body that must be there', (text) => text !== ''));

export const appSchema = section({
  pool: z.prefault(pool, {}),
  slots: z.prefault(section({ blue: z.prefault(pool, {}), green: z.prefault(pool, {}) }), {}),
  switch: z._default(switching, 'rewrite'),
  nginx: z.prefault(
    section({
      binary: z.optional(path),
      config: z.optional(path),
      pidfile: z.optional(path),
      arguments: z.optional(
        list('every argument is a string; put numbers in quotes', (text) => !text.includes('\0')),
      ),
      only: z._default(
        list(
          'write FILE or upstream NAME',
          (text) => isLine(text) && !/^upstream(\s*|\s+\S+\s.*)$/.test(text),
        ),
        [],
      ),
      'reload-timeout': z._default(duration(1), 30_000),
    }),
    {},
  ),
  probe: z.prefault(
    section({
      script: z.optional(path),
      uri: z.optional(string('write a path such as /health.php', (text) => /^\/[!-~]*$/.test(text))),
      params: z._default(strings([]), {}),
      expect: z.optional(section({ status: z._default(status, 200), body })),
      successes: z._default(whole(1, 1000), 3),
      interval: z._default(duration(1), 250),
      timeout: z._default(duration(1), 10_000),
    }),
    {},
  ),
  verify: z.optional(
    section({
      url: string('write a URL such as http://127.0.0.1/health.php', isUrl),
      host: z.optional(
        string("write the Host header's value, such as shop.example", (text) => /^[!-~]+$/.test(text)),
      ),
      expect: z.prefault(section({ status: z.optional(status), body }), {}),
    }),
  ),
  drain: z.prefault(
    section({
      timeout: z._default(duration(0), 300_000),
      'on-timeout': z._default(oneOf(['keep', 'stop']), 'keep'),
    }),
    {},
  ),
  stop: z.prefault(section({ timeout: z._default(duration(1), 10_000) }), {}),
  watch: z._default(list('every entry is a path, * and ? allowed'), []),
});

export type AppYaml = z.output<typeof appSchema>;
export type PoolYaml = z.output<typeof pool>;

/** URL() alone reads `http:shop` and `http:///shop` as if a host had been named. */
function isUrl(text: string): boolean {
  return /^https?:\/\/[^/?#\s]\S*$/i.test(text) && URL.canParse(text);
}
