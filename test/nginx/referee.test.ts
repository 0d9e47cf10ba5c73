import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/demo/machine.js';
import { lex } from '../../src/nginx/lexer.js';
import { bytesOf, toUtf8 } from '../../src/nginx/spelling.js';
import { paths, readTree } from '../../src/nginx/tree.js';
import type { Tree } from '../../src/nginx/tree.js';
import { disk, sandbox } from './disk.js';

/** nginx itself says what is right. */
const box = sandbox();
afterAll(box.remove);

/** What nginx says of syntax and includes: our wording is its own. */
const SYNTAX =
  /\[emerg\] \d+#\d+: ((?:unexpected|too long parameter)[^]*?)(?: in ([^\n]*):(\d+))?\n(?:nginx: |$)/;
const OPEN = /(?:open\(\)|pread\(\)) "[^]*?" failed/;
const ANY = /\[(?:emerg|crit)\][^]* in [^\n]*:(\d+)\n/;

function judge(
  name: string,
  text: string,
): { readonly tree: Tree; readonly said: string; readonly crashed: boolean } {
  const file = box.write(name, text);
  const { ok, err } = box.nginx('-t', file);
  // Files that include each other make nginx run out of descriptors, or of stack before that.
  return { tree: readTree(file, disk(box.root)), said: err, crashed: !ok && err === '' };
}

/** Fails unless nginx and we agree; what it refuses for its meaning tells nothing of what comes after. */
function agree(name: string, text: string): void {
  const { tree, said, crashed } = judge(name, text);
  const [ours] = tree.problems;
  const syntax = SYNTAX.exec(said);
  if (syntax !== null) {
    expect(ours, said).toMatchObject({ reason: 'nginx-syntax', place: { line: Number(syntax[3]) } });
    const what = ours?.reason === 'nginx-syntax' ? ours.what : '';
    const byte = /^unexpected "([^"]|")"$/.exec(syntax[1] ?? '');
    if (byte === null && !what.includes('\\x')) expect(what).toBe(syntax[1]);
  } else if (crashed || OPEN.test(said)) {
    // What stands in a block that never ends is not followed: then its syntax is the first problem.
    expect(ours, said).toBeDefined();
  } else if (ANY.test(said)) {
    const line =
      ours?.reason === 'nginx-syntax' || ours?.reason === 'nginx-include' ? ours.place.line : Infinity;
    expect(line, said).toBeGreaterThanOrEqual(Number(ANY.exec(said)?.[1]));
  } else {
    expect(tree.problems, said).toEqual([]);
  }
}

const body = `map $http_upgrade $connection { default upgrade; '' close; include maps/*.map; }
geo $limited { default 0; 10.0.0.0/8 1; }
log_format main '$remote_addr - "$request" ' # the client
   "\${status} \\"$http_referer\\"";
types { text/html html htm; }
split_clients $uri $half { 50% a; * b; }
upstream shop {
  server unix:/var/run/php/blue.sock max_fails=0; # blue
  server "unix:/run/php/green.sock" max_fails=0 backup;
}
server {
  listen 127.0.0.1:1; server_name shop.example "a b" ~^(?<n>.+)\\.x$;
  if ($request_method = "PUT") { return 405; }
  location ~ \\.php$ {\r
    fastcgi_pass   shop;\r
  }
  location / { return 200 "/a/\${uri} b"; add_header a 'b\\'c'; add_header \u00ff "\u00e4"; }
}
`;

const unit = fc.constantFrom(...[...' \t\r\n;{}"\'\\#$)(ab\u0001\u00ff'], '${', '"a"', '\\"', '# ', '; ');
const mutation = fc.record({
  at: fc.nat(body.length),
  drop: fc.nat(3),
  put: fc.oneof(fc.constant(''), unit),
});

describe('syntax is taken and refused where nginx does', () => {
  it('mutated-configurations', () => {
    box.write('maps/a.map', 'a b; # c');
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 4 }), (changes) => {
        const changed = changes.reduce(
          (text, { at, drop, put }) => text.slice(0, at) + put + text.slice(at + drop),
          body,
        );
        agree('mutated.conf', `${box.main}http {\n${box.http}${changed}}\n`);
      }),
      { numRuns: 150 },
    );
  });

  it('random-words-after-a-directive-that-takes-any', () => {
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), (words) => {
        agree('random.conf', `${box.main}http { ${box.http} log_format x${words};\nlog_format y a; }\n`);
      }),
      { numRuns: 150 },
    );
  });

  it('what-does-not-fit-into-the-buffer', () => {
    const piece = fc.tuple(
      fc.constantFrom('a', '#', ' ', '"', "'", '\n', '#\n', '\\', 'env '),
      fc.integer({ min: 0, max: 4100 }),
      fc.constantFrom('', ';', '"', "'", '\n', ' ', '";', "';"),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 4 }), (pieces) => {
        const text = pieces.map(([begin, length, end]) => begin + 'x'.repeat(length) + end).join('');
        agree('long.conf', `${box.main}env ${text}`);
      }),
      { numRuns: 80 },
    );
    for (let length = 4085; length < 4100; length++) {
      for (const fill of ['#', ' ', 'x']) {
        for (const end of ['";\n', '" ;\n', ' ;#\n\n\n', '\n;\n']) {
          const quote = end.startsWith('"') ? '"' : '';
          agree('edge.conf', `env ${quote}${fill.repeat(length)}${end}${' '.repeat(9)}events {}`);
        }
      }
    }
  });

  it.each([
    ['map with a block', 'map $uri $x { a b { c d; } }'],
    ['types with a block', 'types { a b { c; } }'],
    ['an include that is missing', 'include nothere;'],
    ['a glob that matches nothing', 'include not*here;'],
    ['a bracket that matches nothing', 'include not[here;'],
    ['a variable in an include', 'include $x.conf;'],
    ['an include of a folder', 'include maps;'],
    ['an include without a name', 'include "";'],
    ['an include cut short by NUL', 'include maps/a\0.map;'],
    ['an include in map that is missing', 'map $uri $x { include nothere; }'],
    ['a glob in map that matches nothing', 'map $uri $x { "include" not*here; }'],
    ['a glob in geo', 'geo $x { include not*here; }'],
    ['an include in split_clients', 'split_clients $uri $x { include nothere; }'],
    ['a file that includes itself', 'include self.inc;'],
    ['two files that include each other', 'include one.inc;'],
    ['a } too many in an included file', 'include close.inc;'],
    ['a { too many in an included file', 'include open.inc;'],
    ['a word without an end in an included file', 'include end.inc;'],
  ])('%s', (_name, text) => {
    box.write('self.inc', 'include self.inc;');
    box.write('one.inc', 'include two.inc;');
    box.write('two.inc', 'include one.inc;');
    box.write('close.inc', '}');
    box.write('open.inc', 'server {');
    box.write('end.inc', 'server');
    agree('case.conf', `${box.main}http { ${box.http}\n${text} }`);
  });

  it('a-byte-order-mark-is-part-of-the-first-word', () => {
    const { said, tree } = judge('bom.conf', '\u00ef\u00bb\u00bfdaemon off; events {}');
    expect(said).toContain('unknown directive "\u00ef\u00bb\u00bfdaemon"');
    expect(tree.files[0]?.directives[0]?.name).toBe('\u00ef\u00bb\u00bfdaemon');
  });
});

describe('values are what nginx reads', () => {
  const word = fc.string({ unit: fc.constantFrom(...'ab\\"\'#}){ ;\t\u00ff'), minLength: 1, maxLength: 12 });

  it('names-of-unknown-directives', () => {
    fc.assert(
      fc.property(word, (text) => {
        const { said } = judge('name.conf', `zz${text} x;`);
        const name = /unknown directive "([^]*)" in [^\n]*:\d+\n/.exec(said)?.[1];
        if (name !== undefined) expect(lex(bytesOf(`zz${text} x;`)).tokens[0]?.value).toBe(name);
      }),
      { numRuns: 60 },
    );
  });

  it('bodies-that-a-running-nginx-returns', async () => {
    const taken = fc
      .tuple(fc.constantFrom('', '"', "'"), word)
      .map(([quote, text]) => quote + text + quote)
      .filter((text) => {
        const { tokens, problem } = lex(bytesOf(`a ${text}\n;`));
        return (
          problem === null && tokens.length === 3 && tokens[1]?.kind === 'word' && tokens[2]?.kind === ';'
        );
      });
    const words = [
      ...fc.sample(taken, 200),
      '"\\t\\n\\r\\\\\\"\\\'\\x"',
      'a\\\\',
      "'\"'",
      '"a\nb"',
      'x#y',
      'a}',
      '\\;',
      '\\{',
      '\\ ',
    ];
    const port = await freePort();
    const locations = words.map((text, at) => `location = /${String(at)} { return 200 ${text}\n; }`);
    const file = box.write(
      'serve.conf',
      `worker_processes 1; ${box.main} http { ${box.http} server { listen 127.0.0.1:${String(port)};\n${locations.join('\n')}\n } }`,
    );
    const tested = box.nginx('-t', file);
    expect(tested.ok, tested.err).toBe(true);
    const server = spawn('/usr/sbin/nginx', ['-e', 'stderr', '-c', file, '-g', 'master_process off;'], {
      stdio: 'ignore',
    });
    try {
      await listening(port);
      const answers = await ask(port, words.length);
      words.forEach((text, at) => {
        expect(answers[at], text).toBe(lex(bytesOf(`a ${text}\n;`)).tokens[1]?.value);
      });
    } finally {
      const gone = once(server, 'exit');
      server.kill('SIGTERM');
      await gone;
    }
  });

  it('one-word-for-crossplane-is-two-for-nginx', () => {
    // `/a/${uri} b` is two words: with two arguments too many, nginx says so.
    const { said } = judge('two.conf', `${box.main}http { ${box.http} server { return 200 /a/\${uri} b; } }`);
    expect(said).toContain('invalid number of arguments in "return"');
    expect(lex(bytesOf('return 200 /a/${uri} b;')).tokens).toHaveLength(5);
  });
});

describe('the files are those that nginx -T names, in its order', () => {
  const names = [
    'a',
    'b.conf',
    'B.conf',
    'c.conf',
    '.hidden.conf',
    'd[1].conf',
    'e*.conf',
    '\u00e4.conf',
    '10.conf',
    '9.conf',
    'f-g.conf',
    'x y.conf',
  ];
  const patterns = [
    'g/*',
    'g/*.conf',
    'g/?.conf',
    'g/[a-c]*',
    'g/[!a-c]*',
    'g/[^a]*.conf',
    'g/.*.conf',
    'g/d[[]1].conf',
    'g/d\\[1].con*',
    'g/e\\*.conf*',
    'g/[[:digit:]]*',
    'g/[]a]*',
    'g/*.[c]onf',
    '*/b.conf',
    'g*//c.conf',
    'g/[z',
    'g/??.conf',
    'g/???.conf',
    'g/*-*',
    'g/[9-a]*',
    'l/*',
    '../*/g/a*',
    'g/[a\\-z]*',
    'g/[[:upper:][:digit:]]*.conf',
    'g/*.conf*',
    'g/**',
    'g/x\\ y.con[f]',
    'g/[',
    '*/*.conf',
  ];

  it('globs', () => {
    for (const name of names)
      box.write(
        toUtf8(name) === null ? `g/${Buffer.from(name).toString('utf8')}` : `g/${name}`,
        '# nothing\n',
      );
    symlinkSync('g', `${box.root}/l`);
    const check = (list: readonly string[]): void => {
      const includes = list.map((pattern) => `include "${pattern.replaceAll('\\', '\\\\')}";\n`).join('');
      const main = box.write('main.conf', `${box.main}${includes}`);
      const { ok, out, err } = box.nginx('-T', main);
      expect(ok, err).toBe(true);
      const theirs = [...out.matchAll(/^# configuration file (.*):$/gm)].map((match) => match[1] ?? '');
      expect(
        paths(readTree(main, disk(box.root))).map((path) => Buffer.from(path).toString('latin1')),
      ).toEqual(theirs);
    };
    for (const pattern of patterns) check([pattern]);
    fc.assert(fc.property(fc.array(fc.constantFrom(...patterns), { maxLength: 4 }), check), { numRuns: 20 });
  });

  it('includes-everywhere', async () => {
    box.write('inc/map', 'a b; include inc/more;');
    box.write('inc/more', 'c d;');
    box.write('inc/types', 'text/plain txt;');
    box.write('inc/geo', '10.0.0.0/8 1;');
    // a port that an ordinary user may bind: nginx -T binds what it tests
    const port = String(await freePort());
    box.write(
      'inc/server',
      `server { listen 127.0.0.1:${port}; include inc/location; include inc/location; }`,
    );
    box.write('inc/location', 'location /$request_id { include inc/params; }');
    box.write('inc/params', 'fastcgi_param A b; include inc/none*;');
    box.write('inc/peers', 'server 127.0.0.1:9000;');
    const file = box.write(
      'everywhere.conf',
      `${box.main}http { ${box.http} map $uri $a { include inc/map*; } types { include inc/types; } geo $b { include inc/geo; }
        upstream u { include inc/peers; } server { listen 127.0.0.1:${port}; location / { include inc/params; } } }`,
    );
    const { ok, out, err } = box.nginx('-T', file);
    expect(ok, err).toBe(true);
    const theirs = [...out.matchAll(/^# configuration file (.*):$/gm)].map((match) => match[1]);
    const tree = readTree(file, disk(box.root));
    expect(tree.problems).toEqual([]);
    expect(paths(tree)).toEqual(theirs);
  });
});

/** Connects until somebody answers; the test's own timeout is the deadline. */
async function listening(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const open = await new Promise<boolean>((done) => {
      socket.once('connect', () => done(true));
      socket.once('error', () => done(false));
    });
    socket.destroy();
    if (open) return;
  }
}

/** The bodies of /0 to /count-1, one character for each byte, over one connection. */
async function ask(port: number, count: number): Promise<readonly string[]> {
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('latin1');
  const bodies: string[] = [];
  let buffer = '';
  const next = async (): Promise<void> => {
    for (;;) {
      const head = buffer.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(buffer)?.[1]);
      if (head >= 0 && buffer.length >= head + 4 + length) {
        bodies.push(buffer.slice(head + 4, head + 4 + length));
        buffer = buffer.slice(head + 4 + length);
        return;
      }
      const [chunk] = (await once(socket, 'data')) as [string];
      buffer += chunk;
    }
  };
  for (let at = 0; at < count; at++) {
    if (at % 50 === 0 && at > 0) buffer = '';
    socket.write(`GET /${String(at)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await next();
  }
  socket.destroy();
  return bodies;
}
