import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { backlog } from '../../src/doctor/backlog.js';
import { elsewhere } from '../../src/doctor/elsewhere.js';
import { idleClients, isAtLeast } from '../../src/doctor/idle-clients.js';
import { leftovers } from '../../src/doctor/leftovers.js';
import { deployWarnings } from '../../src/doctor/pool-advice.js';
import { longRetiring } from '../../src/doctor/retiring-workers.js';
import { served } from '../../src/doctor/served.js';
import { socketPath, tooLong } from '../../src/doctor/socket-path.js';
import { statusListen } from '../../src/doctor/status-listen.js';
import { roomy, rooms, storage } from '../../src/doctor/storage.js';
import type { Check, NginxFacts, Subject, Verdict } from '../../src/doctor/subject.js';
import type { SlotView } from '../../src/drivers.js';
import type { PidfileState, ProcessId, Slot, Warning } from '../../src/event.js';
import { readTree } from '../../src/nginx/tree.js';
import { unitAdvice } from '../../src/pool/advice.js';
import type { FpmSlot } from '../../src/pool/slots.js';
import { parseUnits } from '../../src/pool/unit.js';
import { procfs } from '../../src/system/proc.js';

const fs = procfs();
const id = (pid: number, start = 100): ProcessId => ({ boot: 'b', pid, start });

const view = (slot: Slot, more: Partial<SlotView> = {}): SlotView => ({
  slot,
  state: 'stopped',
  address: '127.0.0.1:9001',
  life: null,
  connections: { accepted: 0, queued: 0 },
  working: 0,
  idle: 0,
  pidfile: 'missing',
  holder: null,
  retired: false,
  lost: false,
  warnings: [],
  ...more,
});
const running = (slot: Slot): SlotView =>
  view(slot, { state: 'running', life: { master: id(7), workers: [id(8)] } });

/** What a check looks at of it; the rest is not there, and a check that reads it fails. */
function subject(more: Partial<Subject>): Subject {
  const nothing = {
    slots: null,
    views: {},
    active: null,
    led: 'known',
    pools: null,
    proxy: null,
    nginx: null,
  };
  const config = { switch: { by: 'rewrite' } };
  return {
    fs,
    config,
    ...nothing,
    silent: {},
    lives: {},
    elsewhere: [],
    inBetween: false,
    ...more,
  } as Subject;
}
const slots = (more: Partial<FpmSlot>): Subject['slots'] => {
  const address = { kind: 'unix', path: '/run/shop.sock' } as const;
  const one = {
    kind: 'php-fpm',
    address,
    others: [],
    statusListens: [],
    statusPath: '/status',
    statusAddress: address,
    backlog: -1,
    pidfile: null,
    errorLog: null,
    ...more,
  };
  const green = { ...one, statusAddress: address, statusListens: [], backlog: -1, address };
  return { blue: one, green } as Subject['slots'];
};

const said = (verdicts: readonly Verdict[]): string[] =>
  verdicts.map((verdict) => {
    const about =
      'failure' in verdict ? verdict.failure : 'warning' in verdict ? verdict.warning : verdict.observation;
    return `${verdict.severity} ${about.reason}${verdict.fixable === true ? ' fixable' : ''}`;
  });
const says = (check: Check, more: Partial<Subject>): string[] => said(check(subject(more)));

describe('what a deploy warns of', () => {
  const warned = (...warnings: Warning[]): Partial<Subject> => ({
    slots: slots({}),
    pools: { warnings: () => warnings } as unknown as Subject['pools'],
  });
  it.each<[Warning, string]>([
    [{ reason: 'control-timeout-zero', slot: 'blue' }, 'warning'],
    [{ reason: 'few-workers', start: 2, busy: 9, pm: 'static' }, 'warning'],
    [{ reason: 'no-probe-script' }, 'warning'],
    [{ reason: 'probe-weak', slot: 'blue' }, 'warning'],
    [{ reason: 'little-memory', needed: 9, available: 1 }, 'warning'],
    [{ reason: 'unit-kill-signal', slot: 'blue', unit: 'a.service', signal: 'SIGTERM' }, 'warning'],
    [{ reason: 'unit-runtime-folder', units: ['a', 'b'], folder: '/run/a' }, 'warning'],
    [{ reason: 'no-status', slot: 'blue' }, 'advice'],
    [{ reason: 'variable-reference', places: [] }, 'advice'],
  ])('%j is told once', (warning, severity) => {
    expect(says(deployWarnings, warned(warning))).toEqual([`${severity} ${warning.reason}`]);
  });

  it('few workers are a matter of the slot that is started next', () => {
    const asked: unknown[] = [];
    const warnings = (from: SlotView | null, to: Slot): Warning[] => {
      asked.push([from?.slot ?? null, to]);
      return [];
    };
    const pools = { warnings } as unknown as Subject['pools'];
    says(deployWarnings, { slots: slots({}), pools, active: 'green', views: { green: running('green') } });
    expect(asked).toEqual([
      ['green', 'blue'],
      [null, 'green'],
    ]);
  });

  it('what would be refused is an error', () => {
    const place = { place: { file: '/a', line: 1 }, slot: 'blue', address: 'unix:/b' } as const;
    const proxy = {
      warnings: [],
      otherPools: [place],
      active: 'blue',
      unused: [],
      leftBehind: [{ file: '/a', line: 2 }],
    };
    expect(says(deployWarnings, { proxy: proxy as unknown as Subject['proxy'] })).toEqual([
      'error master-shared',
      'warning left-behind',
    ]);
  });
});

describe('a pidfile that names', () => {
  it.each<[PidfileState, boolean]>([
    ['dead', true],
    ['empty', true],
    ['garbage', true],
    ['several-lines', true],
    ['reused', true],
    ['init', true],
    ['other-master', false],
    ['writable', false],
  ])('%s: may be removed: %s', (state, fixable) => {
    const warning = { reason: 'pidfile', slot: 'blue', path: '/run/a.pid', state, pid: 1 } as const;
    const expected = `warning pidfile${fixable ? ' fixable' : ''}`;
    expect(says(leftovers, { views: { blue: view('blue', { warnings: [warning] }) } })).toEqual([expected]);
    // of a pool that lives nothing is removed
    const alive = { ...running('blue'), warnings: [warning] };
    expect(says(leftovers, { views: { blue: alive } })).toEqual(['warning pidfile']);
  });

  it('nobody, since a stranger holds the address, is no finding beside him', () => {
    const warning = { reason: 'pidfile', slot: 'blue', path: '/a', state: 'missing', pid: null } as const;
    const seen = view('blue', { state: 'foreign', warnings: [warning] });
    expect(says(leftovers, { views: { blue: seen } })).toEqual([]);
  });
});

describe('who serves', () => {
  it.each<[string, Partial<Subject>, string[]]>([
    ['all is well', { active: 'blue', views: { blue: running('blue'), green: view('green') } }, []],
    ['nobody', { active: 'blue', views: { blue: view('blue'), green: view('green') } }, ['error not-served']],
    [
      'a stranger at the address is a finding of its own',
      { active: 'blue', views: { blue: view('blue', { state: 'foreign' }) } },
      [],
    ],
    [
      'both',
      { active: 'blue', views: { blue: running('blue'), green: running('green') } },
      ['warning standby-running'],
    ],
    [
      'both, while a deploy is at it',
      { active: 'blue', views: { blue: running('blue'), green: running('green') }, inBetween: true },
      [],
    ],
    [
      'nobody, if nginx has read its files',
      { active: 'blue', led: 'doubtful', views: { blue: view('blue'), green: running('green') } },
      ['error not-served'],
    ],
    [
      'nobody is called so, nor a standby, by files that nginx has not read',
      { active: 'blue', led: 'unknown', views: { blue: view('blue'), green: running('green') } },
      [],
    ],
    ['not to be told which', { active: null, views: { blue: view('blue'), green: view('green') } }, []],
  ])('%s', (_, more, expected) => {
    expect(says(served, more)).toEqual(expected);
  });
});

describe('a master that listens where its file does not say', () => {
  const one = {
    master: { pid: 7, command: 'php-fpm', user: 'root' },
    slot: null,
    config: '/a',
    addresses: ['unix:/b'],
    perhapsOthers: false,
  };
  const alive = { blue: running('blue'), green: view('green') };
  it.each<[string, Partial<Subject>, string[]]>([
    ['is told', { elsewhere: [one], views: alive }, ['warning listens-elsewhere']],
    [
      'or nowhere, is told',
      { elsewhere: [{ ...one, addresses: [] }], views: alive },
      ['warning listens-elsewhere'],
    ],
    ['or nowhere yet, is not', { elsewhere: [{ ...one, addresses: [] }], inBetween: true }, []],
    [
      'with its status page alone, waits for the next deploy',
      { elsewhere: [{ ...one, slot: 'blue' }], views: alive },
      ['advice listens-elsewhere'],
    ],
    ['may be another app’s', { elsewhere: [{ ...one, perhapsOthers: true }], views: alive }, []],
    [
      'may be this app’s, where nothing else is',
      { elsewhere: [{ ...one, perhapsOthers: true }], views: { blue: view('blue') } },
      ['advice listens-elsewhere'],
    ],
  ])('%s', (_, more, expected) => {
    expect(says(elsewhere, more)).toEqual(expected);
  });
});

describe('a socket’s path', () => {
  const path = (bytes: number): string => `/${'x'.repeat(bytes - 1)}`;
  it.each([
    [99, []],
    [100, ['advice socket-path-long']],
    [107, ['advice socket-path-long']],
  ])('of %i bytes', (bytes, expected) => {
    expect(says(socketPath, { slots: slots({ address: { kind: 'unix', path: path(bytes) } }) })).toEqual(
      expected,
    );
  });

  it('of a status page counts as well', () => {
    const long = { kind: 'unix', path: path(107) } as const;
    expect(says(socketPath, { slots: slots({ statusListens: [long], statusAddress: long }) })).toEqual([
      'advice socket-path-long',
    ]);
  });

  it('that is too long says so, where a deploy only says that it cannot be used', () => {
    const verdict = tooLong({ reason: 'address-invalid', slot: 'blue', address: path(108) });
    expect(said(verdict === null ? [] : [verdict])).toEqual(['error socket-path-long']);
    expect(tooLong({ reason: 'address-invalid', slot: 'blue', address: 'shop' })).toBeNull();
    expect(tooLong({ reason: 'address-invalid', slot: 'blue', address: '/run/a/' })).toBeNull();
  });
});

describe('FPM’s keys', () => {
  it('a backlog above somaxconn', () => {
    expect(says(backlog, { slots: slots({ backlog: 2_000_000_000 }) })).toEqual(['advice backlog-cut']);
    expect(says(backlog, { slots: slots({ backlog: 1 }) })).toEqual([]);
    expect(says(backlog, { slots: slots({}) })).toEqual([]);
  });

  it('a status page without a socket of its own', () => {
    expect(says(statusListen, { slots: slots({ statusAddress: null }) })).toEqual([
      'advice no-status-listen',
    ]);
    expect(says(statusListen, { slots: slots({ statusAddress: null, statusPath: null }) })).toEqual([]);
    expect(says(statusListen, { slots: slots({}) })).toEqual([]);
  });
});

describe('nginx’s old workers', () => {
  const hour = 3_600_000;
  const workers = (
    births: Record<number, number>,
    retiring: number[],
  ): Pick<NginxFacts, 'workers' | 'born'> => ({
    born: ({ pid }) => births[pid] ?? 0,
    workers: {
      untitled: [],
      retiring: retiring.map((pid) => id(pid)),
      serving: Object.keys(births).flatMap((pid) => (retiring.includes(Number(pid)) ? [] : id(Number(pid)))),
    },
  });
  it.each<[string, Record<number, number>, number[], number[]]>([
    ['none', { 1: 0 }, [], []],
    ['retired an hour ago', { 1: 0, 2: hour }, [1], [1]],
    ['retired a moment ago, however old', { 1: 0, 2: 2 * hour - 1000 }, [1], []],
    ['the generation after it is gone, a later one counts', { 1: 0, 2: 0.5 * hour, 3: hour }, [1, 2], [1, 2]],
    ['its own generation is none after it', { 1: 0, 2: 50, 3: 2 * hour - 1 }, [1, 2], []],
  ])('%s', (_, births, retiring, expected) => {
    const found = longRetiring(workers(births, retiring), 2 * hour);
    expect(found.map(({ id: { pid } }) => pid)).toEqual(expected);
  });
});

it.each([
  ['1.27.4', true],
  ['1.28', true],
  ['2.0.0', true],
  ['1.27.3', false],
  ['1.22.1', false],
])('whether %s knows keepalive_min_timeout: %s', (version, expected) => {
  expect(isAtLeast(version, [1, 27, 4])).toBe(expected);
});

describe('clients that a reload would hit', () => {
  const nginx = (text: string, version: string | null): Subject['nginx'] => {
    const tree = readTree('/n.conf', {
      read: (path) => ({ ok: true, bytes: Buffer.from(text), real: path }),
      glob: () => [],
      confPrefix: '/',
    });
    return { tree, version } as unknown as Subject['nginx'];
  };
  const site = (more = ''): string => `http { server { listen 80; ${more} } }`;
  const found = (more: Partial<Subject>): unknown[] =>
    idleClients(subject(more)).map((verdict) => 'observation' in verdict && verdict.observation);

  it('are told, and whether this nginx can spare them', () => {
    expect(found({ nginx: nginx(site(), '1.27.4') })).toMatchObject([
      { reason: 'reload-hits-idle', mendable: true, version: '1.27.4' },
    ]);
    expect(found({ nginx: nginx(site(), '1.22.1') })).toMatchObject([{ mendable: false }]);
    expect(found({ nginx: nginx(site(), null) })).toMatchObject([{ mendable: false }]);
  });

  it('are none where nothing is kept alive, or is for long enough, or where nothing is reloaded', () => {
    expect(found({ nginx: nginx(site('keepalive_timeout 0;'), '1.27.4') })).toEqual([]);
    expect(found({ nginx: nginx(site('keepalive_min_timeout 1s;'), '1.27.4') })).toEqual([]);
    const config = { switch: { by: 'symlink' } } as Subject['config'];
    expect(found({ config, nginx: nginx(site(), '1.27.4') })).toEqual([]);
    expect(found({ nginx: null })).toEqual([]);
  });
});

describe('a unit', () => {
  const warned = (blue: string, green: string): string[] => {
    const text = (name: string, more: string): string =>
      `Id=${name}\nLoadState=loaded\nKillSignal=3\n${more}\n`;
    const [first, second] = parseUnits(`${text('b.service', blue)}\n${text('g.service', green)}`);
    if (first === undefined || second === undefined) throw new Error('no units');
    const to = { kind: 'php-fpm', slot: 'green', controlTimeout: 10_000 } as FpmSlot;
    return unitAdvice({ blue: first, green: second }, to).map((warning) =>
      [warning.reason, 'signal' in warning ? warning.signal : '', 'folder' in warning ? warning.folder : '']
        .filter(Boolean)
        .join(' '),
    );
  };
  const stop = (argv: string): string =>
    `ExecStop={ path=/bin/x ; argv[]=${argv} ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] }`;

  it.each<[string, string[]]>([
    ['', []],
    [stop('/bin/kill -TERM 12'), ['unit-kill-signal SIGTERM']],
    [stop('/bin/kill -s SIGTERM 12'), ['unit-kill-signal SIGTERM']],
    [stop('/bin/kill -15 12'), ['unit-kill-signal SIGTERM']],
    [stop('/bin/kill $MAINPID'), ['unit-kill-signal SIGTERM']],
    [stop('/usr/bin/pkill --signal INT -P 12'), ['unit-kill-signal SIGINT']],
    [stop('/bin/kill -QUIT 12'), []],
    [stop('/bin/kill -s QUIT 12'), []],
    [stop('/usr/bin/swap-pool pool stop green'), []],
    ['TimeoutStopUSec=5s', ['unit-stop-timeout']],
    ['TimeoutStopUSec=500ms', ['unit-stop-timeout']],
    ['TimeoutStopUSec=1min 30s', []],
    ['TimeoutStopUSec=infinity', []],
  ])('with %j: %j', (green, expected) => {
    expect(warned('', green)).toEqual(expected);
  });

  it.each([
    ['shop', 'shop', ['unit-runtime-folder /run/shop']],
    ['shop', 'shop/green', ['unit-runtime-folder /run/shop']],
    ['shop/blue', 'shop', ['unit-runtime-folder /run/shop']],
    ['shop-blue', 'shop', []],
    ['shop/blue', 'shop/green', []],
  ])('with the folder %s beside one with %s: %j', (blue, green, expected) => {
    const folder = (name: string): string => `RuntimeDirectory=${name}\nRuntimeDirectoryPreserve=no`;
    expect(warned(folder(blue), folder(green))).toEqual(expected);
  });
});

describe('where swap-pool writes', () => {
  const at = (folder: string) => ({ state: folder, run: folder, locks: folder });
  it('a folder that is not there yet is judged by the one above it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
    try {
      expect(storage(at(join(folder, 'a/b')), 'shop')).toEqual([]);
      writeFileSync(join(folder, 'file'), '');
      expect(storage(at(join(folder, 'file/b')), 'shop')).toMatchObject([
        { failure: { reason: 'state-unwritable', path: join(folder, 'file'), code: 'ENOTDIR' } },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('and where nginx’s files, logs and pidfiles are, there has to be room', () => {
    const folder = mkdtempSync(join(tmpdir(), 'doctor-'));
    try {
      for (const name of ['nginx', 'log', 'run']) mkdirSync(join(folder, name));
      const proxy = { changes: [{ file: join(folder, 'nginx/shop.conf') }] } as unknown as Subject['proxy'];
      const own = slots({ errorLog: join(folder, 'log/fpm.log'), pidfile: join(folder, 'run/new/fpm.pid') });
      const told = (available: number): unknown[] =>
        rooms(proxy, own, () => ({ ok: true, value: available })).map((verdict) =>
          'observation' in verdict && verdict.observation.reason === 'little-space'
            ? [verdict.observation.what, verdict.observation.path]
            : null,
        );
      expect(told(4096)).toEqual([
        ['pool', join(folder, 'run')],
        ['pool', join(folder, 'log')],
        ['proxy', join(folder, 'nginx')],
      ]);
      expect(told(1e9)).toEqual([]);
      expect(rooms(null, slots({ errorLog: '/proc/self/fd/2' }), () => ({ ok: true, value: 0 }))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('a full disk', () => {
    expect(said(roomy('/var', 4096))).toEqual(['error little-space']);
    expect(roomy('/var', 1e9)).toEqual([]);
  });
});
