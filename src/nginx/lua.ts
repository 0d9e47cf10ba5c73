/**
 * The end of a `*_by_lua_block { … }` body. It is Lua, not nginx syntax: the
 * Lua module reads on from the `{` with a lexer of its own, which counts the
 * braces outside of Lua's strings, long brackets and comments
 * (ngx_http_lua_conf_lua_block_parse).
 */

/** Where a Lua block's closing brace stands, or what is missing there and where that was opened. */
export type LuaEnd =
  | { readonly ok: true; readonly offset: number }
  | { readonly ok: false; readonly offset: number; readonly what: string };

/**
 * Finds the `}` that matches a `{` which stands just before `offset`.
 * `text` is the file, one character for each byte. Takes linear time.
 */
export function luaEnd(text: string, offset: number): LuaEnd {
  const interesting = /[{}"']|(?:--)?\[(=*)\[|--[^\n]*/g;
  interesting.lastIndex = offset;
  const opened = [offset];
  const unclosedUntil: Record<string, number> = {};
  for (let match = interesting.exec(text); match !== null; match = interesting.exec(text)) {
    const [found, level] = match;
    if (found === '{') opened.push(match.index);
    else if (found === '}') {
      opened.pop();
      if (opened.length === 0) return { ok: true, offset: match.index };
    } else if (found === '"' || found === "'") {
      // A quote that its line never closes opens nothing; the next such quotes on the line need no look.
      if (match.index < (unclosedUntil[found] ?? 0)) continue;
      const end = stringEnd(text, match.index);
      if (text[end - 1] === found && end > match.index + 1) interesting.lastIndex = end;
      else unclosedUntil[found] = end;
    } else if (level !== undefined) {
      const close = `]${level}]`;
      const end = text.indexOf(close, interesting.lastIndex);
      if (end < 0) return { ok: false, offset: match.index, what: `missing closing long bracket "${close}"` };
      interesting.lastIndex = end + close.length;
    }
  }
  return {
    ok: false,
    offset: opened.at(-1) ?? offset,
    what: 'unexpected end of file, expecting "}" of a Lua block',
  };
}

/** The offset after a quoted string, or that of its line's end: the module's strings never span lines, not even escaped. */
function stringEnd(text: string, offset: number): number {
  const quote = text[offset];
  let at = offset + 1;
  for (; at < text.length && text[at] !== '\n'; at++) {
    if (text[at] === quote) return at + 1;
    if (text[at] === '\\' && text[at + 1] !== '\n') at++;
  }
  return Math.min(at, text.length);
}
