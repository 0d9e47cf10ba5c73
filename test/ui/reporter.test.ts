import { afterEach, describe, expect, it } from 'vitest';
import type { Event } from '../../src/event.js';
import { createReporter } from '../../src/ui/reporter.js';
import type { Reporter, ReporterOptions } from '../../src/ui/reporter.js';
import { DEPLOYED, REVERTED, event } from './samples.js';
import { Broken, Screen, Sink } from './screen.js';

let reporter: Reporter | null = null;
afterEach(() => reporter?.close());

async function heard(
  options: Partial<ReporterOptions>,
  events: readonly Event[] = DEPLOYED,
): Promise<{ out: Screen; err: Sink }> {
  const [out, err] = [new Screen(), new Sink()];
  reporter = await createReporter({
    json: false,
    quiet: false,
    verbose: false,
    color: true,
    stdout: out,
    stderr: err,
    isTty: false,
    env: {},
    ...options,
  });
  for (const e of events) reporter.emit(e);
  return { out, err };
}

describe('the voice is', () => {
  it('lively on a terminal', async () => {
    expect((await heard({ isTty: true })).out.raw).toContain('✔');
  });

  it.each<[string, Partial<ReporterOptions>]>([
    ['without a terminal', {}],
    ['in CI', { isTty: true, env: { CI: 'true' } }],
    ['on a dumb terminal', { isTty: true, env: { TERM: 'dumb' } }],
  ])('plain %s', async (_name, options) => {
    const { out } = await heard(options);
    expect(out.raw).toContain('shop: start green: pid 4121, 24 ms\n');
    expect(out.raw).not.toContain('\u001b');
  });

  it('JSON when asked, terminal or not', async () => {
    const { out } = await heard({ json: true, isTty: true });
    expect(out.raw.split('\n').every((line) => line === '' || line.startsWith('{'))).toBe(true);
  });

  it('quiet on a terminal, too', async () => {
    const { out, err } = await heard({ isTty: true, quiet: true });
    expect([out.raw, err.raw]).toEqual(['', '']);
  });

  it('plain in colour when FORCE_COLOR says so, per stream what fits', async () => {
    const { err } = await heard({ env: { FORCE_COLOR: '1' } }, REVERTED);
    expect(err.raw).toContain('shop: \u001b[31merror:\u001b[39m The green pool');
    expect((await heard({ isTty: true }, REVERTED)).err.raw).not.toContain('\u001b');
  });
});

it('in GitHub Actions a failure is annotated', async () => {
  expect((await heard({ env: { GITHUB_ACTIONS: 'true' } }, REVERTED)).err.raw).toContain('\n::error::shop: ');
});

it.each([[true], [false]])('closed stdout and stderr stop nothing (json: %s)', async (json) => {
  const [stdout, stderr] = [new Broken(), new Broken()];
  await heard({ stdout, stderr, json }, REVERTED);
  await new Promise((resolve) => setImmediate(resolve));
  for (const e of REVERTED) reporter?.emit(e);
});

it('many reporters on one stream add one listener to it', async () => {
  const stdout = new Sink();
  for (let i = 0; i < 20; i++) await heard({ stdout, json: true });
  expect(stdout.listenerCount('error')).toBe(1);
});

it('an event that cannot be shown is told and thrown at nobody', async () => {
  const wrong = event({ type: 'failure', failure: null as never });
  expect((await heard({}, [wrong])).err.raw).toContain(
    'swap-pool: error: an event (failure) could not be shown',
  );
});
