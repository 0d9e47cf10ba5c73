/**
 * The command line that nginx's master shows once it has titled itself, split again
 * into words. Pure. ngx_master_process_cycle joins argv with single blanks, so word
 * boundaries are lost; nginx's own rules for options (ngx_get_options) bring most back.
 */

export const MASTER_TITLE = 'nginx: master process ';
export const WORKER_TITLE = 'nginx: worker process';
/** ngx_worker_process_cycle sets it on QUIT, and keeps it until its last connection ends. */
export const RETIRING_TITLE = 'nginx: worker process is shutting down';

/** What a master was started with, its options as argv without the program. */
export interface Invocation {
  readonly program: string;
  readonly arguments: readonly string[];
}

/**
 * Splits a master's title; null where that is not certain. `room`: bytes the process
 * had for its title (its argv and environment), null when unknown: a title that fills
 * it was cut off by nginx and proves nothing. A master with an empty environment has
 * room for little more than its argv, and loses the end of it.
 */
export function splitTitle(title: string, room: number | null, executable: string | null): Invocation | null {
  if (!title.startsWith(MASTER_TITLE)) return null;
  // nginx copies to one byte before the end of the room, NUL included; a blank at the cut is lost to trimming
  if (room !== null && Buffer.byteLength(title, 'latin1') >= room - 3) return null;
  const line = title.slice(MASTER_TITLE.length);
  const program =
    executable !== null && (line === executable || line.startsWith(`${executable} `))
      ? executable
      : /^\S+/.exec(line)?.[0];
  if (program === undefined) return null;
  const found = splitOptions(line.slice(program.length));
  return found === null ? null : { program, arguments: found };
}

/** The values of the options that decide what nginx reads, as ngx_process_options takes them: the last of each. */
export interface Options {
  readonly config: string | null;
  readonly prefix: string | null;
  readonly errorLog: string | null;
  /** The text of `-g`. */
  readonly directives: string;
}

/** Reads an argv as ngx_get_options does; null for what nginx would refuse or what ends it (`-t`, `-s` …). */
export function readOptions(argv: readonly string[]): Options | null {
  const values: Record<string, string> = {};
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (!word.startsWith('-')) return null;
    for (let letter = 1; letter < word.length; letter += 1) {
      const name = word.charAt(letter);
      if (name === 'q') continue;
      if (!TAKES_VALUE.includes(name)) return null;
      const attached = word.slice(letter + 1);
      const value = attached === '' ? argv[(at += 1)] : attached;
      if (value === undefined || value === '') return null;
      values[name] = value;
      break;
    }
  }
  return {
    config: values['c'] ?? null,
    prefix: values['p'] ?? null,
    errorLog: values['e'] ?? null,
    directives: values['g'] ?? '',
  };
}

const TAKES_VALUE = 'pceg';

function splitOptions(text: string): readonly string[] | null {
  const found: string[] = [];
  let rest = text;
  while (rest !== '') {
    const option = /^ -(q*)([pceg])? ?/.exec(rest);
    if (option === null) return null;
    const [all, quiet = '', name] = option;
    if (quiet !== '') found.push('-q');
    if (name === undefined) {
      if (quiet === '') return null;
      rest = rest.slice(all.trimEnd().length);
      continue;
    }
    const length =
      name === 'g' ? directivesLength(rest.slice(all.length)) : pathLength(rest.slice(all.length));
    if (length === null || length === 0) return null;
    found.push(`-${name}`, rest.slice(all.length, all.length + length));
    rest = rest.slice(all.length + length);
  }
  return found;
}

/** A path ends where the next option begins, or with the line: an option is all that may follow it. */
function pathLength(text: string): number | null {
  const next = / -(?:q*[pceg]|q+(?= |$))/.exec(text);
  return next === null ? text.length : next.index;
}

/**
 * nginx demands that the text of `-g` ends with a `;` (or a `}`), and no directive begins with a `-`: so it ends
 * at the first one, outside quotes, after which the line ends or an option begins. Null: it never ends.
 */
function directivesLength(text: string): number | null {
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at);
    if (char === '\\') at += 1;
    else if (quote !== '') quote = char === quote ? '' : quote;
    // nginx takes a quote for one only where a word begins
    else if ((char === '"' || char === "'") && /[\s;{]/.test(text.charAt(at - 1) || ' ')) quote = char;
    else if (char === ';' || char === '}') {
      const end = /^\s*?(?=$| -[pcegq])/.exec(text.slice(at + 1));
      if (end !== null) return at + 1 + end[0].length;
    }
  }
  return null;
}
