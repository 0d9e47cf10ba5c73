/** The files that `init` renders for an app: what, where, and who has to agree with it. */
import { basename, dirname, join } from 'node:path';
import { ok, fail, SLOTS } from '../event.js';
import type { InitJudge, Result } from '../event.js';
import { bytesOf, fromUtf8, toUtf8 } from '../nginx/spelling.js';
import { readText } from '../system/files.js';
import type { Places } from '../system/places.js';
import { seconds, setting } from './fpm-file.js';
import type { Host } from './host.js';
import { render } from './render.js';
import { cronWord, quoted, shellWord, unitWord, yamlWord } from './words.js';

export type Manager = 'direct' | 'systemd' | 'init';

export interface Wishes {
  readonly app: string;
  /** The app's YAML. */
  readonly file: string;
  readonly manager: Manager;
  readonly switch: 'rewrite' | 'symlink';
  /** The probe's script. */
  readonly probe?: string | undefined;
  /** Of nginx, where it is not the one that everybody would find. */
  readonly nginxConfig?: string | undefined;
}

export interface Wanted {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly mode: number;
  /** Set: it holds the user's settings, perhaps secrets, and is this group's as theirs is. */
  readonly group?: number;
  readonly judge: InitJudge | null;
}

/** The folder of templates, and argv of swap-pool itself: cron and units find neither by a PATH. */
export interface Self {
  readonly templates: string;
  readonly command: readonly string[];
}

export interface Rooms {
  readonly places: Places;
  readonly upstream: string;
}

/** Everything but the site itself. Fails with `bug` for a template that is not there. */
export function wantedFiles(wishes: Wishes, host: Host, rooms: Rooms, self: Self): Result<readonly Wanted[]> {
  const { app, file, manager } = wishes;
  const { etc, run, state } = rooms.places;
  const config = fpmConfigOf(wishes);
  const name = app.replaceAll('.', '_'); // cron passes over a name with a dot
  const command = (quote: (word: string) => string): string => self.command.map(quote).join(' ');
  // FPM ends its workers itself after this time, by a second signal: whoever stops it waits for longer
  const control = seconds(controlTimeoutOf(host)) ?? 10;
  const found: Wanted[] = [];
  const failures: Result<never>[] = [];
  const put = (
    template: string,
    path: string,
    values: Readonly<Record<string, string>>,
    judge: InitJudge | null = null,
    mode = 0o644,
    encode = fromUtf8,
    group?: number,
  ): void => {
    const encoded = Object.entries({ app, ...values }).map(([key, value]) => [key, encode(value)] as const);
    const rendered = fill(self.templates, template, Object.fromEntries(encoded));
    const own = group === undefined ? {} : { group };
    if (rendered.ok) found.push({ path, bytes: bytesOf(rendered.value), mode, ...own, judge });
    else failures.push(rendered);
  };

  // what only some could read before, a password in `env`, say, nobody else reads now; but only root writes to it
  const { mode, gid } = host.readers ?? { mode: 0o644, gid: undefined };
  put('fpm.conf', config, fpmValues(wishes, host, run), 'php-fpm', mode & 0o644, (text) => text, gid);
  put('tmpfiles.conf', join(etc, 'tmpfiles.d', `swap-pool-${app}.conf`), { run });
  // by name: a pattern would take in the logs of an app whose name begins with this one's, and logrotate passes over
  // a file that names a log twice
  const logs = [join(host.logFolder, `${app}-\${SWAP_POOL_SLOT}.fpm.log`), ...logsOf(host)].flatMap((path) =>
    path.includes('${SWAP_POOL_SLOT}')
      ? SLOTS.map((slot) => path.replaceAll('${SWAP_POOL_SLOT}', slot))
      : [path],
  );
  const values = { logs: logs.map((path) => `"${path}"`).join(' '), swap_pool: command(shellWord) };
  put('logrotate', join(etc, 'logrotate.d', `swap-pool-${name}`), values, 'logrotate');
  if (manager === 'systemd') {
    const values = {
      binary: unitWord(host.binary),
      config: unitWord(config),
      stop_timeout: `${String(control + 20)}s`,
    };
    put('fpm@.service', join(etc, 'systemd/system', `${app}-fpm@.service`), values, 'systemd-analyze');
  }
  if (manager === 'init') {
    for (const slot of ['blue', 'green']) {
      const values = {
        slot,
        binary: shellWord(host.binary),
        config: shellWord(config),
        run: shellWord(run),
        stop_seconds: String(control + 5),
      };
      put('fpm.init', join(etc, 'init.d', `${app}-fpm-${slot}`), values, 'sh', 0o755);
    }
  }
  if (hasUnits(host, manager)) {
    for (const unit of ['swap-pool@.service', 'swap-pool-flip@.service', 'swap-pool-flip@.timer']) {
      put(unit, join(etc, 'systemd/system', unit), { swap_pool: command(unitWord) }, 'systemd-analyze');
    }
  } else {
    put('boot.init', join(etc, 'init.d', `swap-pool-${app}`), { swap_pool: command(shellWord) }, 'sh', 0o755);
    put('cron', join(etc, 'cron.d', `swap-pool-${name}`), {
      state: cronWord(join(state, app)),
      swap_pool: command(cronWord),
    });
  }
  const listens = socketsOf(run, app);
  if (wishes.switch === 'rewrite') {
    put(
      'upstream.conf',
      rooms.upstream,
      { active: nginxWord(`unix:${listens.blue}`), standby: nginxWord(`unix:${listens.green}`) },
      'nginx',
    );
  } else {
    put('upstream-symlink.conf', rooms.upstream, { link: linkOf(run, app) }, 'nginx');
  }
  put('app.yaml', file, yamlValues(wishes, host, rooms.places), 'config');
  return failures[0] ?? ok(found);
}

const controlTimeoutOf = ({ adopted }: Pick<Host, 'adopted'>): string => adopted?.controlTimeout ?? '10s';

/** FPM's own file: beside the app's YAML. */
const fpmConfigOf = ({ app, file }: Pick<Wishes, 'app' | 'file'>): string =>
  join(dirname(file), `${app}.fpm.conf`);

/** Units bring the site up at boot wherever systemd does. */
export const hasUnits = ({ systemd }: Pick<Host, 'systemd'>, manager: Manager): boolean =>
  manager === 'systemd' || (systemd && manager === 'direct');

const socketsOf = (run: string, app: string): { readonly blue: string; readonly green: string } => ({
  blue: join(run, `${app}-blue.sock`),
  green: join(run, `${app}-green.sock`),
});

const linkOf = (run: string, app: string): string => join(run, `${app}.sock`);

/** A file of the app's own name, filled. */
function fill(folder: string, template: string, values: Readonly<Record<string, string>>): Result<string> {
  const text = readText(join(folder, template));
  if (!text.ok) return fail({ reason: 'bug', detail: `template ${template}: ${text.code}` });
  return render(text.value, values);
}

/** Binary strings: the old pool's lines go in byte for byte. */
function fpmValues(
  { app }: Wishes,
  { adopted, proxyUser, statusListen, logFolder }: Host,
  path: string,
): Record<string, string> {
  const run = fromUtf8(path);
  const who = adopted?.user ?? proxyUser;
  const fresh = [
    setting('user', who),
    '',
    '; static: a new pool has all its workers at once. A dynamic one grows by about one a second.',
    setting('pm', 'static'),
    setting('pm.max_children', '8'),
  ];
  return {
    run,
    log: fromUtf8(logFolder),
    control_timeout: controlTimeoutOf({ adopted }),
    global_more: (adopted?.global ?? []).join('\n'),
    section: adopted?.section ?? app,
    settings: (adopted?.settings ?? fresh).join('\n'),
    listen: `${run}/${app}-\${SWAP_POOL_SLOT}.sock`,
    listen_more: (adopted?.listenMore ?? [setting('listen.owner', proxyUser)]).join('\n'),
    status_path: adopted?.statusPath ?? '/status',
    status_listen: statusListen ? `pm.status_listen = ${run}/${app}-\${SWAP_POOL_SLOT}-status.sock` : '',
    ping_path: adopted?.pingPath ?? '/ping',
    pool_more: '',
  };
}

function yamlValues(wishes: Wishes, host: Host, { run, etc }: Places): Record<string, string> {
  const { app, manager, probe, nginxConfig } = wishes;
  const pool = [
    ...(manager === 'direct' ? [] : [`manager: ${manager}`]),
    `config: ${yamlWord(basename(fpmConfigOf(wishes)))}`,
    `binary: ${yamlWord(host.binary)}`,
    ...(manager === 'systemd' ? [`systemd: { unit: '${app}-fpm@{slot}.service' }`] : []),
    ...(manager === 'init' ? [`init: { script: ${quoted(`${etc}/init.d/${app}-fpm-{slot}`)} }`] : []),
  ];
  const advice = [
    '# A script that says whether the application works; without it only FPM itself is asked.',
    '# probe: { script: /srv/shop/public/health.php, expect: { status: 200, body: ok } }',
    '# A page that reaches PHP through nginx, asked after each switch.',
    "# verify: { url: 'http://127.0.0.1/health.php', host: shop.example }",
  ];
  return {
    pool: pool.join('\n'),
    switch: wishes.switch === 'rewrite' ? 'rewrite' : `{ by: symlink, link: ${yamlWord(linkOf(run, app))} }`,
    more: [
      ...(nginxConfig === undefined ? [] : [`nginx: { config: ${yamlWord(nginxConfig)} }`]),
      ...(probe === undefined ? advice.slice(0, 2) : [`probe: { script: ${yamlWord(probe)} }`]),
      ...advice.slice(2),
    ].join('\n'),
  };
}

const logsOf = ({ adopted }: Host): readonly string[] =>
  (adopted?.logs ?? []).flatMap((path) => toUtf8(path) ?? []).filter((path) => path.startsWith('/'));

const nginxWord = (word: string): string =>
  /^[\w:/.-]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`;
