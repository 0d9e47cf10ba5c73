import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Event, EventBody } from '../../src/event.js';
import { createJson, toJson } from '../../src/ui/json.js';
import { guard } from '../../src/ui/out.js';
import { Sink } from './screen.js';
import {
  ALL_FAILURES,
  ALL_WARNINGS,
  DEPLOYED,
  FAILURES,
  REVERTED,
  STATUS,
  WARNINGS,
  event,
} from './samples.js';

const parsed = (e: Event): Record<string, unknown> => JSON.parse(toJson(e)) as Record<string, unknown>;

it('each line is one object with type, time, app, and inside a deploy its id', () => {
  const bodies: EventBody[] = [
    ...ALL_FAILURES.map((failure) => ({ type: 'failure' as const, failure })),
    ...ALL_WARNINGS.map((warning) => ({ type: 'warning' as const, warning })),
  ];
  for (const e of [...DEPLOYED, ...REVERTED, ...bodies.map((body) => event(body))]) {
    expect(toJson(e)).not.toContain('\n');
    const line = parsed(e);
    expect(
      Object.keys(line)
        .filter((key) => key !== 'schema')
        .slice(0, 4),
    ).toEqual(['type', 'time', 'app', 'deploy']);
    expect(line).toMatchObject({ type: e.type, app: 'shop', deploy: '20261121T204301.000Z-4711' });
  }
});

describe('a result', () => {
  it('is flat, whole milliseconds, schema 1', () => {
    expect(DEPLOYED.slice(-1).map(toJson)).toEqual([
      '{"type":"result","schema":1,"time":"2026-11-21T20:43:01.392Z","app":"shop","deploy":"20261121T204301.000Z-4711",' +
        '"command":"deploy","outcome":"done","exit":0,"from":"blue","to":"green","switch":"rewrite",' +
        '"ms":{"start":24,"probe":9,"switch":133,"verify":2,"drain":212,"retire":1,"stop":8,"total":390},' +
        '"drain":{"accepted":2,"queued":0,"cut":0}}',
    ]);
  });

  it('carries reason, sentence and hint of its failure', () => {
    const failure = { ...FAILURES['still-draining'] };
    expect(
      parsed(
        event(
          { type: 'result', result: { command: 'deploy', outcome: 'refused', exit: 1, failure } },
          0,
          null,
        ),
      ),
    ).toEqual({
      type: 'result',
      schema: 1,
      time: '2026-11-21T20:43:01.000Z',
      app: null,
      command: 'deploy',
      outcome: 'refused',
      exit: 1,
      failure: {
        reason: 'still-draining',
        message: 'The blue pool still drains: a deploy is not finished.',
        hint: '`swap-pool recover` waits for it, `swap-pool recover --now` ends it with requests in flight.',
      },
    });
  });

  it('of status has the apps and nginx as they are, a failure with its sentence', () => {
    const apps = [STATUS, { ...STATUS, app: 'blog', slots: null, failure: FAILURES['nginx-gone'] }];
    const nginx = { pid: 812, workers: 2, retiring: 0 };
    const line = parsed(
      event({ type: 'result', result: { command: 'status', exit: 0, apps, nginx } }, 0, null),
    );
    expect(line).toMatchObject({
      apps: [
        STATUS,
        { app: 'blog', failure: { reason: 'nginx-gone', message: "nginx's master, pid 812, is gone." } },
      ],
      nginx,
    });
    expect(line).not.toHaveProperty('outcome');
  });
});

it('a failure keeps its facts beside its sentence, and so does its cause', () => {
  expect(parsed(event({ type: 'failure', failure: FAILURES.stranded }))).toMatchObject({
    failure: {
      reason: 'stranded',
      message: 'Nothing more can be done safely without a person: it cannot be told which slot serves.',
      detail: 'it cannot be told which slot serves',
      cause: { reason: 'nginx-gone', message: "nginx's master, pid 812, is gone.", pid: 812 },
    },
  });
  expect(parsed(event({ type: 'warning', warning: WARNINGS.cut }))).toMatchObject({
    warning: {
      reason: 'cut',
      slot: 'blue',
      cut: 2,
      message: 'At most 2 requests of the blue pool were cut.',
    },
  });
});

it('foreign text comes through whole, yet nothing in a line can drive a terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (log) => {
      const text = toJson(event({ type: 'failure', failure: { reason: 'pool-died', slot: 'green', log } }));
      expect(text).not.toMatch(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/u);
      expect(JSON.parse(text)).toMatchObject({ failure: { log } });
    }),
  );
});

describe('the voice', () => {
  const speak = (
    { quiet = false, github = false },
    events: readonly Event[] = REVERTED,
  ): { out: Sink; err: Sink } => {
    const [out, err] = [new Sink(), new Sink()];
    const voice = createJson({ out: guard(out), err: guard(err), quiet, github });
    for (const e of events) voice.emit(e);
    voice.close();
    return { out, err };
  };

  it('says a failure once on stderr, though the result repeats it', () => {
    const { out, err } = speak({});
    expect(out.raw.trimEnd().split('\n')).toEqual(REVERTED.map(toJson));
    expect(err.raw.match(/The green pool answered 500/g)).toHaveLength(1);
    expect(err.raw).not.toContain('::error::');
  });

  it('quiet: stderr stays empty', () => {
    expect(speak({ quiet: true, github: true }).err.raw).toBe('');
  });

  it('in GitHub Actions a failure is annotated, and a log line gives the runner no orders on either stream', () => {
    const log = '::stop-commands::x\n ##[add-path]/tmp\n';
    const failed = event({ type: 'failure', failure: { reason: 'pool-died', slot: 'green', log } });
    const { out, err } = speak({ github: true }, [failed]);
    const orders = err.raw.split('\n').filter((line) => line.trim().startsWith('::'));
    expect(orders).toEqual([expect.stringMatching(/^::error::shop: /)]);
    expect(err.raw.split('\n').filter((line) => !line.startsWith('::') && line.includes('##['))).toEqual([]);
    expect(out.raw).not.toContain('##[');
    expect(JSON.parse(out.raw)).toMatchObject({ failure: { log } });
  });
});
