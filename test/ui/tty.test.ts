import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Event } from '../../src/event.js';
import { createReporter } from '../../src/ui/reporter.js';
import type { Reporter } from '../../src/ui/reporter.js';
import { DEPLOYED, FAILURES, PLAN, REVERTED, STATUS, event } from './samples.js';
import { Broken, Screen } from './screen.js';

let reporter: Reporter | null = null;
afterEach(() => reporter?.close());

async function on(
  screen: NodeJS.WritableStream,
  events: readonly Event[],
  options: { env?: Record<string, string>; color?: boolean; verbose?: boolean } = {},
): Promise<Reporter> {
  reporter = await createReporter({
    json: false,
    quiet: false,
    verbose: false,
    color: true,
    stdout: screen,
    stderr: screen,
    isTty: true,
    env: {},
    ...options,
  });
  for (const e of events) reporter.emit(e);
  return reporter;
}

it('a deploy, a line a step', async () => {
  const screen = new Screen();
  await on(screen, DEPLOYED);
  expect(screen.text()).toBe(
    `deploy shop: blue -> green by rewrite
⚠ The new pool starts with 2 workers, and 24 are busy in the active one.
  hint: Raise \`pm.start_servers\`; php-fpm adds more only about once a second.
✔ start    green  pid 4121                                    24 ms
✔ probe    green  3 answers as www-data                        9 ms
✔ switch   green  /etc/nginx/conf.d/shop.conf                133 ms
✔ verify   green  our request seen in the new pool             2 ms
✔ drain    blue                                              212 ms
✔ retire   blue                                                1 ms
✔ stop     blue   by QUIT                                      8 ms
blue -> green in 0.4 s, 0 requests cut`,
  );
});

it('a revert: the step that failed, why, and how it ended', async () => {
  const screen = new Screen();
  await on(screen, REVERTED);
  expect(screen.text()).toBe(
    `deploy shop: blue -> green by rewrite
✔ start    green  pid 4121                                    24 ms
✖ probe    green
✖ shop: The green pool answered 500 where 200 was expected (/srv/shop/health.php, 7 tries).
    | no database
    | [21-Nov-2026 20:43:01] ERROR: unable to bind listening socket
  hint: Mend what the probe script reports; the app's own log may say more.
✔ revert start green  by QUIT                                 12 ms
Reverted in 10 s: blue serves as before.`,
  );
});

describe('while a step lasts', () => {
  const draining = DEPLOYED.slice(0, 12);

  /** ora draws by its own timer. */
  const drawn = (screen: Screen, last: RegExp): Promise<void> =>
    vi.waitFor(() => {
      expect(screen.text().split('\n').at(-1)).toMatch(last);
    });

  it('its counters are live', async () => {
    const screen = new Screen();
    await on(screen, draining);
    await drawn(screen, /^. drain {4}blue {3}2 accepted, 0 queued, 2 working, 1 old nginx worker$/u);
  });

  it('a warning goes above the spinner', async () => {
    const screen = new Screen();
    await on(screen, [...draining, event({ type: 'warning', warning: { reason: 'rollback-runs-now' } })]);
    const lines = screen.text().split('\n');
    expect(lines.at(-3)).toMatch(/^⚠ A rollback runs/);
    expect(lines.at(-1)).toMatch(/drain {4}blue/);
  });

  it('on a narrow terminal the line is cut, not wrapped', async () => {
    const screen = new Screen(40);
    await on(screen, draining);
    await drawn(screen, /^. drain {4}blue {3}2 accepted, 0 queu\.\.\.$/u);
  });

  it('close takes the spinner away', async () => {
    const screen = new Screen();
    (await on(screen, draining)).close();
    expect(screen.text()).not.toContain('drain');
  });
});

it('a terminal without a size is drawn on as if it had 80 columns', async () => {
  const screen = new Screen(0);
  await on(screen, DEPLOYED);
  expect(screen.text()).toContain('133 ms');
});

it('the cursor is never hidden, so nothing can leave it hidden', async () => {
  const screen = new Screen();
  await on(screen, [...DEPLOYED, ...REVERTED]);
  expect(screen.raw).not.toContain('\u001b[?25l');
});

it('finished rows fit a narrow terminal', async () => {
  const screen = new Screen(50);
  await on(screen, DEPLOYED);
  expect(screen.text()).toContain('✔ switch   green  /etc/nginx/conf.d/s...   133 ms');
});

describe('colour', () => {
  // eslint-disable-next-line no-control-regex
  const SGR = /\u001b\[[0-9;]*m/;
  it.each<[string, { env?: Record<string, string>; color?: boolean }, boolean]>([
    ['by default', {}, true],
    ['--no-color', { color: false }, false],
    ['--no-color against FORCE_COLOR', { color: false, env: { FORCE_COLOR: '1' } }, false],
    ['NO_COLOR', { env: { NO_COLOR: '1' } }, false],
    ['an empty NO_COLOR', { env: { NO_COLOR: '' } }, true],
    ['FORCE_COLOR=0', { env: { FORCE_COLOR: '0' } }, false],
    ['FORCE_COLOR against NO_COLOR', { env: { NO_COLOR: '1', FORCE_COLOR: '1' } }, true],
  ])('%s', async (_name, options, colored) => {
    const screen = new Screen();
    await on(screen, [...DEPLOYED, ...REVERTED], options);
    expect(SGR.test(screen.raw)).toBe(colored);
  });
});

it('the Linux console gets signs that its font has', async () => {
  const screen = new Screen();
  await on(screen, REVERTED, { env: { TERM: 'linux' } });
  expect(screen.text()).toMatch(/^√ start/m);
  expect(screen.text()).toMatch(/^× probe/m);
});

it('dry run and -v show the whole plan', async () => {
  const screen = new Screen();
  await on(screen, [event({ type: 'plan', plan: { ...PLAN, dryRun: true } })]);
  expect(screen.text()).toContain('signals  SIGHUP to nginx, pid 812');
});

it('status --watch: a new table takes the old one’s place', async () => {
  const screen = new Screen();
  const status = (accepted: number): Event => {
    const slots = STATUS.slots && {
      ...STATUS.slots,
      green: { ...STATUS.slots.green, connections: { accepted, queued: 0 } },
    };
    const nginx = { pid: 812, workers: 2, retiring: 0 };
    return event({
      type: 'result',
      result: { command: 'status', exit: 0, apps: [{ ...STATUS, slots }], nginx },
    });
  };
  await on(screen, [status(1), status(2), status(3)]);
  expect(screen.text().match(/shop: green serves/g)).toHaveLength(1);
  expect(screen.text()).toContain('3 accepted');
});

it('a lost terminal stops the drawing, not the deploy', async () => {
  const gone = Object.assign(new Broken(), { isTTY: true, columns: 80 });
  const voice = await on(gone, DEPLOYED.slice(0, 11));
  await new Promise((resolve) => gone.once('close', resolve));
  for (const e of DEPLOYED.slice(11)) voice.emit(e);
  voice.emit(event({ type: 'failure', failure: FAILURES.bug }));
  voice.close();
});
