import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { parseUnits, signalName } from '../../src/pool/unit.js';

/** What systemd 252 printed for a template's instance with a drop-in. */
const SHOWN = `MainPID=178
Result=success
Environment=SWAP_POOL_SLOT=blue "APP_NAME=my shop" QUOTE=it\\"s
EnvironmentFiles=/etc/default/shop (ignore_errors=yes)
EnvironmentFiles=/etc/shop.env (ignore_errors=no)
RuntimeDirectoryPreserve=no
RuntimeDirectory=shop shop-blue
KillSignal=3
Id=shop-fpm@blue.service
LoadState=loaded
ActiveState=active
SubState=running
NRestarts=2
FragmentPath=/etc/systemd/system/shop-fpm@.service
DropInPaths=/etc/systemd/system/shop-fpm@blue.service.d/a.conf /etc/systemd/system/shop-fpm@blue.service.d/b.conf
Job=0
NeedDaemonReload=yes
LoadError=`;
const MISSING = `Id=nosuch.service
LoadState=not-found
LoadError=org.freedesktop.systemd1.NoSuchUnit "Unit nosuch.service not found."
ActiveState=inactive
MainPID=0
Job=17`;

describe('systemctl show', () => {
  it('tells-units-one-after-the-other', () => {
    const [blue, none, ...more] = parseUnits(`${SHOWN}\n\n${MISSING}\n`);
    expect(more).toEqual([]);
    expect(blue).toEqual({
      id: 'shop-fpm@blue.service',
      load: 'loaded',
      loadError: '',
      active: 'active',
      isToRestart: false,
      restarts: 2,
      result: 'success',
      mainPid: 178,
      hasJob: false,
      killSignal: 3,
      stopSignals: [],
      stopTimeout: null,
      runtimeFolders: ['shop', 'shop-blue'],
      environment: { SWAP_POOL_SLOT: 'blue', APP_NAME: 'my shop', QUOTE: 'it\\"s' },
      files: [
        '/etc/systemd/system/shop-fpm@.service',
        '/etc/systemd/system/shop-fpm@blue.service.d/a.conf',
        '/etc/systemd/system/shop-fpm@blue.service.d/b.conf',
        '/etc/default/shop',
        '/etc/shop.env',
      ],
      isUnread: true,
    });
    expect(none).toMatchObject({
      load: 'not-found',
      loadError: 'Unit nosuch.service not found.',
      mainPid: null,
      hasJob: true,
      environment: {},
      files: [],
    });
  });

  it('keeps-folders-that-outlive-the-unit-apart', () => {
    const text = SHOWN.replace('RuntimeDirectoryPreserve=no', 'RuntimeDirectoryPreserve=yes');
    expect(parseUnits(text)[0]?.runtimeFolders).toEqual([]);
  });

  it('is-never-thrown-on', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseUnits(text);
        parseUnits(`${SHOWN}\nEnvironment=${text}`);
      }),
    );
  });
});

it.each([
  [3, 'SIGQUIT'],
  [15, 'SIGTERM'],
  [64, 'signal 64'],
])('signal %i is %s', (number, name) => {
  expect(signalName(number)).toBe(name);
});
