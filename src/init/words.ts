/** Values as the languages of the files want them. PURE. */

/** A word of a shell's line. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** A word of a unit's ExecStart: `%` and `$` mean something to systemd (systemd.service(5)). */
export function unitWord(word: string): string {
  const text = word.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(text) ? text : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

/** A command of a crontab, where an unescaped `%` is a line's end (crontab(5)). */
export const cronWord = (word: string): string => shellWord(word).replaceAll('%', '\\%');

/** A YAML scalar in single quotes, which know one escape: the quote, twice. Of one line. */
export const quoted = (word: string): string => `'${word.replaceAll("'", "''")}'`;

/** A YAML scalar. */
export const yamlWord = (word: string): string =>
  /^[A-Za-z/][\w./-]*$/.test(word) && !/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(word)
    ? word
    : JSON.stringify(word);
