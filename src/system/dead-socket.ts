/** Removing the file of a unix socket that nobody listens at any more, and no other. */
import { connectTo } from './connect.js';
import { facts, removeFile } from './files.js';

/** The kernel itself lets in or turns away, at once; a backlog that is full is no wait, either. */
const AT_ONCE = 1000;

/**
 * Removes what stands at the path, if it is a socket and the kernel says that nobody listens at it. Its tables
 * cannot say so: they show the sockets of one network namespace, while a path leads to the sockets of them all
 * (unix(7)). Whoever connects is told. False: somebody listens. What may not be asked stays.
 */
export async function removeDeadSocket(path: string): Promise<boolean> {
  const before = facts(path);
  if (!before.ok || before.value.kind !== 'socket') return true;
  const opened = await connectTo({ kind: 'unix', path }, AT_ONCE);
  if (typeof opened !== 'string') opened.close();
  // EAGAIN: somebody listens who takes nobody more
  if (typeof opened !== 'string' || opened === 'EAGAIN') return false;
  // the very file that was asked: another may stand there by now
  const after = facts(path);
  const same = after.ok && after.value.inode === before.value.inode;
  if (opened === 'ECONNREFUSED' && same) removeFile(path);
  return true;
}
