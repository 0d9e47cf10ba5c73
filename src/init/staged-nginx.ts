/**
 * Tests an nginx configuration that is not in place yet: of each file that changes, and of each that leads to
 * one, a copy is made whose includes name the copies. The main file's copy stands, hidden, beside the main file,
 * for names in a configuration count from its folder.
 */
import { basename, dirname, join } from 'node:path';
import { fail, ok } from '../event.js';
import type { Result } from '../event.js';
import { diskSource, outputOf, pidfileOf, testCommand, untested } from '../nginx/config-tree.js';
import { applyEdits } from '../nginx/edit.js';
import type { Edit } from '../nginx/edit.js';
import type { Nginx } from '../nginx/master.js';
import type { Directive } from '../nginx/parser.js';
import { bytesOf, fromUtf8, spell } from '../nginx/spelling.js';
import { readTree } from '../nginx/tree.js';
import type { ConfigFile, Tree } from '../nginx/tree.js';
import { run } from '../system/exec.js';
import { createFile, factsThroughLinks, removeFile } from '../system/files.js';

/** The tree as it would be; `planned`: bytes by real path. Fails with `nginx-syntax` and `nginx-include`. */
function plannedTree(
  { config }: Pick<Nginx, 'config'>,
  planned: ReadonlyMap<string, Uint8Array>,
): Result<Tree> {
  const tree = readTree(config, diskSource(config, planned));
  const [problem] = tree.problems;
  return problem === undefined ? ok(tree) : fail(problem);
}

/**
 * `nginx -t` of the planned tree. `folder`: private, for the copies. Fails with `init-rejected`, or `nginx-config-broken`
 * where what stands there is broken already.
 */
export async function testPlanned(
  nginx: Nginx,
  planned: ReadonlyMap<string, Uint8Array>,
  { folder, file, timeout }: { readonly folder: string; readonly file: string; readonly timeout: number },
): Promise<Result<void>> {
  const tree = plannedTree(nginx, planned);
  if (!tree.ok) return tree;
  const main = join(dirname(nginx.config), `.${basename(nginx.config)}.swap-pool-${basename(folder)}`);
  const pidfile = await pidfileOf(nginx, tree.value);
  const hadPidfile = !pidfile.ok || factsThroughLinks(pidfile.value).ok;
  const names = new Map<ConfigFile, string>();
  for (const copy of copiesOf(tree.value, planned, (at) =>
    at === 0 ? main : join(folder, `nginx-${String(at)}.conf`),
  )) {
    names.set(copy.file, copy.path);
    const written = createFile(copy.path, copy.bytes, 0o600);
    if (written.ok) continue;
    removeFile(main);
    return fail({ reason: 'config-unwritable', file: copy.path, code: written.code });
  }
  try {
    const argv = testCommand({ image: nginx.image, arguments: withConfig(nginx.arguments, main) }, '-t');
    const ran = await run(argv, { cwd: nginx.cwd, timeout });
    if (ran.status === 0) return ok(undefined);
    const asItIs = { image: nginx.image, arguments: withConfig(nginx.arguments, nginx.config) };
    if (ran.failure === 'timeout') return fail(untested(nginx, ran, timeout));
    const before = await run(testCommand(asItIs, '-t'), { cwd: nginx.cwd, timeout });
    if (before.status !== 0) return fail(untested(nginx, before, timeout));
    let output = outputOf(ran);
    for (const [original, path] of names) output = output.replaceAll(path, original.path);
    return fail({ reason: 'init-rejected', judge: 'nginx', file, output });
  } finally {
    removeFile(main);
    // nginx -t makes an empty one where there is none
    const left = pidfile.ok && !hadPidfile ? factsThroughLinks(pidfile.value) : null;
    if (pidfile.ok && left?.ok === true && left.value.size === 0) removeFile(pidfile.value);
  }
}

interface Copy {
  readonly file: ConfigFile;
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The copies, the main file's first. `name` gives the path of the n-th file of the tree. */
function copiesOf(
  tree: Tree,
  planned: ReadonlyMap<string, Uint8Array>,
  name: (at: number) => string,
): readonly Copy[] {
  const includes = new Map(tree.files.map((file) => [file, includesOf(tree, file)]));
  const dirty = new Set(tree.files.filter((file) => planned.has(file.real)));
  for (let before = -1; before !== dirty.size;) {
    before = dirty.size;
    for (const [file, inner] of includes) {
      if (inner.some(([, children]) => children.some((child) => dirty.has(child)))) dirty.add(file);
    }
  }
  const pathOf = (file: ConfigFile): string => (dirty.has(file) ? name(tree.files.indexOf(file)) : file.path);
  return tree.files
    .filter((file) => dirty.has(file) || file === tree.files[0])
    .map((file) => {
      const edits = (includes.get(file) ?? []).flatMap(([directive, children]): Edit[] => {
        if (!children.some((child) => dirty.has(child))) return [];
        const lines = children.map(
          (child) => `include "${spell(fromUtf8(pathOf(child)), '"', true) ?? ''}";`,
        );
        const { offset, length } = directive;
        return [{ offset, length, replacement: bytesOf(lines.join(' ')) }];
      });
      const bytes = applyEdits(file.bytes, edits);
      const path = file === tree.files[0] ? name(0) : pathOf(file);
      return { file, path, bytes: bytes.ok ? bytes.value : file.bytes };
    });
}

/** The includes that stand in one file, with what each stands for. */
function includesOf(tree: Tree, file: ConfigFile): readonly (readonly [Directive, readonly ConfigFile[]])[] {
  const found: (readonly [Directive, readonly ConfigFile[]])[] = [];
  const stack: Directive[] = [...file.directives];
  for (let directive = stack.pop(); directive !== undefined; directive = stack.pop()) {
    const children = tree.included.get(directive);
    if (children !== undefined) found.push([directive, children]);
    stack.push(...(directive.block ?? []));
  }
  return found;
}

/** The words of the master with another `-c`. */
function withConfig(words: readonly string[], config: string): readonly string[] {
  const kept: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (word === '-c') at++;
    else if (!/^-c./.test(word)) kept.push(word);
  }
  return [...kept, '-c', config];
}
