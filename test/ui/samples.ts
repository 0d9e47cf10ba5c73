/** One of everything that can be said. The mapped types make the compiler ask for a sample of each new reason. */
import type {
  AppStatus,
  CommandResult,
  Event,
  EventBody,
  Failure,
  FailureReason,
  Finding,
  Life,
  Notice,
  Observation,
  ObservationReason,
  Plan,
  Question,
  Warning,
  WarningReason,
  WrongAnswer,
} from '../../src/event.js';

const place = { file: '/etc/nginx/conf.d/shop.conf', line: 3, column: 9 };
const holder = { pid: 4711, user: 'root', command: 'deploy shop', since: '2026-11-21T20:43:01.000Z' };
const suspect = { pid: 12, command: 'php-fpm: master process', user: 'www-data' };
const life: Life = {
  ...suspect,
  leads: true,
  workers: [21, 22],
  reachable: true,
  accepted: 0,
  working: 0,
  idle: true,
};
const question: Extract<Question, { kind: 'pool-serves' }> = {
  kind: 'pool-serves',
  verb: 'stop',
  slot: 'blue',
  certain: true,
  connections: { accepted: 2, queued: 1 },
  working: 2,
};
const log = '[21-Nov-2026 20:43:01] ERROR: unable to bind listening socket\n';

export const FAILURES: { readonly [R in FailureReason]: Extract<Failure, { reason: R }> } = {
  usage: { reason: 'usage', detail: "error: unknown option '--frobnicate'" },
  'config-invalid': {
    reason: 'config-invalid',
    problems: [
      {
        place: { file: '/etc/swap-pool/shop.yaml', line: 4, column: 1 },
        what: 'the key pol is unknown',
        fix: 'write pool',
      },
    ],
  },
  'no-apps': { reason: 'no-apps', folder: '/etc/swap-pool' },
  'app-unknown': { reason: 'app-unknown', app: 'shp', known: ['shop', 'blog'] },
  'app-ambiguous': { reason: 'app-ambiguous', known: ['shop', 'blog'] },
  'unsafe-path': { reason: 'unsafe-path', path: '/srv/shop', detail: 'is writable by everybody' },
  'binary-missing': {
    reason: 'binary-missing',
    program: 'php-fpm',
    searched: ['/usr/local/sbin', '/usr/sbin'],
  },
  'binary-ambiguous': { reason: 'binary-ambiguous', found: ['/usr/sbin/php-fpm8.1', '/usr/sbin/php-fpm8.2'] },
  'pool-config-invalid': {
    reason: 'pool-config-invalid',
    slot: 'green',
    file: '/srv/shop.fpm.conf',
    output: log,
  },
  'pool-test-timeout': {
    reason: 'pool-test-timeout',
    slot: 'blue',
    file: '/srv/shop.fpm.conf',
    ms: 20_000,
  },
  'pool-section-unclear': {
    reason: 'pool-section-unclear',
    file: '/srv/shop.fpm.conf',
    sections: ['www', 'api'],
  },
  'slots-share': {
    reason: 'slots-share',
    shared: [
      { what: 'pid', value: '/run/shop.pid', places: [{ file: '/srv/shop.fpm.conf', line: 2, column: 1 }] },
      { what: 'listen', value: 'unix:/run/shop.sock', places: [] },
    ],
  },
  'listen-is-link': { reason: 'listen-is-link', slot: 'blue', path: '/run/a.sock', target: '/run/b.sock' },
  'address-invalid': { reason: 'address-invalid', slot: 'blue', address: 'shop' },
  'symlink-needs-unix': { reason: 'symlink-needs-unix', slot: 'blue', address: '127.0.0.1:9001' },
  locked: { reason: 'locked', lock: 'app', path: '/run/swap-pool/shop.lock', holder },
  'answer-needed': { reason: 'answer-needed', question },
  declined: { reason: 'declined', question },
  'file-of-another-app': {
    reason: 'file-of-another-app',
    file: '/etc/logrotate.d/swap-pool-x_y',
    owner: 'x.y',
  },
  'file-exists': { reason: 'file-exists', files: ['/etc/swap-pool/shop.fpm.conf'] },
  'file-unreadable': { reason: 'file-unreadable', path: '/etc/php/8.2/fpm/pool.d/www.conf', code: 'ENOENT' },
  'pool-file-unclear': { reason: 'pool-file-unclear', place, what: 'neither a section nor a setting' },
  'site-unclear': { reason: 'site-unclear', file: place.file, why: 'several-pools', places: [place] },
  'init-rejected': { reason: 'init-rejected', judge: 'nginx', file: place.file, output: log },
  'old-pool-busy': {
    reason: 'old-pool-busy',
    address: 'unix:/run/php/php8.2-fpm.sock',
    ms: 300_000,
    connections: { accepted: 1, queued: 0 },
    working: 1,
    retiring: 1,
  },
  'old-pool-named': {
    reason: 'old-pool-named',
    address: 'unix:/run/php/php8.2-fpm.sock',
    places: [place],
    unread: [],
  },
  'state-of-another-config': {
    reason: 'state-of-another-config',
    folder: '/var/lib/swap-pool/shop',
    owner: '/etc/swap-pool/shop.yaml',
    config: '/root/shop.yaml',
  },
  'state-unwritable': { reason: 'state-unwritable', path: '/var/lib/swap-pool/shop', code: 'EACCES' },
  'journal-unreadable': {
    reason: 'journal-unreadable',
    path: '/var/lib/swap-pool/shop/1.ndjson',
    detail: 'line 3 is not JSON',
  },
  'slot-foreign': {
    reason: 'slot-foreign',
    slot: 'green',
    address: 'unix:/run/shop-green.sock',
    holder: suspect,
  },
  'slot-alive': { reason: 'slot-alive', slot: 'green', address: 'unix:/run/shop-green.sock', pids: [11, 12] },
  'pidfile-refused': {
    reason: 'pidfile-refused',
    slot: 'green',
    path: '/run/green.pid',
    state: 'other-master',
    suspect,
  },
  'start-failed': {
    reason: 'start-failed',
    slot: 'green',
    command: ['/usr/sbin/php-fpm8.2', '-y', '/srv/a b.conf', '-D'],
    status: 78,
    log,
  },
  'start-timeout': {
    reason: 'start-timeout',
    slot: 'green',
    address: 'unix:/run/shop-green.sock',
    ms: 10_000,
    log,
  },
  'pool-died': { reason: 'pool-died', slot: 'green', log },
  'slots-one-master': {
    reason: 'slots-one-master',
    what: 'unit',
    unit: 'php8.2-fpm.service',
    master: null,
  },
  'unit-invalid': {
    reason: 'unit-invalid',
    slot: 'green',
    unit: 'shop-fpm@green.service',
    what: 'no-slot',
    detail: '',
  },
  'unit-disagrees': {
    reason: 'unit-disagrees',
    slot: 'green',
    unit: 'shop-fpm@green.service',
    state: 'active',
    unitPid: 40,
    pid: 41,
  },
  'probe-failed': {
    reason: 'probe-failed',
    slot: 'green',
    tries: 7,
    answer: { kind: 'status', status: 500, expected: 200, body: 'no database\n' },
    asked: '/srv/shop/health.php',
    log,
  },
  'stop-failed': { reason: 'stop-failed', slot: 'blue', pids: [11], detail: 'still there after KILL' },
  'drain-timeout': {
    reason: 'drain-timeout',
    slot: 'blue',
    ms: 300_000,
    connections: { accepted: 2, queued: 1 },
    working: 2,
    retiring: 1,
  },
  'still-draining': { reason: 'still-draining', slot: 'blue' },
  'pool-busy': {
    reason: 'pool-busy',
    slot: 'green',
    ms: 300_000,
    connections: { accepted: 2, queued: 1 },
    working: 2,
    retiring: 1,
  },
  'pool-not-running': { reason: 'pool-not-running', slot: 'green', address: 'unix:/run/shop-green.sock' },
  'pool-orphaned': { reason: 'pool-orphaned', slot: 'green', pids: [11, 12] },
  'pool-named': { reason: 'pool-named', slot: 'green' },
  'pool-in-transition': { reason: 'pool-in-transition', slot: 'green', doing: 'leaving' },
  'pool-reload-unproven': { reason: 'pool-reload-unproven', slot: 'green', ms: 22_000, log },
  'pool-logs-not-reopened': {
    reason: 'pool-logs-not-reopened',
    slot: 'green',
    files: ['/var/log/shop.log'],
    ms: 10_000,
  },
  'signal-refused': { reason: 'signal-refused', slot: 'green', pid: 11, signal: 'SIGUSR2', code: 'EPERM' },
  'pool-unable': { reason: 'pool-unable', slot: 'green', verb: 'reload', kind: 'fastcgi' },
  unobservable: { reason: 'unobservable', what: 'the listening socket', detail: '/proc/net/unix: EACCES' },
  'nginx-not-running': { reason: 'nginx-not-running', config: '/etc/nginx/nginx.conf' },
  'nginx-stopping': { reason: 'nginx-stopping', config: '/etc/nginx/nginx.conf', pid: 812, workers: [813] },
  'nginx-orphaned': { reason: 'nginx-orphaned', config: '/etc/nginx/nginx.conf', pids: [813, 814] },
  'nginx-not-found': { reason: 'nginx-not-found', searched: ['/usr/sbin/nginx'] },
  'nginx-ambiguous': { reason: 'nginx-ambiguous', masters: [suspect, { ...suspect, pid: 13 }] },
  'nginx-arguments-unclear': {
    reason: 'nginx-arguments-unclear',
    title: 'nginx: master process nginx -g daemon on; x',
  },
  'nginx-pidfile-wrong': {
    reason: 'nginx-pidfile-wrong',
    path: '/run/nginx.pid',
    detail: 'pid 12 is no nginx',
  },
  'nginx-syntax': { reason: 'nginx-syntax', place, what: 'unexpected "}"' },
  'nginx-include': { reason: 'nginx-include', place, what: '"sites/*" includes itself' },
  'nginx-config-broken': {
    reason: 'nginx-config-broken',
    output: 'nginx: [emerg] unknown directive "serverr"\n',
  },
  'nginx-test-timeout': { reason: 'nginx-test-timeout', config: '/etc/nginx/nginx.conf', ms: 30_000 },
  'nginx-tree-differs': {
    reason: 'nginx-tree-differs',
    onlyOurs: ['/etc/nginx/a.conf'],
    onlyTheirs: ['/etc/nginx/b.conf'],
  },
  'reference-missing': {
    reason: 'reference-missing',
    addresses: ['unix:/run/a.sock', 'unix:/run/b.sock'],
    variables: [place],
  },
  'reference-ambiguous': {
    reason: 'reference-ambiguous',
    places: [
      { place, slot: 'blue' },
      { place: { ...place, line: 9 }, slot: 'green' },
    ],
  },
  'master-shared': {
    reason: 'master-shared',
    places: [{ place, slot: 'blue', address: 'unix:/run/admin-blue.sock' }],
  },
  'only-unknown': { reason: 'only-unknown', only: 'upstream shp' },
  'link-not-named': { reason: 'link-not-named', link: '/run/swap-pool/shop.sock' },
  'link-and-slot-named': { reason: 'link-and-slot-named', link: '/run/swap-pool/shop.sock', places: [place] },
  'link-wrong': {
    reason: 'link-wrong',
    link: '/run/swap-pool/shop.sock',
    detail: 'a plain file stands there',
  },
  'upgrade-pending': { reason: 'upgrade-pending', path: '/run/nginx.pid.oldbin' },
  'config-changed': { reason: 'config-changed', file: '/etc/nginx/conf.d/shop.conf' },
  'config-unwritable': { reason: 'config-unwritable', file: '/etc/nginx/conf.d/shop.conf', code: 'EROFS' },
  'edit-rejected': { reason: 'edit-rejected', output: 'nginx: [emerg] duplicate upstream "shop"\n' },
  'reload-swallowed': {
    reason: 'reload-swallowed',
    log: 'bind() to 0.0.0.0:80 failed (98: Address already in use)\n',
  },
  'reload-unproven': { reason: 'reload-unproven', ms: 30_000, detail: 'the master is still at work' },
  'nginx-gone': { reason: 'nginx-gone', pid: 812 },
  'proxies-differ': {
    reason: 'proxies-differ',
    proxies: [
      { config: '/etc/nginx/nginx.conf', apps: ['shop', 'blog'] },
      { config: '/opt/nginx/nginx.conf', apps: ['old'] },
    ],
  },
  'nginx-busy': { reason: 'nginx-busy', ms: 300_000, holders: [{ pid: 813, clients: 2, upstreams: 1 }] },
  'nginx-unstoppable': { reason: 'nginx-unstoppable', pids: [813], detail: '813: state D' },
  'logs-not-reopened': { reason: 'logs-not-reopened', ms: 30_000, pids: [813], log },
  'upgrade-impossible': { reason: 'upgrade-impossible', why: 'daemon-off', program: '/usr/sbin/nginx' },
  'new-binary-rejects': { reason: 'new-binary-rejects', program: '/usr/sbin/nginx', output: log },
  'upgrade-failed': {
    reason: 'upgrade-failed',
    program: '/usr/sbin/nginx',
    at: 'leave',
    ms: 300_000,
    holders: [{ pid: 813, clients: 2, upstreams: 1 }],
    log,
  },
  'disk-differs-from-running': {
    reason: 'disk-differs-from-running',
    files: ['/etc/nginx/nginx.conf'],
    slot: 'green',
  },
  'verify-failed': {
    reason: 'verify-failed',
    url: 'http://127.0.0.1/health.php',
    answer: { kind: 'status', status: 502, expected: 'below 400' },
  },
  'verify-not-seen': { reason: 'verify-not-seen', slot: 'green', url: 'http://127.0.0.1/health.php' },
  'old-pool-still-used': { reason: 'old-pool-still-used', slot: 'blue', requests: 3 },
  'deploy-open': { reason: 'deploy-open', deploy: '000042-20261121T204301Z', step: 'drain' },
  'nothing-to-roll-back': { reason: 'nothing-to-roll-back', why: 'none' },
  interrupted: { reason: 'interrupted', signal: 'SIGINT' },
  'left-unfinished': { reason: 'left-unfinished', deploy: '000042-20261121T204301Z' },
  stranded: {
    reason: 'stranded',
    detail: 'it cannot be told which slot serves',
    cause: { reason: 'nginx-gone', pid: 812 },
  },
  'pool-unreachable': {
    reason: 'pool-unreachable',
    slot: 'blue',
    address: 'unix:/run/shop-blue.sock',
    answer: { kind: 'no-socket' },
  },
  'reference-unused': { reason: 'reference-unused', places: [place] },
  'files-unread': { reason: 'files-unread', files: ['/etc/nginx/conf.d/shop.conf'], slot: 'green' },
  'not-serving': { reason: 'not-serving', apps: ['shop'] },
  unhealthy: { reason: 'unhealthy', errors: 2, warnings: 1 },
  'output-lost': { reason: 'output-lost', code: 'ENOSPC' },
  'demo-cut': { reason: 'demo-cut', cut: 1, requests: 12_345 },
  'demo-needs': { reason: 'demo-needs', missing: ['nginx', 'php-fpm'] },
  bug: { reason: 'bug', detail: 'TypeError: x is not a function\n    at act (/srv/swap-pool.cjs:1:2)' },
};

const ANSWERS: { readonly [K in WrongAnswer['kind']]: Extract<WrongAnswer, { kind: K }> } = {
  'no-socket': { kind: 'no-socket' },
  refused: { kind: 'refused' },
  permission: { kind: 'permission', user: 'www-data' },
  timeout: { kind: 'timeout', ms: 10_000 },
  closed: { kind: 'closed' },
  protocol: { kind: 'protocol', detail: 'version 72' },
  status: { kind: 'status', status: 500, expected: 'below 400' },
  body: { kind: 'body', expected: 'ok', body: '<h1>Fatal</h1>\n' },
  fatal: { kind: 'fatal', stderr: 'PHP Fatal error:  Uncaught Error in /srv/shop/health.php:3\n' },
  error: { kind: 'error', code: 'EMFILE' },
};

/** Every reason once, then the forms that one sample cannot show. */
export const ALL_FAILURES: readonly Failure[] = [
  ...Object.values(FAILURES),
  ...Object.values(ANSWERS).map((answer) => ({ ...FAILURES['probe-failed'], answer })),
  ...Object.values(ANSWERS).map((answer) => ({ ...FAILURES['verify-failed'], answer })),
  { ...FAILURES['binary-missing'], program: 'flock' },
  { ...FAILURES.interrupted, atOnce: true },
  { reason: 'config-invalid', problems: [] },
  {
    reason: 'config-invalid',
    problems: [...FAILURES['config-invalid'].problems, ...FAILURES['config-invalid'].problems],
  },
  { reason: 'app-unknown', app: 'shop', known: [] },
  { ...FAILURES['pool-section-unclear'], sections: [] },
  { ...FAILURES['pool-section-unclear'], asked: 'shop' },
  { ...FAILURES['pool-section-unclear'], option: true },
  { ...FAILURES['old-pool-named'], places: [], unread: ['/etc/nginx/nginx.conf'] },
  { ...FAILURES['slot-foreign'], lives: [suspect, { ...suspect, pid: 13 }] },
  { ...FAILURES.locked, lock: 'nginx', holder: null },
  { ...FAILURES.locked, lock: 'slot' },
  ...['EPERM', 'ENOSPC', 'EROFS', 'ENOENT', 'EWHATEVER'].map((code) => ({
    ...FAILURES['state-unwritable'],
    code,
  })),
  { ...FAILURES['slot-foreign'], address: '127.0.0.1:9001', holder: null },
  { ...FAILURES['slot-alive'], pids: [] },
  { ...FAILURES['slot-alive'], elsewhere: true },
  { ...FAILURES['start-failed'], status: null, log: '' },
  { ...FAILURES['pool-in-transition'], doing: 'starting' },
  { ...FAILURES['nginx-unstoppable'], detail: 'EPERM' },
  { ...FAILURES['deploy-open'], step: null },
  { reason: 'answer-needed', question: { ...question, certain: false, verb: 'restart' } },
  { reason: 'answer-needed', question: { kind: 'init-write', files: 3 } },
  { reason: 'declined', question: { kind: 'init-write', files: 3 } },
  { ...FAILURES['stop-failed'], pids: [] },
  { ...FAILURES['reference-missing'], addresses: ['unix:/run/a.sock'], variables: [] },
  { ...FAILURES['reference-missing'], outside: [place] },
  { ...FAILURES['verify-not-seen'], url: null },
  { reason: 'nothing-to-roll-back', why: 'was-rollback' },
  { reason: 'stranded', detail: 'both slots answer', cause: null },
  { reason: 'slots-one-master', what: 'master', unit: null, master: suspect },
  ...(['not-found', 'masked', 'bad'] as const).map((what) => ({
    ...FAILURES['unit-invalid'],
    what,
    detail: 'no ExecStart',
  })),
  { ...FAILURES['unit-invalid'], detail: 'blue' },
  { ...FAILURES['unit-disagrees'], unitPid: null },
  { ...FAILURES['unit-disagrees'], pid: null },
  { reason: 'not-serving', apps: ['shop', 'blog'] },
  { ...FAILURES['upgrade-impossible'], why: 'no-binary' },
  { ...FAILURES['logs-not-reopened'], pids: [] },
  { ...FAILURES['logs-not-reopened'], unheard: true },
  { ...FAILURES['pool-config-invalid'], homeless: true },
  ...(['start', 'workers', 'listeners', 'died', 'retire', 'answers', 'quit'] as const).map((at) => ({
    ...FAILURES['upgrade-failed'],
    at,
    ms: 0,
    holders: [],
  })),
];

const holders = [{ pid: 813, clients: 2, upstreams: 1 }];

export const NOTICES: { readonly [K in Notice['kind']]: Extract<Notice, { kind: K }> } = {
  signal: { kind: 'signal', signal: 'SIGUSR2', to: 'old-nginx', pids: [812] },
  'nginx-tested': { kind: 'nginx-tested', program: '/usr/sbin/nginx' },
  'nginx-waits': { kind: 'nginx-waits', holders },
  'nginx-master': { kind: 'nginx-master', pid: 900, workers: 2 },
  'nginx-answers': { kind: 'nginx-answers', address: '127.0.0.1:80', pid: 901, more: 0 },
  'nginx-goes-back': { kind: 'nginx-goes-back', to: 812 },
  'upgrade-found': { kind: 'upgrade-found', old: 812 },
};

export const WARNINGS: { readonly [R in WarningReason]: Extract<Warning, { reason: R }> } = {
  'no-probe-script': { reason: 'no-probe-script' },
  'probe-weak': { reason: 'probe-weak', slot: 'green' },
  'no-status': { reason: 'no-status', slot: 'green' },
  'control-timeout-zero': { reason: 'control-timeout-zero', slot: 'green' },
  'few-workers': { reason: 'few-workers', start: 2, busy: 24, pm: 'dynamic' },
  'little-memory': { reason: 'little-memory', needed: 2_000_000_000, available: 400_000_000 },
  'backup-max-fails': { reason: 'backup-max-fails', places: [place] },
  'variable-reference': { reason: 'variable-reference', places: [place] },
  'master-shared': {
    reason: 'master-shared',
    places: [{ place, slot: 'green', address: 'unix:/run/admin-green.sock' }],
  },
  'left-behind': { reason: 'left-behind', slot: 'blue', places: [place] },
  'reference-unused': { reason: 'reference-unused', places: [place] },
  'proxy-stopped': { reason: 'proxy-stopped', config: '/etc/nginx/nginx.conf', slot: 'blue' },
  'socket-file-gone': { reason: 'socket-file-gone', slot: 'blue', path: '/run/shop-blue.sock' },
  'running-differs': { reason: 'running-differs', files: ['/etc/nginx/nginx.conf'] },
  pidfile: { reason: 'pidfile', slot: 'blue', path: '/run/blue.pid', state: 'dead', pid: 99 },
  'socket-file-stale': { reason: 'socket-file-stale', slot: 'green', path: '/run/shop-green.sock' },
  'slot-orphaned': { reason: 'slot-orphaned', slot: 'blue', pids: [11, 12] },
  'standby-running': { reason: 'standby-running', slot: 'green', pid: 4000 },
  'nothing-serves': { reason: 'nothing-serves', slot: 'blue' },
  recovering: { reason: 'recovering', deploy: '20261121T204301', step: 'switch' },
  'waits-for-other-sites': { reason: 'waits-for-other-sites', retiring: 2, pids: [21, 22] },
  'rollback-runs-now': { reason: 'rollback-runs-now' },
  'signal-noted': { reason: 'signal-noted', signal: 'SIGTERM', step: 'probe' },
  'stop-escalates': { reason: 'stop-escalates', slot: 'blue', signal: 'SIGKILL', pids: [11] },
  'stop-command-failed': {
    reason: 'stop-command-failed',
    slot: 'blue',
    command: ['/etc/init.d/shop-fpm-blue', 'stop'],
    status: 1,
    output: 'no such process\n',
  },
  'unit-kill-signal': {
    reason: 'unit-kill-signal',
    slot: 'green',
    unit: 'shop-fpm@green.service',
    signal: 'SIGTERM',
  },
  'unit-stop-timeout': {
    reason: 'unit-stop-timeout',
    slot: 'green',
    unit: 'shop-fpm@green.service',
    timeout: 5000,
    control: 10_000,
  },
  'unit-runtime-folder': {
    reason: 'unit-runtime-folder',
    units: ['shop-fpm@blue.service', 'shop-fpm@green.service'],
    folder: '/run/php',
  },
  'unit-unread': { reason: 'unit-unread', slot: 'green', unit: 'shop-fpm@green.service' },
  cut: { reason: 'cut', slot: 'blue', cut: 2 },
  'reload-cuts': {
    reason: 'reload-cuts',
    slot: 'blue',
    connections: { accepted: 2, queued: 0 },
    working: 2,
  },
  'reload-joined': { reason: 'reload-joined', slot: 'blue' },
  'pool-config-remembered': {
    reason: 'pool-config-remembered',
    slot: 'blue',
    file: '/srv/shop.fpm.conf',
  },
  'brought-back': { reason: 'brought-back', slot: 'green' },
  'name-given-back': { reason: 'name-given-back', slot: 'blue' },
  'revert-unfinished': { reason: 'revert-unfinished', slot: 'green', cause: FAILURES['drain-timeout'] },
  'nginx-not-asked': { reason: 'nginx-not-asked', config: '/etc/nginx/nginx.conf', code: 'EACCES' },
  'workers-guessed': { reason: 'workers-guessed', workers: 5, ms: 2000 },
  'old-pool-not-running': { reason: 'old-pool-not-running', address: 'unix:/run/php/php8.2-fpm.sock' },
  'old-pool-named': {
    reason: 'old-pool-named',
    address: 'unix:/run/php/php8.2-fpm.sock',
    places: [place],
  },
  'site-names-others': { reason: 'site-names-others', places: [place] },
  'journal-write-failed': { reason: 'journal-write-failed', code: 'ENOSPC' },
  'not-durable': { reason: 'not-durable', path: '/run/swap-pool/shop.sock', code: 'EIO' },
  'output-lost': { reason: 'output-lost', code: 'ENOSPC' },
  'journal-damaged': {
    reason: 'journal-damaged',
    path: '/var/lib/swap-pool/shop/deploys/000007-20260101T000000Z.ndjson',
    detail: 'line 4 is not a record',
    aside: null,
  },
  'app-left-out': { reason: 'app-left-out', cause: FAILURES['config-invalid'] },
  'nginx-config-unusable': { reason: 'nginx-config-unusable', cause: FAILURES['nginx-config-broken'] },
};

const PIDFILES = [
  'none',
  'missing',
  'ok',
  'empty',
  'garbage',
  'several-lines',
  'dead',
  'reused',
  'init',
  'other-master',
  'writable',
] as const;

export const ALL_WARNINGS: readonly Warning[] = [
  ...Object.values(WARNINGS),
  ...PIDFILES.map((state) => ({ ...WARNINGS.pidfile, state, pid: null })),
  { ...WARNINGS['standby-running'], pid: null },
  { ...WARNINGS.recovering, step: null },
  { ...WARNINGS['journal-damaged'], aside: '/var/lib/x.ndjson.damaged' },
  { ...WARNINGS['signal-noted'], step: 'verify' },
  { ...WARNINGS['signal-noted'], step: 'drain' },
  { ...WARNINGS.cut, cut: 1 },
  { ...WARNINGS['few-workers'], pm: 'static' },
  { ...WARNINGS['reload-cuts'], unsure: true },
  { ...WARNINGS['stop-command-failed'], status: null },
];

// ---------------------------------------------------------------- a deploy

const DEPLOY = '20261121T204301.000Z-4711';

/** `at`: ms after 20:43:01 UTC. */
export function event(body: EventBody, at = 0, app: string | null = 'shop'): Event {
  const time = new Date(Date.UTC(2026, 10, 21, 20, 43, 1, at)).toISOString();
  return { ...body, time, app, ...(app === null ? {} : { deploy: DEPLOY }) };
}

export const PLAN: Plan = {
  command: 'deploy',
  from: 'blue',
  to: 'green',
  switch: 'rewrite',
  steps: ['start', 'probe', 'switch', 'verify', 'drain', 'retire', 'stop'],
  changes: [
    {
      file: '/etc/nginx/conf.d/shop.conf',
      lines: [2, 3],
      diff: '--- /etc/nginx/conf.d/shop.conf\n+++ /etc/nginx/conf.d/shop.conf\n@@ -1,4 +1,4 @@\n upstream shop {\n-\tserver unix:/run/shop-blue.sock;\n+\tserver unix:/run/shop-green.sock;\n',
    },
  ],
  commands: [
    ['/usr/sbin/php-fpm8.2', '-y', '/srv/shop.fpm.conf', '-D'],
    ['/usr/sbin/nginx', '-t', '-g', 'daemon on;'],
  ],
  signals: [
    { signal: 'SIGHUP', to: 'nginx, pid 812' },
    { signal: 'SIGQUIT', to: 'blue, pid 4000' },
  ],
  dryRun: false,
};

export const RESULT: CommandResult = {
  command: 'deploy',
  outcome: 'done',
  exit: 0,
  from: 'blue',
  to: 'green',
  switch: 'rewrite',
  ms: { start: 24.4, probe: 9, switch: 133, verify: 2, drain: 212, retire: 1, stop: 8, total: 390.2 },
  drain: { accepted: 2, queued: 0, cut: 0 },
};

const quiet = { accepted: 0, queued: 0 };

/** A deploy that goes well, as the events of one. */
export const DEPLOYED: readonly Event[] = [
  event({ type: 'plan', plan: PLAN }),
  event({ type: 'warning', warning: WARNINGS['few-workers'] }, 1),
  event({ type: 'step-started', step: 'start', slot: 'green', revert: false }, 2),
  event(
    {
      type: 'step-done',
      step: 'start',
      slot: 'green',
      revert: false,
      ms: 24.4,
      note: { kind: 'pid', pid: 4121, adopted: false },
    },
    26,
  ),
  event({ type: 'step-started', step: 'probe', slot: 'green', revert: false }, 26),
  event(
    {
      type: 'step-done',
      step: 'probe',
      slot: 'green',
      revert: false,
      ms: 9,
      note: { kind: 'answers', answers: 3, user: 'www-data' },
    },
    35,
  ),
  event({ type: 'step-started', step: 'switch', slot: 'green', revert: false }, 35),
  event(
    {
      type: 'step-done',
      step: 'switch',
      slot: 'green',
      revert: false,
      ms: 133,
      note: { kind: 'files', files: ['/etc/nginx/conf.d/shop.conf'] },
    },
    168,
  ),
  event({ type: 'step-started', step: 'verify', slot: 'green', revert: false }, 168),
  event(
    {
      type: 'step-done',
      step: 'verify',
      slot: 'green',
      revert: false,
      ms: 2,
      note: { kind: 'seen', by: 'nonce' },
    },
    170,
  ),
  event({ type: 'step-started', step: 'drain', slot: 'blue', revert: false }, 170),
  event(
    {
      type: 'progress',
      step: 'drain',
      slot: 'blue',
      connections: { accepted: 2, queued: 0 },
      working: 2,
      retiring: 1,
    },
    171,
  ),
  event(
    {
      type: 'progress',
      step: 'drain',
      slot: 'blue',
      connections: { accepted: 1, queued: 0 },
      working: 1,
      retiring: 0,
    },
    271,
  ),
  event({ type: 'progress', step: 'drain', slot: 'blue', connections: quiet, working: 0, retiring: 0 }, 371),
  event({ type: 'step-done', step: 'drain', slot: 'blue', revert: false, ms: 212, note: null }, 382),
  event({ type: 'step-started', step: 'retire', slot: 'blue', revert: false }, 382),
  event({ type: 'step-done', step: 'retire', slot: 'blue', revert: false, ms: 1, note: null }, 383),
  event({ type: 'step-started', step: 'stop', slot: 'blue', revert: false }, 383),
  event(
    {
      type: 'step-done',
      step: 'stop',
      slot: 'blue',
      revert: false,
      ms: 8,
      note: { kind: 'signal', signal: 'SIGQUIT' },
    },
    391,
  ),
  event({ type: 'result', result: RESULT }, 392),
];

const failure: Failure = {
  ...FAILURES['probe-failed'],
  answer: { kind: 'status', status: 500, expected: 200, body: 'no database\n' },
};

/** One whose standby answers 500. */
export const REVERTED: readonly Event[] = [
  ...DEPLOYED.slice(0, 1),
  ...DEPLOYED.slice(2, 5),
  event({ type: 'failure', failure }, 10_026),
  event({ type: 'step-started', step: 'start', slot: 'green', revert: true }, 10_026),
  event(
    {
      type: 'step-done',
      step: 'start',
      slot: 'green',
      revert: true,
      ms: 12,
      note: { kind: 'signal', signal: 'SIGQUIT' },
    },
    10_038,
  ),
  event(
    {
      type: 'result',
      result: {
        command: 'deploy',
        outcome: 'reverted',
        exit: 1,
        from: 'blue',
        to: 'green',
        ms: { total: 10_038 },
        failure,
      },
    },
    10_038,
  ),
];

// ---------------------------------------------------------------- status

export const STATUS: AppStatus = {
  app: 'shop',
  active: 'green',
  served: true,
  slots: {
    blue: {
      state: 'stopped',
      listen: 'unix:/run/shop-blue.sock',
      connections: quiet,
      workers: { active: 0, idle: 0 },
      pidfile: 'missing',
    },
    green: {
      state: 'running',
      pid: 4121,
      since: '2026-11-21T20:43:01.000Z',
      listen: 'unix:/run/shop-green.sock',
      connections: { accepted: 3, queued: 0 },
      workers: { active: 3, idle: 5 },
      pidfile: 'ok',
    },
  },
  last: { deploy: DEPLOY, outcome: 'done' },
  open: null,
  lock: null,
};

export const OBSERVATIONS: { readonly [R in ObservationReason]: Extract<Observation, { reason: R }> } = {
  orphans: {
    reason: 'orphans',
    slot: 'green',
    serves: false,
    address: 'unix:/run/shop-green.sock',
    pids: [11, 12],
    connections: { accepted: 1, queued: 0 },
  },
  'several-lives': {
    reason: 'several-lives',
    slot: 'green',
    address: 'unix:/run/shop-green.sock',
    holders: [life, { ...life, pid: 13, reachable: false }],
  },
  'master-of-other-config': {
    reason: 'master-of-other-config',
    slot: 'green',
    address: 'unix:/run/shop-green.sock',
    master: suspect,
    serves: false,
    runs: '/etc/php/8.2/fpm/php-fpm.conf',
    expected: '/etc/swap-pool/shop.fpm.conf',
  },
  'not-served': { reason: 'not-served', slot: 'blue', address: 'unix:/run/shop-blue.sock' },
  'socket-nameless': {
    reason: 'socket-nameless',
    slot: 'blue',
    address: 'unix:/run/shop-blue.sock',
    pid: 12,
    retired: false,
  },
  'listens-elsewhere': {
    reason: 'listens-elsewhere',
    master: suspect,
    slot: null,
    config: '/etc/swap-pool/shop.fpm.conf',
    addresses: ['unix:/run/shop-blue.sock'],
  },
  'no-status-listen': { reason: 'no-status-listen', slot: 'blue' },
  'backlog-cut': { reason: 'backlog-cut', slot: 'blue', backlog: 65_535, somaxconn: 4096 },
  'socket-path-long': { reason: 'socket-path-long', slot: 'blue', path: '/run/a', bytes: 101, most: 107 },
  'oldbin-left': { reason: 'oldbin-left', path: '/run/nginx.pid.oldbin', pid: 12 },
  'worker-retires-long': {
    reason: 'worker-retires-long',
    pid: 12,
    clients: 1,
    upstreams: 2,
    since: '2026-11-21T20:43:01.000Z',
    ms: 5_400_000,
  },
  'shutdown-timeout-unset': { reason: 'shutdown-timeout-unset', config: '/etc/nginx/nginx.conf' },
  'keep-conn-symlink': { reason: 'keep-conn-symlink', places: [place] },
  'backup-balancer': { reason: 'backup-balancer', balancer: 'ip_hash', places: [place] },
  'reload-not-taken': { reason: 'reload-not-taken', files: [place.file], surely: true, log },
  'reload-hits-idle': { reason: 'reload-hits-idle', version: '1.22.1', mendable: false, places: [place] },
  'deploy-left-open': { reason: 'deploy-left-open', deploy: '000042-20261121T204301Z', step: 'drain' },
  'at-work': { reason: 'at-work', holder },
  'little-space': {
    reason: 'little-space',
    what: 'journal',
    path: '/var/lib',
    available: 12_288,
    needed: 262_144,
  },
};

/** Each observation as a finding, and one of either other kind. */
export const ALL_FINDINGS: readonly Finding[] = [
  ...Object.values(OBSERVATIONS).map(
    (observation) => ({ severity: 'error', app: 'shop', fixable: false, observation }) as const,
  ),
  {
    severity: 'advice',
    app: 'shop',
    fixable: false,
    observation: { reason: 'reload-not-taken', files: [place.file], surely: false, log: '' },
  },
  ...[
    [
      { ...life, reachable: false },
      { ...life, leads: false, reachable: false },
    ],
    [life, { ...life, reachable: false, working: 1, idle: false }],
    [life, { ...life, reachable: null }],
  ].map(
    (holders) =>
      ({
        severity: 'error',
        app: 'shop',
        fixable: false,
        observation: { ...OBSERVATIONS['several-lives'], holders },
      }) as const,
  ),
  ...[true, null].map(
    (serves) =>
      ({
        severity: 'error',
        app: 'shop',
        fixable: false,
        observation: { ...OBSERVATIONS['master-of-other-config'], serves },
      }) as const,
  ),
  ...(['proxy', 'pool'] as const).map(
    (what) =>
      ({
        severity: 'error',
        app: 'shop',
        fixable: false,
        observation: { ...OBSERVATIONS['little-space'], what },
      }) as const,
  ),
  ...[{ addresses: [] }, { slot: 'blue' as const }].map(
    (more) =>
      ({
        severity: 'warning',
        app: 'shop',
        fixable: false,
        observation: { ...OBSERVATIONS['listens-elsewhere'], ...more },
      }) as const,
  ),
  { severity: 'error', app: 'shop', fixable: false, failure: FAILURES['slot-foreign'] },
  { severity: 'warning', app: 'shop', fixable: true, warning: WARNINGS['socket-file-stale'] },
  { severity: 'advice', app: null, fixable: false, observation: OBSERVATIONS['shutdown-timeout-unset'] },
];
