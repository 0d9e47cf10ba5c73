/** What GitHub Actions reads of our lines: orders of our own, and none of anybody else's. PURE. */

/**
 * A workflow command of GitHub Actions: one line, its line ends escaped. The runner reads
 * commands from stderr as well. Source: docs.github.com, "Workflow commands".
 */
export function annotation(kind: 'error' | 'warning', lines: readonly string[]): string {
  const text = lines.join('\n').replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  return `::${kind}::${text}`;
}

/**
 * The runner trims a line before it looks for `::command::`, and finds `##[command]`
 * anywhere in it, so a log line of the pool could give it orders.
 */
export function defused(line: string): string {
  return line.replace(/^(\s*)::/, '$1: :').replaceAll('##[', '## [');
}
