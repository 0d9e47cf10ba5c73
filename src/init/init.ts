/**
 * `init`: from what the host has to the files of an app. Looks, renders, shows, asks, has every file judged,
 * and writes all or none. Nothing is started, stopped or reloaded.
 */
import { dirname, join, resolve } from 'node:path';
import { fail, ok } from '../event.js';
import type { Emit, Failure, InitFile, InitReport, NextStep, Result, Warning } from '../event.js';
import { test } from '../nginx/config-tree.js';
import { applyEdits, diff } from '../nginx/edit.js';
import { binary } from '../nginx/spelling.js';
import { timestamp } from '../system/clock.js';
import { readBytes, removeFolder, removeTemporaries } from '../system/files.js';
import { createLocks } from '../system/locks.js';
import { places } from '../system/places.js';
import type { Places } from '../system/places.js';
import { scratchFolder } from '../system/scratch.js';
import { untrustedPart } from '../system/trust.js';
import { lookAtHost, realOf, roomForUpstream } from './host.js';
import type { Host, Sources } from './host.js';
import { judge } from './judge.js';
import type { Planned } from './judge.js';
import { place } from './place.js';
import type { Write } from './place.js';
import { siteEdits } from './site.js';
import { hasUnits, wantedFiles } from './wanted.js';
import type { Manager, Self, Wishes } from './wanted.js';
import { shellWord } from './words.js';

export interface InitOptions extends Sources {
  readonly app: string;
  /** The app's YAML. */
  readonly file: string;
  /** Default: systemd where the host runs it. */
  readonly manager?: Manager | undefined;
  readonly switch: 'rewrite' | 'symlink';
  readonly probe?: string | undefined;
  readonly force: boolean;
  /** Only show. */
  readonly print: boolean;
  readonly self: Self;
}

export interface Caller {
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
  readonly who: string;
  readonly command: string;
}

export interface InitEnd {
  readonly report: InitReport;
  /** False: there was nothing to write, or it was only shown. */
  readonly written: boolean;
}

const LOCK_WAIT = 30_000;
const TEST_TIMEOUT = 30_000;
/** chown(2): no other group. */
const KEPT = -1;

/** `agreed`: that so many files, which were shown, are to be written. */
export async function init(
  options: InitOptions,
  caller: Caller,
  emit: Emit,
  agreed: (files: number) => Promise<Result<void>>,
): Promise<Result<InitEnd>> {
  const root = caller.uid === 0;
  const where = places(caller.env, caller.uid);
  const unsafe = root ? untrustedPart(dirname(options.file), 0) : null;
  if (unsafe !== null) return fail({ reason: 'unsafe-path', ...unsafe });
  const plan = await look(options, where, caller);
  if (!plan.ok) return plan;
  for (const warning of plan.value.host.warnings) emit({ type: 'warning', warning });
  emit({ type: 'files', files: plan.value.shown });
  const made = scratchFolder('init', caller.uid);
  if (!made.ok) return made;
  const folder = made.value;
  try {
    const { host, planned, nginxFiles } = plan.value;
    const judged = await judge(planned, nginxFiles, {
      host,
      etc: where.etc,
      folder,
      root,
    });
    if (!judged.ok) {
      const unasked = options.print ? unaskedNginx(judged.failure, host) : null;
      if (unasked === null) return judged;
      emit({ type: 'warning', warning: unasked });
    }
  } finally {
    removeFolder(folder);
  }
  const { report, writes } = plan.value;
  if (options.print) return ok({ report: { ...report, backup: null }, written: false });
  const answer = writes.length === 0 ? ok(undefined) : await agreed(writes.length);
  if (!answer.ok) return answer;
  const written = await write(plan.value, options, where, caller, emit);
  return written.ok ? ok({ report, written: writes.length > 0 }) : written;
}

interface Plan {
  readonly host: Host;
  readonly shown: readonly InitFile[];
  readonly planned: readonly Planned[];
  readonly writes: readonly Write[];
  readonly nginxFiles: ReadonlyMap<string, Uint8Array>;
  readonly report: InitReport;
}

async function look(
  options: InitOptions,
  where: Places,
  { env, uid }: Pick<Caller, 'env' | 'uid'>,
): Promise<Result<Plan>> {
  const root = uid === 0;
  const found = await lookAtHost(options.app, options, root);
  if (!found.ok) return found;
  const host = found.value;
  const upstream = roomForUpstream(host, options.app);
  if (!upstream.ok) return upstream;
  const manager: Manager = options.manager ?? (host.systemd ? 'systemd' : 'direct');
  const wishes: Wishes = { ...options, manager };
  const moved = movedPlaces(env);
  const command =
    moved.length === 0 ? options.self.command : ['/usr/bin/env', ...moved, ...options.self.command];
  const self = { ...options.self, command };
  const wanted = wantedFiles(wishes, host, { places: where, upstream: upstream.value }, self);
  if (!wanted.ok) return wanted;

  const shown: InitFile[] = [];
  const planned: Planned[] = [];
  const writes: Write[] = [];
  const nginxFiles = new Map<string, Uint8Array>();
  const strangers: string[] = [];
  for (const { path: named, bytes, mode: readable, group, judge: by } of wanted.value) {
    const path = realOf(named);
    const there = readBytes(path);
    if (!there.ok && there.code !== 'ENOENT' && there.code !== 'ENOTDIR') {
      return fail({ reason: 'file-unreadable', path, code: there.code });
    }
    const before = there.ok ? there.value : null;
    if (before !== null && isShared(path) && binary(before).includes('managed by swap-pool')) {
      const theirs = [...binary(before).matchAll(MOVED)].map(([word]) => word);
      const ours = [...binary(bytes).matchAll(MOVED)].map(([word]) => word);
      if (theirs.join(' ') !== ours.join(' ')) return otherPlaces(path, theirs);
    }
    const owner = before === null ? null : ownerOf(binary(before));
    if (owner !== null && owner !== options.app)
      return fail({ reason: 'file-of-another-app', file: path, owner });
    const action = actionFor(before, bytes, options.force && !(by === 'nginx' && isSameForm(before, bytes)));
    if (action === null) {
      strangers.push(path);
      continue;
    }
    const stays = action === 'same' || action === 'keep';
    const after = stays && before !== null ? before : bytes;
    shown.push({ file: path, action, diff: stays ? '' : diff(before ?? new Uint8Array(), after, path) });
    planned.push({ path, bytes: after, judge: by });
    // who is not root cannot give a file to another group
    const closed = !root && group !== undefined && (readable & 0o004) === 0;
    const mode = closed ? readable & 0o700 : readable;
    if (!stays) writes.push({ path, before, after, mode, group: root || group === undefined ? group : KEPT });
    if (by === 'nginx' && !stays) nginxFiles.set(path, after);
  }
  if (strangers.length > 0) return fail({ reason: 'file-exists', files: strangers });
  const edited = siteWrite(options, host);
  if (!edited.ok) return edited;
  if (edited.value !== null) {
    const { path, before, after } = edited.value;
    shown.push({ file: path, action: 'edit', diff: diff(before ?? new Uint8Array(), after, path) });
    writes.push(edited.value);
    nginxFiles.set(path, after);
  }
  const backup = writes.some(({ before }) => before !== null)
    ? join(dirname(options.file), `${options.app}.backup`, timestamp().replace(/[-:]|\.\d+/g, ''))
    : null;
  const report: InitReport = {
    files: shown.map(({ file, action }) => ({ file, action })),
    backup,
    next: nextSteps(options, host, manager, moved),
  };
  return ok({ host, shown, planned, writes, nginxFiles, report });
}

/**
 * What the caller's environment says of swap-pool's folders, for those who have no such environment: units, cron,
 * logrotate, a shell of tomorrow.
 */
const movedPlaces = (env: NodeJS.ProcessEnv): readonly string[] =>
  ['SWAP_POOL_CONFIG_DIR', 'SWAP_POOL_STATE_DIR', 'SWAP_POOL_RUN_DIR'].flatMap((name) => {
    const value = env[name];
    return value === undefined ? [] : [`${name}=${resolve(value)}`];
  });

const MOVED = /SWAP_POOL_\w+_DIR=[^"'\n]*?(?=["' \n])/g;

/** A unit that serves every app, and so can look in one place only. */
const isShared = (path: string): boolean => /\/swap-pool(?:-flip)?@\.service$/.test(path);

/** The app that a file of cron's or logrotate's is for: their names know no dot, so two apps may mean one file. */
function ownerOf(text: string): string | null {
  const [, logs, deploys] =
    /^# managed by swap-pool: (?:the logs of both slots of (\S+)\.$|deploys (\S+) when )/m.exec(text) ?? [];
  return logs ?? deploys ?? null;
}

const otherPlaces = (path: string, theirs: readonly string[]): Result<never> =>
  fail({
    reason: 'usage',
    detail: `${path} serves every app, and ${theirs.length === 0 ? 'looks in the usual folders' : `has ${theirs.join(' ')}`}: call init with the same environment`,
  });

/** What is only shown needs no leave to write. nginx is the last to be asked: all others have agreed. */
function unaskedNginx(failure: Failure, { nginx: { config } }: Host): Warning | null {
  if (failure.reason !== 'config-unwritable' || dirname(failure.file) !== dirname(config)) return null;
  const { code } = failure;
  return code === 'EACCES' || code === 'EROFS' || code === 'EPERM'
    ? { reason: 'nginx-not-asked', config, code }
    : null;
}

/** Null: somebody else's file stands there. */
function actionFor(before: Buffer | null, bytes: Uint8Array, force: boolean): InitFile['action'] | null {
  if (before === null) return 'create';
  if (before.equals(bytes)) return 'same';
  if (force) return 'replace';
  return before.subarray(0, 400).includes('managed by swap-pool') ? 'keep' : null;
}

/** Whether an upstream names the same sockets: which of them comes first is then the last deploy's to say, not ours. */
function isSameForm(before: Buffer | null, bytes: Uint8Array): boolean {
  const sockets = (text: Uint8Array): string =>
    [...binary(text).matchAll(/^\s*server\s+(\S+?);?\s/gm)]
      .map(([, name]) => name)
      .sort()
      .join(' ');
  return before !== null && sockets(before) === sockets(bytes);
}

/** Null when the site names the upstream already, or none was named. */
function siteWrite(options: InitOptions, { site }: Host): Result<Write | null> {
  if (site === null) return ok(null);
  const { file, passes } = site;
  const edits = siteEdits(file.bytes, passes, {
    upstream: options.app,
    nextUpstream: options.switch === 'rewrite',
  });
  if (edits.length === 0) return ok(null);
  const after = applyEdits(file.bytes, edits);
  return after.ok ? ok({ path: file.real, before: file.bytes, after: after.value, mode: 0o644 }) : after;
}

/** Under nginx's lock: no deploy of another app edits its files meanwhile. */
async function write(
  { host, shown, writes, nginxFiles, report }: Plan,
  { file }: InitOptions,
  where: Places,
  caller: Caller,
  emit: Emit,
): Promise<Result<void>> {
  const lock = await createLocks(where, caller).takeProxy(realOf(host.nginx.config), LOCK_WAIT);
  if (!lock.ok) return lock;
  try {
    // of an init that was killed
    for (const path of [host.nginx.config, ...shown.map((each) => each.file)]) removeTemporaries(path);
    const placed = place(ordered(writes, file), report.backup);
    if (!placed.ok) return placed;
    for (const each of placed.value.unsynced)
      emit({ type: 'warning', warning: { reason: 'not-durable', ...each } });
    if (host.nginx.master === null || nginxFiles.size === 0) return ok(undefined);
    const tested = await test(host.nginx, TEST_TIMEOUT);
    if (!tested.ok) placed.value.undo();
    return tested;
  } finally {
    lock.value.release();
  }
}

/** The app's YAML makes it an app, the site sends it requests: these two come last. */
function ordered(writes: readonly Write[], yaml: string): readonly Write[] {
  const rank = ({ path, before }: Write): number => (path === realOf(yaml) ? 1 : before === null ? 0 : 2);
  return [...writes].sort((a, b) => rank(a) - rank(b));
}

/** In this order nothing is cut. */
function nextSteps(
  options: InitOptions,
  host: Host,
  manager: Manager,
  moved: readonly string[],
): readonly NextStep[] {
  const { app } = options;
  const units = hasUnits(host, manager);
  const words = (...all: readonly string[]): string => all.map(shellWord).join(' ');
  // a link has no second server to go to
  const more = options.switch === 'rewrite' ? ' fastcgi_next_upstream error;' : '';
  return [
    ...(units ? [{ why: 'units', command: 'systemctl daemon-reload' } as const] : []),
    {
      why: 'boot',
      command: units
        ? words('systemctl', 'enable', `swap-pool@${app}.service`)
        : words('update-rc.d', `swap-pool-${app}`, 'defaults'),
    },
    ...(options.site === undefined
      ? [{ why: 'include', directives: `fastcgi_pass ${app};${more}` } as const]
      : []),
    { why: 'start', command: words(...moved, 'swap-pool', 'start', app) },
    ...(units
      ? [
          {
            why: 'flip',
            command: words('systemctl', 'enable', '--now', `swap-pool-flip@${app}.timer`),
          } as const,
        ]
      : []),
    ...(options.from === undefined
      ? []
      : [
          {
            why: 'old-pool',
            command: words(
              ...moved,
              'swap-pool',
              'init',
              app,
              '--from',
              options.from,
              ...(options.section === undefined ? [] : ['--section', options.section]),
              ...(options.nginxConfig === undefined ? [] : ['--nginx-config', options.nginxConfig]),
              '--await-old',
            ),
          } as const,
        ]),
  ];
}
