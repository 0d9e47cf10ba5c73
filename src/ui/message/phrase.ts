/**
 * What the sentences are made of: places, pids, commands to type, error codes. PURE. Each
 * inserted value goes through `say`, so nothing that comes from elsewhere reaches a terminal
 * with its control characters.
 */
import type { Connections, Down, Holder, LockHolder, OtherPool, Place, Suspect } from '../../event.js';
import { count, inline, list, say, tail, when } from '../text.js';

/** A sentence, what to do about it, and what belongs under it. Free of control characters. */
export interface Message {
  /** One line, one sentence: what is wrong, where, who. */
  readonly message: string;
  /** One line: what to do, with a command in backticks where there is one. */
  readonly hint: string;
  /** Lines that belong under the sentence: the end of a log, a list. */
  readonly details?: readonly string[];
  /** The spots in files that the sentence is about. */
  readonly places?: readonly Place[];
}

/** `812 (3 clients, 1 upstream)`. */
export function holderLine({ pid, clients, upstreams }: Holder): string {
  return `${String(pid)} (${count(clients, 'client')}, ${count(upstreams, 'upstream')})`;
}

/** What still holds a drain up: `2 accepted, 0 queued, 1 working`, and the proxy's old workers if there are any. */
export function loadText(load: {
  readonly connections: Connections;
  readonly working: number;
  readonly retiring: number;
}): string {
  const { accepted, queued } = load.connections;
  const parts = [
    `${String(accepted)} accepted`,
    `${String(queued)} queued`,
    `${String(load.working)} working`,
  ];
  if (load.retiring > 0) parts.push(count(load.retiring, 'old nginx worker'));
  return parts.join(', ');
}

/** `pid 4121 (deploy shop, by root) since 2026-11-21 20:43:01Z`. */
export function holderText(holder: LockHolder | null): string {
  if (holder === null) return 'its holder is not known';
  return say`pid ${holder.pid} (${holder.command}, by ${holder.user}) since ${when(holder.since)}`;
}

/** `pid 12 (nginx, user www-data)`. */
export function suspectText(suspect: Suspect): string {
  return say`pid ${suspect.pid} (${suspect.command}, user ${suspect.user})`;
}

/** A message as lines: the sentence, what belongs under it behind a bar, the hint. */
export function messageLines(message: Message): readonly string[] {
  return [
    message.message,
    ...(message.details ?? []).map((line) => `    | ${line}`),
    `hint: ${message.hint}`,
  ];
}

/** Nobody uses what names the slots: a refusal of `start`, a warning of `init`. */
export const unusedReference = (places: readonly Place[]): Message => ({
  message: say`Nothing in nginx's configuration sends requests to what names the slots: ${list(places.map(at))}.`,
  hint: 'Write `fastcgi_pass NAME;` with the name of that upstream into the site, then `nginx -t && nginx -s reload`.',
  places,
});

/** What to do where the proxy's files name a pool that is not up: no reload, which would lead every request there. */
export function withoutReload({ slot, otherRuns }: Down, app: string | null): string {
  const why = say`Do not reload nginx: its files lead to ${slot}, where nobody listens, and every request would be answered 502.`;
  return otherRuns
    ? `${why} Take the change back; where it is meant, ${run(`pool start ${slot}`, app)} first, then \`swap-pool nginx reload\`.`
    : `${why} ${run('start', app)} brings ${slot} up, proves it, and only then lets nginx follow; or take the change back.`;
}

/** What to do about pools that share a master. */
export const SHARED =
  'Give each pool a master of its own: an FPM file with one [pool] and its own `pid`, started by itself.';

/** The other pools of a slot's master, each with its place. */
export const sharedPlaces = (places: readonly OtherPool[]): Pick<Message, 'details' | 'places'> => ({
  details: places.map(({ place, slot, address }) => say`${at(place)}: ${address}, which ends with ${slot}`),
  places: places.map(({ place }) => place),
});

const ERRNO: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOSPC: 'no space left',
  EDQUOT: 'the quota is used up',
  EROFS: 'the file system is read-only',
  ENOENT: 'no such file or folder',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EIO: 'input/output error',
  ELOOP: 'too many links',
};

/** An error code in words, and itself. */
export function errno(code: string): string {
  const words = ERRNO[code];
  return words === undefined ? inline(code) : `${words} (${code})`;
}

/** What to do where a write failed with this code. */
export function writeHint(code: string): string {
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'Make room there (`df -h`), then try again.';
  if (code === 'EROFS' || code === 'EIO')
    return 'See the state of that file system: `findmnt`, `dmesg | tail`.';
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'Create the folder above it, then try again.';
  return 'Run it as root (`sudo`), or as the user who may write there.';
}

/** `file:line:column`. */
export function at(place: Place): string {
  const column = place.column === undefined ? '' : `:${String(place.column)}`;
  return say`${place.file}:${place.line}` + column;
}

/** `swap-pool VERB APP OPTION`, in backticks; without an app it stands for the only one. */
export function run(command: string, app: string | null, option = ''): string {
  return `\`${['swap-pool', command, app === null ? '' : inline(app), option].filter((word) => word !== '').join(' ')}\``;
}

/** `pid 12, 13`. */
export function pidsText(pids: readonly number[]): string {
  return pids.length === 0 ? 'no process that can be named' : `pid ${list(pids)}`;
}

/** The verb that goes with one process, or with several. */
export const verb = (pids: readonly number[], one: string, many: string): string =>
  pids.length === 1 ? one : many;

/** The end of a log as details; nothing when it is empty. */
export function log(text: string): { details?: readonly string[] } {
  return merge(tail(text));
}

/** Both lists under one sentence; none where both are empty. */
export function merge(
  lines: readonly string[],
  more: { details?: readonly string[] } = {},
): { details?: readonly string[] } {
  const details = [...lines, ...(more.details ?? [])];
  return details.length === 0 ? {} : { details };
}

/** Someone else's phrase as a sentence of ours. A leading path or number stays as it is. */
export function sentence(text: string): string {
  const line = inline(text).replace(/^error: /i, '');
  return /[.!?]$/.test(line) ? sentenceStart(line) : `${sentenceStart(line)}.`;
}

/** With a capital letter, unless a name or a path comes first. */
export function sentenceStart(text: string): string {
  return /^(?!nginx|php|swap)[a-z]+[ ,:]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}

/** The compiler lets nothing come here; a value of another version could, at run time. */
export function unworded(value: never): string {
  return inline(JSON.stringify(value));
}
