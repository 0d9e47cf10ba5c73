/**
 * Connect as somebody else, for the length of one synchronous call.
 *
 * Root may open any socket, nginx's workers may not: a probe that connects as root
 * would call a 0600 socket fine and the site would answer 502. A child process would
 * do (and cost a node), but spawn's `uid` option keeps none of the user's
 * supplementary groups, by which a socket is often shared. So the process itself
 * changes its effective ids, calls, and changes back.
 */
import { readFileSync } from 'node:fs';
import { readStatus, type Procfs } from './proc.js';

/** Who connects. `name` is for messages: the name in /etc/passwd, else the uid in digits. */
export interface User {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups; they take part in the kernel's check like `gid`. */
  readonly groups: readonly number[];
  readonly name: string;
}

/**
 * Runs `fn` with the effective ids of `user` and gives back what it gives. `fn` runs
 * plainly when the caller is not root (it cannot become anybody), or `user` is null or
 * root. Nothing asynchronous may hide in `fn`: what it leaves for later runs as root
 * again. connect(2) on a unix path does not: libuv calls it inside `net.connect({path})`
 * (seen with strace on node 20: EACCES between the two setresuid calls).
 *
 * The ids change in *every* thread (glibc's setxid, credentials(7)), so a file
 * operation that libuv's thread pool is busy with in this moment runs as `user` too.
 *
 * @throws what the system says (EPERM in a container without CAP_SETUID, EINVAL for ids
 *   that the user namespace does not map) when it cannot become `user`; the process is
 *   then as it was. When it cannot change *back* it throws an Error without `code`:
 *   nothing that follows would be done by the user that everybody believes it is.
 */
export function asUser<T>(user: User | null, fn: () => T): T {
  const { geteuid, seteuid, setegid, setgroups } = process;
  if (user === null || user.uid === 0 || geteuid?.() !== 0) return fn();
  if (!seteuid || !setegid || !setgroups) return fn();
  const { gid, groups } = currentIds();
  // Only what was done is undone: without CAP_SETGID nothing was, and setgroups would fail again.
  const undo: (() => void)[] = [];
  try {
    // The uid goes last: with it goes the right to set the others. Coming back it is first.
    setgroups(user.groups);
    undo.unshift(() => {
      setgroups(groups);
    });
    setegid(user.gid);
    undo.unshift(() => {
      setegid(gid);
    });
    seteuid(user.uid);
    undo.unshift(() => {
      seteuid(0);
    });
    return fn();
  } finally {
    restore(undo);
  }
}

/** Whom a process acts as: its effective ids with all groups. Null when it is gone. */
export function userOfProcess(fs: Procfs, pid: number, passwd = '/etc/passwd'): User | null {
  const ids = idsOf(fs, pid);
  return ids && { ...ids, name: nameOfUid(read(passwd), ids.uid) };
}

/**
 * A user as a program becomes it that starts as root (initgroups(3)): `groups` are names for its gid, the first that
 * exists counts. Null: /etc/passwd or /etc/group has none of them.
 */
export function userByName(
  name: string,
  groups: readonly string[],
  { passwd = '/etc/passwd', group = '/etc/group' } = {},
): User | null {
  const uid = Number(fieldsOf(read(passwd), name)?.[2] ?? NaN);
  const all = read(group);
  const gid = Number(groups.flatMap((each) => fieldsOf(all, each)?.[2] ?? [])[0] ?? NaN);
  if (!Number.isInteger(uid) || !Number.isInteger(gid)) return null;
  const more = all.split('\n').flatMap((line) => {
    const [, , id = '', members = ''] = line.split(':');
    return members.split(',').includes(name) ? [Number(id)] : [];
  });
  return { uid, gid, groups: [...new Set([gid, ...more])], name };
}

const fieldsOf = (text: string, name: string): string[] | undefined =>
  text
    .split('\n')
    .map((line) => line.split(':'))
    .find(([first]) => first === name);

/** Whom this process acts as. */
export function currentUser(passwd = '/etc/passwd'): User {
  const ids = currentIds();
  return { ...ids, name: nameOfUid(read(passwd), ids.uid) };
}

/**
 * The first name that passwd(5) text has for a uid, else the uid in digits. The file
 * alone is asked: node has no getpwuid, and users of LDAP keep their number.
 */
export function nameOfUid(passwd: string, uid: number): string {
  for (const line of passwd.split('\n')) {
    const [name, , id] = line.split(':');
    if (name && id === String(uid)) return name;
  }
  return String(uid);
}

type Ids = Omit<User, 'name'>;

function idsOf(fs: Procfs, pid: number): Ids | null {
  const status = readStatus(fs, pid);
  if (!status || !Number.isInteger(status.uid) || !Number.isInteger(status.gid)) return null;
  return { uid: status.uid, gid: status.gid, groups: status.groups };
}

function currentIds(): Ids {
  // Not node's getgroups(): it adds the effective gid to the list, and to set that list would change us.
  const ids = idsOf({ root: '/proc', bootId: '' }, process.pid);
  if (ids) return ids;
  const { geteuid, getegid, getgroups } = process;
  return { uid: geteuid?.() ?? 0, gid: getegid?.() ?? 0, groups: getgroups?.() ?? [] };
}

function restore(undo: readonly (() => void)[]): void {
  try {
    for (const change of undo) change();
  } catch (cause) {
    throw new Error('cannot become root again after acting as another user', { cause });
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
