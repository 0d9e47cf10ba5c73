import { describe, expect, it } from 'vitest';
import type { Event, EventBody } from '../../src/event.js';
import { guard } from '../../src/ui/out.js';
import { annotation } from '../../src/ui/github.js';
import { createPlain } from '../../src/ui/plain.js';
import type { PlainOptions } from '../../src/ui/plain.js';
import { PLAIN } from '../../src/ui/style.js';
import {
  ALL_FAILURES,
  ALL_WARNINGS,
  DEPLOYED,
  FAILURES,
  PLAN,
  RESULT,
  REVERTED,
  WARNINGS,
  event,
} from './samples.js';
import { Sink } from './screen.js';

function spoken(
  events: readonly Event[],
  options: Partial<Pick<PlainOptions, 'quiet' | 'verbose' | 'github'>> = {},
): { out: string; err: string } {
  const [out, err] = [new Sink(), new Sink()];
  const voice = createPlain({
    out: guard(out),
    err: guard(err),
    quiet: false,
    verbose: false,
    github: false,
    style: { out: PLAIN, err: PLAIN },
    ...options,
  });
  for (const e of events) voice.emit(e);
  voice.close();
  return { out: out.raw, err: err.raw };
}

it('a deploy, line by line', () => {
  expect(spoken(DEPLOYED)).toEqual({
    out: [
      'deploy shop: blue -> green by rewrite',
      'shop: start green: pid 4121, 24 ms',
      'shop: probe green: 3 answers as www-data, 9 ms',
      'shop: switch green: /etc/nginx/conf.d/shop.conf, 133 ms',
      'shop: verify green: our request seen in the new pool, 2 ms',
      'shop: drain blue: 2 accepted, 0 queued, 2 working, 1 old nginx worker',
      'shop: drain blue: 212 ms',
      'shop: retire blue: 1 ms',
      'shop: stop blue: by QUIT, 8 ms',
      'shop: blue -> green in 0.4 s, 0 requests cut',
      '',
    ].join('\n'),
    err: 'shop: warning: The new pool starts with 2 workers, and 24 are busy in the active one. Raise `pm.start_servers`; php-fpm adds more only about once a second.\n',
  });
});

it('a revert: what failed and how it ended on stderr, the reason once', () => {
  expect(spoken(REVERTED)).toEqual({
    out: [
      'deploy shop: blue -> green by rewrite',
      'shop: start green: pid 4121, 24 ms',
      'shop: revert start green: by QUIT, 12 ms',
      '',
    ].join('\n'),
    err: [
      'shop: error: The green pool answered 500 where 200 was expected (/srv/shop/health.php, 7 tries).',
      '    | no database',
      '    | [21-Nov-2026 20:43:01] ERROR: unable to bind listening socket',
      "shop: hint: Mend what the probe script reports; the app's own log may say more.",
      'shop: Reverted in 10 s: blue serves as before.',
      '',
    ].join('\n'),
  });
});

it('a failure that only the result tells is said too', () => {
  const failure = FAILURES.usage;
  const result = event(
    { type: 'result', result: { command: null, outcome: 'usage', exit: 2, failure } },
    0,
    null,
  );
  expect(spoken([result]).err).toBe(
    "swap-pool: error: Unknown option '--frobnicate'.\nswap-pool: hint: See `swap-pool --help`.\n",
  );
});

it('verbose adds starts, every change of the numbers, the whole plan and the reasons', () => {
  const { out, err } = spoken(DEPLOYED, { verbose: true });
  expect(out).toContain('shop: start green\nshop: start green: pid 4121, 24 ms\n');
  expect(out).toContain('shop: drain blue: 1 accepted, 0 queued, 1 working\n');
  expect(out).toContain('+\tserver unix:/run/shop-green.sock;\n');
  expect(err).toContain('shop: warning: [few-workers] ');
});

it('whatever is said, no line drives a terminal', () => {
  const bodies: EventBody[] = [
    ...ALL_FAILURES.map((failure) => ({ type: 'failure' as const, failure })),
    ...ALL_WARNINGS.map((warning) => ({ type: 'warning' as const, warning })),
    { type: 'plan', plan: { ...PLAN, dryRun: true } },
  ];
  const { out, err } = spoken([...DEPLOYED, ...bodies.map((body) => event(body))]);
  expect((out + err).replace(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u);
});

describe('progress', () => {
  const progress = (at: number, accepted: number): Event =>
    event(
      {
        type: 'progress',
        step: 'drain',
        slot: 'blue',
        connections: { accepted, queued: 0 },
        working: 0,
        retiring: 0,
      },
      at,
    );
  const shown = (events: readonly Event[]): string[] =>
    spoken(events)
      .out.split('\n')
      .filter((line) => line !== '');

  it('is thinned to a line a second while numbers change', () => {
    const events = Array.from({ length: 100 }, (_, i) => progress(i * 50, 100 - i));
    expect(shown(events)).toHaveLength(5);
  });

  it('is repeated every ten seconds while nothing changes', () => {
    const events = Array.from({ length: 601 }, (_, i) => progress(i * 50, 3));
    expect(shown(events)).toHaveLength(4);
  });

  it('is not said of a drain that never had anything to wait for', () => {
    expect(shown([progress(0, 0), progress(20_000, 0)])).toEqual([]);
  });

  it('goes on when the clock is set back', () => {
    expect(shown([progress(3_600_000, 3), progress(50, 2)])).toHaveLength(2);
  });
});

describe('quiet', () => {
  it('a good deploy prints nothing, its warnings included', () => {
    expect(spoken(DEPLOYED, { quiet: true })).toEqual({ out: '', err: '' });
  });

  it('a failure brings the warnings before it', () => {
    const { out, err } = spoken([event({ type: 'warning', warning: WARNINGS['few-workers'] }), ...REVERTED], {
      quiet: true,
    });
    expect(out).toBe('');
    expect(err).toMatch(
      /^shop: warning: .*\nshop: error: .*\n[^]*\nshop: Reverted in 10 s: blue serves as before\.\n$/,
    );
  });

  it('cut requests are said though the deploy went through', () => {
    const result = { ...RESULT, drain: { accepted: 2, queued: 0, cut: 2 } };
    const events = [event({ type: 'warning', warning: WARNINGS.cut }), event({ type: 'result', result })];
    expect(spoken(events, { quiet: true })).toMatchObject({
      out: '',
      err: expect.stringContaining('2 requests') as string,
    });
  });

  it.each(['reference-unused', 'proxy-stopped', 'socket-file-gone', 'slot-orphaned'] as const)(
    'that nobody is or was served is said though all went through: %s',
    (reason) => {
      const events = [event({ type: 'warning', warning: WARNINGS[reason] }), ...DEPLOYED];
      expect(spoken(events, { quiet: true }).err).toMatch(/^shop: warning: [^\n]+\n$/);
    },
  );

  it('a kept pool is said: exit 5 needs a person, sooner or later', () => {
    const result = event({ type: 'result', result: { ...RESULT, outcome: 'draining', exit: 5 } });
    expect(spoken([result], { quiet: true }).err).toContain('blue still drains');
  });
});

it('deploy --if-changed with nothing changed is silent; start says that it serves', () => {
  const unchanged = { outcome: 'unchanged', exit: 0, from: 'green', to: 'green' } as const;
  const deploy = event({ type: 'result', result: { ...unchanged, command: 'deploy' } });
  const start = event({ type: 'result', result: { ...unchanged, command: 'start' } });
  expect(spoken([deploy])).toEqual({ out: '', err: '' });
  expect(spoken([deploy], { verbose: true }).out).not.toBe('');
  expect(spoken([start]).out).toBe('shop: Unchanged: green serves, nothing was touched.\n');
});

describe('in GitHub Actions', () => {
  it('a failure is an annotation on one line', () => {
    const { err } = spoken(REVERTED, { github: true });
    expect(err.split('\n').filter((line) => line.startsWith('::'))).toEqual([
      '::error::shop: The green pool answered 500 where 200 was expected (/srv/shop/health.php, 7 tries).' +
        '%0A    | no database' +
        '%0A    | [21-Nov-2026 20:43:01] ERROR: unable to bind listening socket' +
        "%0Ahint: Mend what the probe script reports; the app's own log may say more.",
    ]);
    expect(spoken(REVERTED).err).not.toContain('::');
  });

  it('a warning, too', () => {
    expect(spoken(DEPLOYED, { github: true }).err).toContain('\n::warning::shop: The new pool starts');
  });

  it('percent signs and line ends are escaped', () => {
    expect(annotation('error', ['100 %', 'a\r'])).toBe('::error::100 %25%0Aa%0D');
  });

  it('a log line gives the runner no orders', () => {
    const log = '::stop-commands::x\n ##[add-path]/tmp\n';
    const diff = ' ::add-mask::a\n';
    const { out, err } = spoken(
      [
        event({ type: 'plan', plan: { ...PLAN, dryRun: true, changes: [{ file: '/f', lines: [1], diff }] } }),
        event({ type: 'failure', failure: { reason: 'pool-died', slot: 'green', log } }),
      ],
      { github: true },
    );
    const lines = (out + err).split('\n').map((line) => line.trim());
    expect(lines.filter((line) => line.startsWith('::'))).toEqual([
      expect.stringMatching(/^::error::shop: /),
    ]);
    expect(lines.filter((line) => !line.startsWith('::error::') && line.includes('##['))).toEqual([]);
  });
});
