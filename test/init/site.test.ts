import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { passesOf, siteEdits } from '../../src/init/site.js';
import { applyEdits } from '../../src/nginx/edit.js';
import { parse } from '../../src/nginx/parser.js';

function edited(text: string, nextUpstream = true, only: (value: string) => boolean = () => true): string {
  const bytes = Buffer.from(text, 'latin1');
  const passes = passesOf(parse(bytes).directives, 'site').filter(({ value }) => only(value));
  const after = applyEdits(bytes, siteEdits(bytes, passes, { upstream: 'shop', nextUpstream }));
  if (!after.ok) throw new Error(JSON.stringify(after.failure));
  return Buffer.from(after.value).toString('latin1');
}

describe('siteEdits', () => {
  it.each<[string, string, string]>([
    [
      'a word',
      'location / {\n    fastcgi_pass unix:/a.sock;\n}',
      'location / {\n    fastcgi_pass shop;\n    fastcgi_next_upstream error;\n}',
    ],
    [
      'a quoted word',
      "location / {\n  fastcgi_pass 'unix:/a.sock' ; # old\n}",
      'location / {\n  fastcgi_pass shop ;\n  fastcgi_next_upstream error; # old\n}',
    ],
    [
      'one line',
      'location / { fastcgi_pass 127.0.0.1:9000; }',
      'location / { fastcgi_pass shop; fastcgi_next_upstream error; }',
    ],
    [
      'Windows line ends',
      'location / {\r\n\tfastcgi_pass unix:/a;\r\n}',
      'location / {\r\n\tfastcgi_pass shop;\r\n\tfastcgi_next_upstream error;\r\n}',
    ],
    [
      'bytes that are no UTF-8',
      '# \u00ff\u00e9\nlocation / {\n fastcgi_pass unix:/a;\n}',
      '# \u00ff\u00e9\nlocation / {\n fastcgi_pass shop;\n fastcgi_next_upstream error;\n}',
    ],
    [
      'an `if`, in which next_upstream may not stand',
      'location / {\n  if ($a) {\n    fastcgi_pass unix:/a;\n  }\n}',
      'location / {\n  if ($a) {\n    fastcgi_pass shop;\n  }\n  fastcgi_next_upstream error;\n}',
    ],
    [
      'what says it already',
      'location / { fastcgi_next_upstream error timeout; fastcgi_pass unix:/a; }',
      'location / { fastcgi_next_upstream error timeout; fastcgi_pass shop; }',
    ],
    [
      'what says it in the server',
      'server { fastcgi_next_upstream error; location / { fastcgi_pass unix:/a; } }',
      'server { fastcgi_next_upstream error; location / { fastcgi_pass shop; } }',
    ],
    [
      'what says something else',
      'location / { fastcgi_next_upstream off; fastcgi_pass unix:/a; }',
      'location / { fastcgi_next_upstream error; fastcgi_pass shop; }',
    ],
    [
      'what is there',
      'location / {\n fastcgi_pass shop;\n fastcgi_next_upstream error;\n}',
      'location / {\n fastcgi_pass shop;\n fastcgi_next_upstream error;\n}',
    ],
  ])('%s', (_, before, after) => {
    expect(edited(before)).toBe(after);
    expect(edited(after)).toBe(after);
  });

  it('edits all of several locations, and none that is not meant', () => {
    const text =
      'server { location /a { fastcgi_pass unix:/a; } location /b { fastcgi_pass unix:/b; } location /c { fastcgi_pass $c; } }';
    expect(edited(text, false, (value) => value === 'unix:/a')).toBe(text.replace('unix:/a', 'shop'));
    expect(edited(text, true).match(/fastcgi_next_upstream error;/g)).toHaveLength(3);
  });

  it('adds nothing for a link: there is no second server', () => {
    expect(edited('location / { fastcgi_pass unix:/a; }', false)).toBe('location / { fastcgi_pass shop; }');
  });

  it('leaves everything but its spans: taking them back gives the first bytes', () => {
    const filler = fc
      .string({ unit: fc.constantFrom(...'# \t\n\u00e9;') })
      .map((text) => text.replaceAll(/[^\n# \t]/g, ' ').replaceAll('#', '#x\n'));
    fc.assert(
      fc.property(fc.array(filler, { minLength: 4, maxLength: 4 }), ([a = '', b = '', c = '', d = '']) => {
        const text = `${a}server {${b}location / {${c}fastcgi_pass unix:/old.sock;${d}}}`;
        const after = edited(text);
        expect(
          after
            .replace(/\s*fastcgi_next_upstream error;/, '')
            .replace('fastcgi_pass shop;', 'fastcgi_pass unix:/old.sock;'),
        ).toBe(text);
        expect(parse(Buffer.from(after)).problem).toBeNull();
      }),
    );
  });
});
