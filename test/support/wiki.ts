/**
 * A real application in a sandbox: Debian's DokuWiki, as `node scripts/setup.mjs test` unpacks it.
 */
import { appendFileSync, chmodSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Sandbox } from '../../src/demo/sandbox.js';

/** From where the package is, which tests and bench are run in. */
export const DOKUWIKI = resolve('node_modules/.cache/swap-pool/dokuwiki');

export const PAGES = 12;
export const marker = (page: number): string => `the-${String(page)}th-page-says-so`;

/** Puts a wiki into the sandbox and makes it the site: what nginx serves, and what is probed and verified. */
export function installWiki(sandbox: Sandbox): void {
  cpSync(DOKUWIKI, sandbox.path('wiki'), { recursive: true });
  const wiki = (...names: string[]): string => sandbox.path('wiki', ...names);
  for (let page = 0; page < PAGES; page += 1) {
    writeFileSync(
      wiki('data', 'pages', `page${page}.txt`),
      `====== Page ${page} ======\n\n${marker(page)}\n`,
    );
  }
  chmodSync(wiki(), 0o755);
  // Debian's libraries lie elsewhere than where the package would look for them
  for (const path of readdirSync(wiki(), { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.php')) continue;
    const text = readFileSync(wiki(path), 'utf8');
    if (text.includes('/usr/share/php'))
      writeFileSync(wiki(path), text.replaceAll('/usr/share/', `${wiki('share')}/`));
  }
  openToAll(wiki('data'));
  writeFileSync(
    wiki('conf', 'local.php'),
    `<?php $conf['savedir'] = '${wiki('data')}'; $conf['useacl'] = 0; $conf['superuser'] = '';`,
  );
  writeFileSync(
    wiki('before.php'),
    `<?php define('DOKU_MAIN_CONF', '${wiki('conf')}/'); define('DOKU_CONF', '${wiki('conf')}/');
header('X-Pool: ' . getenv('SWAP_POOL_SLOT'));`,
  );
  const { fpmConfig, site, config } = sandbox.site();
  appendFileSync(fpmConfig.blue, `\nphp_admin_value[auto_prepend_file] = ${wiki('before.php')}\n`);
  replace(site, `root ${sandbox.path('www')};`, `root ${wiki('app')};`);
  replace(config, sandbox.path('www', 'health.php'), wiki('app', 'doku.php'));
  replace(config, 'uri: /health.php', 'uri: "/doku.php?id=page0"');
  replace(config, 'body: ok', `body: ${marker(0)}`);
  replace(config, '/verify.php', '/doku.php?id=page0');
}

function replace(file: string, from: string, to: string): void {
  const text = readFileSync(file, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} has no ${from}`);
  writeFileSync(file, text.replace(from, to));
}

/** The pools' user writes pages, caches and indexes there. */
function openToAll(folder: string): void {
  chmodSync(folder, 0o777);
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o777 : 0o666);
  }
}
