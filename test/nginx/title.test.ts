import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readOptions, splitTitle } from '../../src/nginx/title.js';

const split = (line: string): readonly string[] | undefined =>
  splitTitle(`nginx: master process ${line}`, null, null)?.arguments;

describe('a master’s title', () => {
  it.each([
    ['/usr/sbin/nginx', []],
    ['nginx -g daemon on; master_process on;', ['-g', 'daemon on; master_process on;']],
    ['nginx -c /etc/nginx/a.conf', ['-c', '/etc/nginx/a.conf']],
    ['nginx -c/etc/a.conf -gdaemon off;', ['-c', '/etc/a.conf', '-g', 'daemon off;']],
    ['nginx -qc a.conf', ['-q', '-c', 'a.conf']],
    ['nginx -q -p /srv/my site/ -c x.conf', ['-q', '-p', '/srv/my site/', '-c', 'x.conf']],
    ['nginx -g pid /run/a b.pid; -c x', ['-g', 'pid /run/a b.pid;', '-c', 'x']],
    ['nginx -g daemon on;  -e /var/log/e', ['-g', 'daemon on; ', '-e', '/var/log/e']],
    ['nginx -g env "A=; -c no"; -c yes', ['-g', 'env "A=; -c no";', '-c', 'yes']],
    ['nginx -q', ['-q']],
  ])('%s is split', (line, words) => {
    expect(split(line)).toEqual(words);
  });

  it.each([
    ['nginx -g daemon on', 'no end of -g'],
    ['nginx -c', 'no value'],
    ['nginx word', 'no option'],
    ['nginx -g env "A; -c x', 'a quote that never ends'],
    ['nginx -t', 'ends before it is a master'],
  ])('%s is not split: %s', (line) => {
    expect(split(line)).toBeUndefined();
  });

  it('a title that fills its room was cut off and is not split', () => {
    const title = 'nginx: master process /usr/sbin/nginx -c /a -g daemon';
    expect(splitTitle(title, title.length + 2, null)).toBeNull();
    expect(splitTitle('nginx: master process nginx -c /a', 200, null)?.arguments).toEqual(['-c', '/a']);
    expect(splitTitle('nginx: master process nginx -c /a', 35, null)).toBeNull();
  });

  it('a program with a blank in its path is known by its executable', () => {
    const found = splitTitle('nginx: master process /opt/my nginx/nginx -c /a', null, '/opt/my nginx/nginx');
    expect(found).toEqual({ program: '/opt/my nginx/nginx', arguments: ['-c', '/a'] });
  });

  const path = fc.stringMatching(/^\/[a-z0-9._/]{1,12}$/);
  const directive = fc.constantFrom('daemon on;', 'pid /x y;', "env 'a; b';", 'worker_processes 4; user w;');
  const option = fc.oneof(
    fc.tuple(fc.constantFrom('-c', '-p', '-e'), path),
    fc.tuple(fc.constant('-g'), directive),
    fc.tuple(fc.constant('-q')),
  );

  it('what nginx joined is read as what it was given', () => {
    fc.assert(
      fc.property(fc.array(option), (options) => {
        const argv = options.flat();
        const words = split(['/usr/sbin/nginx', ...argv].join(' '));
        expect(readOptions(words ?? ['unclear'])).toEqual(readOptions(argv));
      }),
    );
  });
});
