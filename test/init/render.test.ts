import { expect, it } from 'vitest';
import { render } from '../../src/init/render.js';

it.each([
  ['a {{x}} b {{x}}', { x: '1' }, 'a 1 b 1'],
  ['  {{x}}\nz', { x: 'a\n\nb' }, '  a\n\n  b\nz'],
  ['a\n  {{x}}\nb', { x: '' }, 'a\nb'],
  ['a{{x}}b', { x: '' }, 'ab'],
  ['${SLOT} {{x}} { { x } }', { x: '$& $1' }, '${SLOT} $& $1 { { x } }'],
  ['{{x}}', { x: '{{y}}' }, '{{y}}'],
])('%j with %j is %j', (template, values, text) => {
  expect(render(template, values)).toEqual({ ok: true, value: text });
});

it('a name without a value is a bug that names it, also one that every object has', () => {
  expect(render('{{x}}\n{{constructor}} {{z}}', { z: '' })).toEqual({
    ok: false,
    failure: { reason: 'bug', detail: 'a template asks for x, constructor' },
  });
});
