import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NGINX_VERBS } from '../../src/event.js';
import type {
  CommandResult,
  Failure,
  Finding,
  NginxVerb,
  Outcome,
  StepNote,
  Warning,
} from '../../src/event.js';
import { eventLine, noteText, noticeText, planLine, resultLine } from '../../src/ui/message/event.js';
import { failureMessage } from '../../src/ui/message/failure.js';
import { findingMessage } from '../../src/ui/message/finding.js';
import { messageLines } from '../../src/ui/message/phrase.js';
import { questionLines } from '../../src/ui/message/question.js';
import { warningMessage } from '../../src/ui/message/warning.js';
import type { Message } from '../../src/ui/message/phrase.js';
import {
  ALL_FAILURES,
  ALL_FINDINGS,
  ALL_WARNINGS,
  DEPLOYED,
  FAILURES,
  NOTICES,
  PLAN,
  OBSERVATIONS,
  RESULT,
  WARNINGS,
} from './samples.js';

function expectWellSaid({ message, hint, details = [] }: Message): void {
  for (const sentence of [message, hint]) {
    expect(sentence).toMatch(/^[\x20-\x7e]+$/);
    expect(sentence).toMatch(/[.!?]$/);
    expect(sentence).not.toMatch(/undefined|null|NaN|\[object|\.\.$| {2}|\(\)/);
    expect(sentence.split('`').length % 2).toBe(1);
  }
  expect(message.length).toBeLessThan(300);
  for (const line of details) expect(line).toMatch(/^[\x20-\x7e]+$/);
}

describe('every failure', () => {
  it.each(ALL_FAILURES.map((failure) => [failure.reason, failure] as const))(
    '%s is a sentence and a hint',
    (_, failure) => {
      expectWellSaid(failureMessage(failure));
      expectWellSaid(failureMessage(failure, 'shop'));
    },
  );

  it('no two say the same', () => {
    const sentences = Object.values(FAILURES).map((failure) => failureMessage(failure).message);
    expect(new Set(sentences).size).toBe(sentences.length);
  });
});

describe('every warning', () => {
  it.each(ALL_WARNINGS.map((warning) => [warning.reason, warning] as const))(
    '%s is a sentence and a hint',
    (_, warning) => {
      expectWellSaid(warningMessage(warning, 'shop'));
    },
  );

  it('no two say the same', () => {
    const sentences = Object.values(WARNINGS).map((warning) => warningMessage(warning).message);
    expect(new Set(sentences).size).toBe(sentences.length);
  });
});

describe('every finding', () => {
  it.each(ALL_FINDINGS.map((finding) => [JSON.stringify(finding).slice(0, 90), finding] as const))(
    '%s is a sentence and a hint',
    (_, finding) => {
      expectWellSaid(findingMessage(finding));
      expectWellSaid(findingMessage({ ...finding, app: null }));
    },
  );

  it.each([
    [true, /They serve the site/],
    [false, /Nothing is sent there/],
    [null, /cannot be told/],
  ])('orphans are said to serve only where that is known: %s', (serves, words) => {
    const observation = { ...OBSERVATIONS.orphans, serves };
    const { hint } = findingMessage({ severity: 'error', app: 'shop', fixable: false, observation });
    expect(hint).toMatch(words);
  });

  it('no two observations say the same', () => {
    const all = Object.values(OBSERVATIONS);
    const said = all.map(
      (observation) => findingMessage({ severity: 'error', app: null, fixable: false, observation }).message,
    );
    expect(new Set(said).size).toBe(all.length);
  });

  it('what --fix mends names it', () => {
    const [fixable] = ALL_FINDINGS.filter((finding) => finding.fixable);
    expect(fixable === undefined ? '' : findingMessage(fixable).hint).toContain(
      '`swap-pool doctor shop --fix`',
    );
  });
});

/** The value with `evil` behind each text that could come from elsewhere. */
function poisoned<T>(value: T, evil: string): T {
  const own = new Set(['reason', 'kind', 'slot', 'lock', 'state', 'signal', 'why', 'step', 'at', 'to']);
  const walk = (node: unknown, key = ''): unknown => {
    if (typeof node === 'string') return own.has(key) || node === 'below 400' ? node : node + evil;
    if (Array.isArray(node)) return node.map((item) => walk(item));
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([name, child]) => [name, walk(child, name)]));
  };
  return walk(value) as T;
}

it('whatever comes from elsewhere, no control character is said', () => {
  const evil = fc
    .array(
      fc.constantFrom(
        '\u001b[2J',
        '\u001b]0;x\u0007',
        '\u009b1m',
        '\n',
        '\r',
        '\u202e',
        '\u0000',
        'x',
        '\u001b',
      ),
      { minLength: 1 },
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(
      fc.constantFrom<{ is: 'failure'; value: Failure } | { is: 'warning'; value: Warning }>(
        ...ALL_FAILURES.map((value) => ({ is: 'failure' as const, value })),
        ...ALL_WARNINGS.map((value) => ({ is: 'warning' as const, value })),
      ),
      evil,
      ({ is, value }, text) => {
        const message =
          is === 'failure'
            ? failureMessage(poisoned(value, text), 'shop')
            : warningMessage(poisoned(value, text), 'shop');
        for (const line of messageLines(message)) expect(line).not.toMatch(/[\p{Cc}\u202e]/u);
      },
    ),
    { numRuns: 1000 },
  );
});

it('the sentences name what a person looks for', () => {
  expect(messageLines(failureMessage(FAILURES['probe-failed'], 'shop'))).toEqual([
    'The green pool answered 500 where 200 was expected (/srv/shop/health.php, 7 tries).',
    '    | no database',
    '    | [21-Nov-2026 20:43:01] ERROR: unable to bind listening socket',
    "hint: Mend what the probe script reports; the app's own log may say more.",
  ]);
  const verified = { ...FAILURES['verify-failed'], url: 'http://127.0.0.1/health.php' };
  expect(failureMessage(verified).hint).toContain('`curl -i http://127.0.0.1/health.php`');
  expect(failureMessage({ ...verified, host: 'shop.example' }).hint).toContain(
    "`curl -i -H 'Host: shop.example' http://127.0.0.1/health.php`",
  );
  expect(failureMessage(FAILURES.locked, 'shop').message).toBe(
    'Another swap-pool is at work on this app: pid 4711 (deploy shop, by root) since 2026-11-21 20:43:01Z.',
  );
  expect(failureMessage(FAILURES['nginx-syntax']).message).toBe(
    '/etc/nginx/conf.d/shop.conf:3:9: unexpected "}".',
  );
  expect(failureMessage(FAILURES['drain-timeout'], 'shop')).toEqual({
    message: 'The blue pool is not drained after 5 min: 2 accepted, 1 queued, 2 working, 1 old nginx worker.',
    hint: '`swap-pool recover shop` goes on waiting, `swap-pool recover shop --now` ends it with requests in flight.',
  });
  expect(failureMessage(FAILURES['config-invalid'])).toMatchObject({
    message: '/etc/swap-pool/shop.yaml:4:1: the key pol is unknown.',
    hint: 'Write pool.',
  });
  expect(failureMessage(FAILURES.usage).message).toBe("Unknown option '--frobnicate'.");
});

it('a bug keeps its stack below one sentence', () => {
  expect(messageLines(failureMessage(FAILURES.bug)).slice(0, 2)).toEqual([
    'swap-pool has a bug: TypeError: x is not a function.',
    '    |     at act (/srv/swap-pool.cjs:1:2)',
  ]);
});

it('a configuration that nginx rejects is told with its place, where nginx names it', () => {
  const output = [
    'nginx: [warn] conflicting server name "x" on 0.0.0.0:80, ignored',
    'nginx: [emerg] unknown directive "no_such" in /etc/nginx/nginx.conf:12',
    'nginx: configuration file /etc/nginx/nginx.conf test failed',
  ].join('\n');
  expect(failureMessage({ reason: 'nginx-config-broken', output }).message).toBe(
    'nginx -t rejects nginx\'s configuration as it is now: unknown directive "no_such" in /etc/nginx/nginx.conf:12.',
  );
  expect(failureMessage({ reason: 'nginx-config-broken', output: 'killed' }).message).toBe(
    "nginx -t rejects nginx's configuration as it is now.",
  );
});

it('memory is told in MiB', () => {
  expect(warningMessage(WARNINGS['little-memory']).message).toBe(
    'Both pools together need about 1,907 MiB more, and 381 MiB are available.',
  );
});

it('a log of a thousand lines adds its last twenty', () => {
  const log = Array.from({ length: 1000 }, (_, i) => `line ${String(i)}`).join('\n');
  const { details } = failureMessage({ reason: 'pool-died', slot: 'green', log });
  expect(details).toHaveLength(20);
  expect(details?.at(-1)).toBe('line 999');
});

it('a fact that is empty leaves no comma behind', () => {
  const done = { type: 'step-done', step: 'switch', slot: 'green', revert: true, ms: 310 } as const;
  const at = { time: '', app: 'shop' };
  expect(eventLine({ ...done, ...at, note: { kind: 'files', files: [] } })).toBe(
    'revert switch green: 310 ms',
  );
  expect(eventLine({ ...done, ...at, note: null })).toBe('revert switch green: 310 ms');
});

it('a plan says that nothing serves only where the pool has to be started', () => {
  const plan = { ...PLAN, command: 'start', from: null, to: 'blue', switch: 'symlink' } as const;
  expect(planLine({ ...plan, steps: ['start', 'probe', 'switch'] }, 'shop')).toBe(
    'start shop: blue starts by symlink, nothing serves now',
  );
  expect(planLine({ ...plan, steps: ['probe', 'switch'] }, 'shop')).toBe(
    'start shop: nginx is led to blue, which runs, by symlink',
  );
});

it('an interrupted demo has reverted nothing: it is gone', () => {
  const { message, hint } = failureMessage({ reason: 'interrupted', signal: 'SIGINT', demo: true });
  expect(`${message} ${hint}`).not.toMatch(/revert|before the switch/);
});

describe('how it ended', () => {
  const ends: { readonly [O in Outcome]: string | null } = {
    done: 'blue -> green in 0.4 s, 0 requests cut',
    // a dry run
    unchanged: 'Unchanged: nothing was touched.',
    reverted: 'Reverted in 0.4 s: blue serves as before, 0 requests cut.',
    refused: 'Refused: nothing was begun, blue serves as before.',
    usage: null,
    locked: 'Locked: nothing was touched.',
    stranded:
      'Stranded: a person has to look. `swap-pool status shop` says which slot serves, `swap-pool recover shop` looks again.',
    draining:
      'green serves; blue still drains and was kept. `swap-pool recover shop` ends it, 0 requests cut.',
    interrupted: 'Interrupted in 0.4 s: blue serves as before, 0 requests cut.',
  };
  it.each(Object.entries(ends))('%s', (outcome, line) => {
    expect(resultLine({ ...RESULT, outcome: outcome as Outcome }, 'shop')).toBe(line);
  });

  const bare = { command: 'recover', exit: 0 } as const;
  it.each<[string, CommandResult, string | null]>([
    ['a first deploy', { ...RESULT, from: null, ms: { total: 71 } }, 'green serves in 71 ms, 0 requests cut'],
    [
      'one request was cut',
      { ...RESULT, drain: { accepted: 1, queued: 0, cut: 1 } },
      'blue -> green in 0.4 s, at most 1 request cut',
    ],
    [
      'nothing to do',
      { ...RESULT, outcome: 'unchanged', from: 'green' },
      'Unchanged: green serves, nothing was touched.',
    ],
    ['nothing to recover', { ...bare, outcome: 'done' }, 'Nothing is left open.'],
    [
      'a bug, whatever outcome was put down',
      { command: 'deploy', exit: 70, outcome: 'refused' },
      'Stranded: a person has to look. `swap-pool status` says which slot serves, `swap-pool recover` looks again.',
    ],
    ['no outcome', { command: 'status', exit: 0 }, null],
    [
      'reverted with nothing before',
      { command: 'deploy', exit: 1, outcome: 'reverted' },
      'Reverted: nothing is left of it.',
    ],
  ])('%s', (_name, result, line) => {
    expect(resultLine(result, null)).toBe(line);
  });
});

it('every event has its line', () => {
  const lines = DEPLOYED.map(eventLine);
  expect(lines).toContain('drain blue: 2 accepted, 0 queued, 2 working, 1 old nginx worker');
  for (const line of lines) expect(line).toMatch(/^[\x20-\x7e]+$/);
});

it.each<[StepNote, string]>([
  [{ kind: 'pid', pid: 4121, adopted: true }, 'pid 4121, ran already'],
  [{ kind: 'answers', answers: 1, user: null }, '1 answer'],
  [{ kind: 'files', files: ['/a', '/b', '/c'] }, '/a and 2 more'],
  [{ kind: 'seen', by: 'no-traffic' }, 'no traffic to see'],
  [{ kind: 'signal', signal: 'SIGKILL' }, 'by KILL'],
])('note %o', (note, text) => {
  expect(noteText(note)).toBe(text);
});

it.each(Object.values(NOTICES).map((notice) => [notice.kind, notice] as const))(
  'the notice %s is one plain line',
  (_, notice) => {
    const text = noticeText(notice);
    expect(text).toMatch(/^[\x20-\x7e]+$/);
    expect(text).not.toMatch(/undefined|null|NaN|\[object| {2}/);
    expect(noticeText(poisoned(notice, '\u001b[2J\n'))).toMatch(/^[\x20-\x7e]+$/);
  },
);

it('how a verb of nginx ended is said once', () => {
  const line = (verb: NginxVerb, outcome: Outcome): string | null =>
    resultLine({ command: 'nginx', verb, outcome, exit: 0 });
  expect(NGINX_VERBS.map((verb) => line(verb, 'done')).every((text) => text?.startsWith('nginx '))).toBe(
    true,
  );
  expect(line('stop', 'unchanged')).toBe('nginx does not run: nothing to do.');
  expect(line('upgrade', 'reverted')).toBe('Reverted: the old binary serves as before.');
  expect(line('upgrade', 'interrupted')).toContain('the old binary serves');
  expect(line('stop', 'interrupted')).toContain('goes on without us');
  expect(line('upgrade', 'refused')).toBeNull();
});

describe('how a pool verb ended', () => {
  const pool = { command: 'pool', verb: 'stop', slot: 'blue', ms: { total: 71 } } as const;
  const drain = { accepted: 2, queued: 0, cut: 0 };
  it.each<[string, CommandResult, string | null]>([
    ['stopped', { ...pool, outcome: 'done', exit: 0, drain }, 'blue is stopped in 71 ms, 0 requests cut'],
    [
      'reloaded',
      { ...pool, verb: 'reload', outcome: 'done', exit: 0 },
      'blue was reloaded and answers in 71 ms',
    ],
    [
      'runs already',
      { ...pool, verb: 'start', outcome: 'unchanged', exit: 0 },
      'Unchanged: blue runs already.',
    ],
    ['stopped already', { ...pool, outcome: 'unchanged', exit: 0 }, 'Unchanged: blue does not run.'],
    ['refused', { ...pool, outcome: 'refused', exit: 1 }, 'Refused: blue was not touched.'],
    ['locked', { ...pool, outcome: 'locked', exit: 3 }, 'Locked: nothing was touched.'],
    ['kept', { ...pool, outcome: 'reverted', exit: 1 }, 'Not done in 71 ms: blue is as it was before.'],
    [
      'interrupted',
      { ...pool, outcome: 'interrupted', exit: 130 },
      'Interrupted in 71 ms: blue is as it was before.',
    ],
    [
      'gone',
      { ...pool, verb: 'reload', outcome: 'stranded', exit: 4 },
      'A person has to look: `swap-pool pool status blue shop` shows what runs in blue.',
    ],
    ['a check found something', { ...pool, verb: 'reload', exit: 1 }, null],
    ['a status', { command: 'pool', verb: 'status', slot: 'blue', exit: 3 }, null],
    ['usage', { ...pool, outcome: 'usage', exit: 2 }, null],
  ])('%s', (_name, result, line) => {
    expect(resultLine(result, 'shop')).toBe(line);
  });
});

it('a question says what it would do to the site, and names the way that hurts nobody', () => {
  const { question } = FAILURES['answer-needed'];
  expect(questionLines(question, 'shop')).toEqual([
    'Blue serves the site: stop would cut up to 2 accepted, 1 queued, 2 working, and the site would be without its pool from then on.',
    'hint: `swap-pool deploy shop` moves the site to the other slot first, and cuts none.',
    'stop blue? [y/N] ',
  ]);
  expect(questionLines({ kind: 'init-write', files: 3 })).toEqual(['Write 3 files? [y/N] ']);
});

describe('of several lives of one slot', () => {
  const holders = (...reachable: (boolean | null)[]): Finding => ({
    severity: 'error',
    app: 'shop',
    fixable: false,
    observation: {
      ...OBSERVATIONS['several-lives'],
      holders: OBSERVATIONS['several-lives'].holders.map((life, at) => ({
        ...life,
        reachable: reachable[at] ?? null,
      })),
    },
  });
  it('the one that answers is never named to be ended', () => {
    const { hint } = findingMessage(holders(false, true));
    expect(hint).toContain('`kill -STOP 12; pkill -KILL -P 12; kill -KILL 12`');
    expect(hint).not.toContain('13');
  });
  it('none is named where it cannot be told which answers', () => {
    expect(findingMessage(holders(false, null)).hint).not.toContain('kill ');
  });
  it('where none answers, all are ended and one is started', () => {
    const { hint } = findingMessage(holders(false, false));
    expect(hint).toContain('kill -KILL 12`');
    expect(hint).toContain('kill -KILL 13`');
    expect(hint).toContain('`swap-pool start shop`');
  });
});
