import fc from 'fast-check';
import { expect, it } from 'vitest';
import { luaEnd } from '../../src/nginx/lua.js';
import { parse } from '../../src/nginx/parser.js';
import { bytesOf } from '../../src/nginx/spelling.js';
import { growth } from '../support/growth.js';

/** Each was given to Debian's Lua module (0.10.23) as a body; what follows the block tells where it ended. */
it.each([
  'ngx.say("}")',
  'ngx.say("a\\"}")',
  'local t={1,{2}}',
  '-- }\n',
  '--[[ } ]]',
  '--[==[ } ]] } ]==]',
  'x=[[ } ]]',
  'x=[=[ } ]] ]=]',
  'x=a[b[1]]',
  '--[ }\n',
  "x='a\\\\' -- }\n",
  'x="it\'s}"',
  '-- it\'s "\n x="}"',
  '"',
  '',
])('a-lua-block-ends-where-the-module-ends-it %j', (lua) => {
  const { directives, problem } = parse(bytesOf(`content_by_lua_block {${lua} } after b;`));
  expect(problem).toBeNull();
  expect(directives.map(({ name }) => name)).toEqual(['content_by_lua_block', 'after']);
  expect(directives[0]).toMatchObject({ body: 'lua', block: [], length: 24 + lua.length });
});

it.each(['x="a\n}"', 'x="open } \n', "it's }", '"\\\n}"'])('a-string-never-spans-lines %j', (lua) => {
  expect(luaEnd(`${lua} }`, 0)).toEqual({ ok: true, offset: lua.indexOf('}') });
});

it('a-block-without-an-end-is-a-problem-where-it-was-opened', () => {
  const { problem } = parse(bytesOf('a;\nset_by_lua_block $x {\n  if {\n --[[ } }'));
  expect(problem).toMatchObject({ line: 4, column: 2, what: 'missing closing long bracket "]]"' });
  expect(parse(bytesOf('x_by_lua_block {\n  y{ }')).problem).toMatchObject({ line: 1, column: 17 });
});

it('takes-linear-time', () => {
  for (const unit of ['"\\"', "'", '{', '[', '[=', '--', '--[', '"\\"\n', "\\'"]) {
    // eight times the bytes: about 8, were it quadratic 64
    expect(
      growth((size) => luaEnd(unit.repeat(size), 0), 25_000, 200_000),
      unit,
    ).toBeLessThan(32);
  }
});

it('never-throws-and-ends-at-a-brace', () => {
  const text = fc.string({ unit: fc.constantFrom('{', '}', '"', "'", '[', ']', '=', '--', '\\', '\n', 'a') });
  fc.assert(
    fc.property(text, (lua) => {
      const end = luaEnd(lua, 0);
      if (end.ok) expect(lua[end.offset]).toBe('}');
      else expect(end.offset).toBeLessThanOrEqual(lua.length);
    }),
  );
});
