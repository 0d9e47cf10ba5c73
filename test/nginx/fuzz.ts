/**
 * Mutated configurations, by the number: the same seed and number give the same bytes. Not by fast-check, which is
 * ten times slower: the long form (`npm run fuzz`) sends a million of them through the lexer.
 */
import { applyEdits } from '../../src/nginx/edit.js';
import { exchangeEdits } from '../../src/nginx/exchange.js';
import { lex } from '../../src/nginx/lexer.js';
import { findReferences } from '../../src/nginx/references.js';
import { binary, bytesOf } from '../../src/nginx/spelling.js';
import { readTree } from '../../src/nginx/tree.js';
import type { Tree } from '../../src/nginx/tree.js';
import { memory } from './disk.js';
import { realistic } from './generate.js';
import { links, main, unix } from './slots.js';

/** What has been seen to be as it must. */
export interface Seen {
  inputs: number;
  bytes: number;
  tokens: number;
  /** Inputs that nginx would refuse. */
  refused: number;
  /** Of those that were read as a whole configuration: how many were exchanged, and at how many places. */
  trees: number;
  exchanged: number;
  edits: number;
  /** The longest that one input took, ms. */
  slowest: number;
}

export const nothingSeen = (): Seen => ({
  inputs: 0,
  bytes: 0,
  tokens: 0,
  refused: 0,
  trees: 0,
  exchanged: 0,
  edits: 0,
  slowest: 0,
});

/** Checks one input; throws with a sentence when something is not as it must be. */
export function check(seed: number, number: number, seen: Seen): void {
  const random = randomOf(seed, number);
  const text = mutated(random);
  const bytes = bytesOf(text);
  const began = performance.now();
  const { tokens, problem } = lex(bytes);
  const gaps: string[] = [];
  let end = 0;
  for (const { offset, length } of tokens) {
    if (offset < end || length < 1 || offset + length > bytes.length) throw new Error('tokens overlap');
    gaps.push(text.slice(end, offset));
    end = offset + length;
  }
  if (problem === null) gaps.push(text.slice(end));
  // behind a comment and its line end the next gap may begin: each by itself is space and comments
  for (const gap of gaps) if (!GAP.test(gap)) throw new Error(`lost between tokens: ${JSON.stringify(gap)}`);
  seen.inputs += 1;
  seen.bytes += bytes.length;
  seen.tokens += tokens.length;
  if (problem !== null) seen.refused += 1;
  if (number % WHOLE === 0) exchangeTwice(text, seen);
  seen.slowest = Math.max(seen.slowest, performance.now() - began);
}

/** One of so many is read as a whole configuration, too. */
const WHOLE = 8;
const GAP = /^(?:[ \t\r\n]+|#[^\n]*(?:\n|$))*$/;

/** Every byte outside the addresses stays, and a second exchange gives the first bytes. */
function exchangeTwice(text: string, seen: Seen): void {
  seen.trees += 1;
  const tree = treeOf(text);
  const after = exchangeOnce(tree, text, seen);
  // of a word with a NUL nginx reads what stands before it, and so does the word that takes its place
  if (after === null || tree.problems.length > 0 || text.includes('\0')) return;
  const again = treeOf(after);
  if (again.problems.length > 0) throw new Error('an exchange broke the syntax');
  if (exchangeOnce(again, after, null) !== text) throw new Error('exchanged twice is not what it was');
}

const treeOf = (text: string): Tree =>
  readTree(main, memory({ [main]: text, '/etc/nginx/mime.types': 'a b;', '/etc/nginx/maps/a.map': 'c d;' }));

function exchangeOnce(tree: Tree, text: string, seen: Seen | null): string | null {
  const found = findReferences(tree, { addresses: unix, only: [], resolve: links });
  if (!found.ok) throw new Error(found.failure.reason);
  const words = found.value.references.map(({ token }) => token);
  let after: string | null = null;
  for (const { file, edits } of exchangeEdits(found.value.references, unix)) {
    const result = applyEdits(file.bytes, edits);
    if (!result.ok) throw new Error(result.failure.reason);
    if (file.real !== main) throw new Error('another file was edited');
    after = binary(result.value);
    let [from, to] = [0, 0];
    for (const { offset, length, replacement } of [...edits].sort((a, b) => a.offset - b.offset)) {
      if (text.slice(from, offset) !== after.slice(to, to + offset - from)) throw new Error('a byte changed');
      if (!words.some((word) => word.offset <= offset && offset + length <= word.offset + word.length))
        throw new Error(`no word: ${JSON.stringify(text.slice(offset, offset + length))}`);
      to += offset - from + replacement.length;
      from = offset + length;
    }
    if (text.slice(from) !== after.slice(to)) throw new Error('a byte changed at the end');
    if (seen !== null) {
      seen.exchanged += 1;
      seen.edits += edits.length;
    }
  }
  return after;
}

/** A piece of a file like those that people have, or all of one, with some things done to it. */
function mutated(random: (below: number) => number): string {
  const base = BASES[random(BASES.length)] ?? '';
  let text = base;
  if (random(3) > 0) {
    const from = random(base.length);
    text = base.slice(from, from + random(500));
  }
  for (let left = random(6); left > 0; left -= 1) {
    const at = random(text.length + 1);
    const piece = PIECES[random(PIECES.length)] ?? '';
    switch (random(7)) {
      case 0:
        text = text.slice(0, at) + text.slice(at + 1 + random(4));
        break;
      case 1:
        text = text.slice(0, at) + piece + text.slice(at);
        break;
      case 2:
        text = text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1);
        break;
      case 3:
        text = text.slice(0, at);
        break;
      case 4: {
        const other = random(text.length + 1);
        text = text.slice(0, at) + text.slice(other, other + random(80)) + text.slice(at);
        break;
      }
      case 5:
        text = text.slice(0, at) + piece.repeat(random(30)) + text.slice(at);
        break;
      default:
        // around the size of nginx's buffer
        if (random(40) === 0)
          text =
            text.slice(0, at) +
            (piece || 'x').repeat(Math.ceil((4070 + random(60)) / (piece.length || 1))) +
            text.slice(at);
    }
  }
  return text;
}

const PIECES = [
  ...['"', "'", ';', '{', '}', '\\', '#', '\n', '\r\n', '$', '${', ' ', '\t', '\0', '\u00ff', '(', ')', 'a'],
  ...['fastcgi_pass unix:/run/php/blue.sock;', 'server unix:/var/run/php/green.sock backup;', 'upstream x {'],
  ...[
    'include nginx.conf;',
    'include *.conf;',
    'content_by_lua_block {',
    '--[[',
    ']]',
    'map $a $b {',
    '\\"',
    '"x" ',
  ],
  ...['unix:/srv/link/blue.sock', '"unix:/run/php/./green.sock"', 'proxy_pass $x;', '\u00ef\u00bb\u00bf'],
];

const BASES = [
  realistic,
  `upstream shop {
    server unix:/run/swap-pool/shop-blue.sock max_fails=0;
    server unix:/run/php/blue.sock max_fails=0;
    server unix:/run/php/green.sock max_fails=0 backup;
}
`,
  `server {
    listen 80 default_server; listen [::]:80;
    root /var/www/html; index index.php index.html;
    server_name _ "~^(?<name>.+)\\.example$";
    location / { try_files $uri $uri/ =404; }
    location ~ ^(.+\\.php)(/.+)?$ {
        fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        # with php-fpm (or other unix sockets):
        fastcgi_pass unix:/run/php/blue.sock;
        #fastcgi_pass unix:/run/php/green.sock;
    }
    location = /status { access_log off; fastcgi_pass "unix:/run/php/green.sock"; }
    location ~ /\\.ht { deny all; }
    add_header X-A "a; b {c} # d"; add_header X-B 'it\\'s';
    if ($http_cookie ~* "id=([^;]+)(?:;|$)") { set $id $1; }
    rewrite_by_lua_block { local t = { ["}"] = "{" } -- }
    }
}
`,
];

/** mulberry32, seeded by both. */
function randomOf(seed: number, number: number): (below: number) => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * Math.max(1, below));
  };
}
