/**
 * Which way imports run. Every rule is a list of what a room may import; what is not on
 * its list is forbidden. test/laws.test.ts breaks each of them once, on purpose.
 */

const exactly = (path) => `^${path.replaceAll('.', '\\.')}$`;
const PURE = require('./scripts/pure-files.cjs').map(exactly);

const OURS = '^src/';
const EVENT = '^src/event\\.ts$';
const DRIVERS = '^src/drivers\\.ts$';

/** `from` may import from our sources only what `may` names. */
const only = (name, from, may, fromNot = []) => ({
  name,
  severity: 'error',
  from: { path: from, pathNot: fromNot },
  to: { path: OURS, pathNot: may },
});

/** Only `door` may import the module `what`. */
const door = (name, what, doors) => ({
  name,
  severity: 'error',
  from: { path: OURS, pathNot: doors },
  to: { path: what },
});

/** A package, as it is resolved or as it is written. */
const npm = (names) => `(^|/)node_modules/(${names})/|^(${names})(/|$)`;
const builtin = (names) => `^(node:)?(${names})(/|$)`;

module.exports = {
  forbidden: [
    // ------------------------------------------------------------ rooms
    only('cli', '^src/cli\\.ts$', ['^src/commands/', '^src/(session|interruption|duration)\\.ts$', EVENT]),
    only('session', '^src/session\\.ts$', [
      '^src/commands/outcome\\.ts$',
      '^src/config/apps\\.ts$',
      '^src/context\\.ts$',
      '^src/deploy/deploy\\.ts$',
      '^src/doctor/subject\\.ts$',
      '^src/system/(clock|places)\\.ts$',
      '^src/ui/(ask|reporter)\\.ts$',
      EVENT,
    ]),
    only('interruption', '^src/interruption\\.ts$', ['^src/deploy/deploy\\.ts$', EVENT]),
    only('context', '^src/context\\.ts$', [
      '^src/(config|deploy|doctor|fastcgi|init|nginx|pool|system|ui)/',
      '^src/(config|duration)\\.ts$',
      DRIVERS,
      EVENT,
    ]),
    only('commands', '^src/commands/', [
      '^src/(commands|deploy|doctor|init|demo)/',
      '^src/(context|session)\\.ts$',
      '^src/config/apps\\.ts$',
      '^src/system/clock\\.ts$',
      DRIVERS,
      EVENT,
    ]),
    only('deploy', '^src/deploy/', ['^src/deploy/', '^src/system/(files|clock)\\.ts$', DRIVERS, EVENT]),
    only('doctor', '^src/doctor/', [
      '^src/(doctor|config|nginx|pool|system)/',
      '^src/config\\.ts$',
      DRIVERS,
      EVENT,
    ]),
    only('init', '^src/init/', [
      '^src/(init|config|nginx|pool|system)/',
      '^src/config\\.ts$',
      DRIVERS,
      EVENT,
    ]),
    only('pool', '^src/pool/', ['^src/(pool|system)/', '^src/fastcgi/client\\.ts$', DRIVERS, EVENT]),
    only('nginx', '^src/nginx/', ['^src/(nginx|system)/', '^src/fastcgi/client\\.ts$', DRIVERS, EVENT]),
    only('fastcgi', '^src/fastcgi/', ['^src/fastcgi/record\\.ts$', '^src/system/(clock|user)\\.ts$', EVENT]),
    only('config', '^src/config[./]', [
      '^src/config[./]',
      '^src/duration\\.ts$',
      '^src/system/(files|trust)\\.ts$',
      EVENT,
    ]),
    only('system', '^src/system/', ['^src/system/', '^src/glob\\.ts$', EVENT]),
    only('ui', '^src/ui/', ['^src/ui/', EVENT]),
    only('drivers', DRIVERS, ['^src/system/', EVENT]),
    only('event', EVENT, []),
    {
      name: 'demo-is-no-front-door',
      severity: 'error',
      from: { path: '^src/demo/' },
      to: { path: '^src/cli\\.ts$' },
    },
    {
      name: 'demo-is-for-its-command',
      comment: 'what ships to servers does not lean on the sandbox',
      severity: 'error',
      from: { path: OURS, pathNot: ['^src/demo/', '^src/commands/demo\\.ts$'] },
      to: { path: '^src/demo/' },
    },
    {
      name: 'room-unknown',
      comment: 'a new room gets its line here, and on the plan, first',
      severity: 'error',
      from: {},
      to: {
        path: OURS,
        pathNot: [
          '^src/(commands|config|demo|deploy|doctor|fastcgi|init|nginx|pool|system|ui)/',
          '^src/(cli|config|context|drivers|duration|event|glob|interruption|session)\\.ts$',
        ],
      },
    },

    // ------------------------------------------------------------ types, and no more
    {
      name: 'types-only',
      comment: 'drivers.ts is the shape of the sockets in the wall; commands get a context, they make none',
      severity: 'error',
      from: { path: OURS, pathNot: ['^src/session\\.ts$'] },
      to: { path: ['^src/(drivers|context)\\.ts$'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'session-for-cli',
      comment: 'commands see a session, they hold none; drivers.ts and config/apps.ts lend their types alone',
      severity: 'error',
      from: { path: ['^src/commands/', DRIVERS] },
      to: {
        path: ['^src/session\\.ts$', '^src/config/apps\\.ts$', '^src/system/(?!clock\\.ts$)'],
        dependencyTypesNot: ['type-only'],
      },
    },

    // ------------------------------------------------------------ purity
    {
      name: 'pure',
      comment: 'no node:*, no package; of ours only event.ts, types of drivers.ts, and pure neighbours',
      severity: 'error',
      from: { path: PURE },
      to: { pathNot: [EVENT, DRIVERS, ...PURE] },
    },

    // ------------------------------------------------------------ one door a dependency
    door('door-commander', npm('commander'), ['^src/cli\\.ts$']),
    door('door-execa', npm('execa'), ['^src/system/exec\\.ts$']),
    door('door-fs-extra', npm('fs-extra'), ['^src/system/files\\.ts$']),
    door('door-ora-chalk', npm('ora|chalk'), ['^src/ui/tty\\.ts$']),
    door('door-yaml', npm('yaml'), ['^src/config/document\\.ts$']),
    door('door-zod', npm('zod'), ['^src/config[./]']),
    door('door-child-process', builtin('child_process|cluster'), ['^src/system/exec\\.ts$']),
    door('door-fs', builtin('fs'), ['^src/(system|demo)/', '^src/interruption\\.ts$']),
    door('door-net', builtin('net|tls|http|https|http2|dgram|worker_threads'), [
      '^src/(system|demo)/',
      '^src/fastcgi/client\\.ts$',
      '^src/nginx/verify\\.ts$',
    ]),
    door('door-timers', builtin('timers'), ['^src/system/clock\\.ts$']),
    {
      name: 'package-unknown',
      comment: 'a new package gets its door here first',
      severity: 'error',
      from: { path: OURS },
      to: {
        path: '(^|/)node_modules/',
        pathNot: npm('commander|execa|fs-extra|ora|chalk|yaml|zod|@types/node'),
      },
    },
    {
      name: 'src-alone',
      comment: 'nothing outside src/ goes into the bundle',
      severity: 'error',
      from: { path: OURS },
      to: { path: '^(scripts|test|bench|templates|dist)/' },
    },

    // ------------------------------------------------------------ shape
    {
      name: 'cycle',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'unreachable',
      comment: 'nobody can run it',
      severity: 'error',
      from: { path: '^src/cli\\.ts$' },
      to: { path: OURS, pathNot: ['^src/cli\\.ts$'], reachable: false },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // sees `import type` as well: a law about imports counts those too
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default'],
    },
  },
};
