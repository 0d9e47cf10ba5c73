/** docs/reasons.md lists every reason that a machine may read, each with its sentence. `npx vitest run -u` writes it anew. */
import { expect, it } from 'vitest';
import { exitOf, outcomeOf } from '../../src/commands/outcome.js';
import { failureMessage } from '../../src/ui/message/failure.js';
import { findingMessage } from '../../src/ui/message/finding.js';
import { warningMessage } from '../../src/ui/message/warning.js';
import { FAILURES, OBSERVATIONS, WARNINGS } from './samples.js';

const cell = (text: string): string =>
  text.replaceAll('|', '\\|').replaceAll('<', '\\<').replaceAll('\n', ' ');
const row = (...cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;

const text = (): string =>
  [
    '# Reasons',
    '',
    'What `reason` may be in JSON, of a failure, a warning or a finding. A reason is never renamed; new ones may come. The sentences are',
    'examples, and for people: they may change.',
    '',
    '## Failures',
    '',
    'Exit and outcome are those of a command that fails with it before anything is begun. A deploy that has begun is reverted',
    '(1), left draining (5) or stranded (4), whatever the reason.',
    '',
    row('reason', 'exit', 'outcome', 'for example'),
    row('---', '---', '---', '---'),
    ...Object.entries(FAILURES)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([reason, failure]) => {
        const outcome = outcomeOf(failure);
        return row(
          `\`${reason}\``,
          String(exitOf(outcome, failure)),
          outcome,
          failureMessage(failure).message,
        );
      }),
    '',
    '## Warnings',
    '',
    row('reason', 'for example'),
    row('---', '---'),
    ...Object.entries(WARNINGS)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([reason, warning]) => row(`\`${reason}\``, warningMessage(warning).message)),
    '',
    '## What doctor sees beside them',
    '',
    row('reason', 'for example'),
    row('---', '---'),
    ...Object.entries(OBSERVATIONS)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([reason, observation]) => {
        const finding = { severity: 'warning', app: 'shop', fixable: false, observation } as const;
        return row(`\`${reason}\``, findingMessage(finding).message);
      }),
    '',
  ].join('\n');

it('every-reason-is-listed-and-no-other', async () => {
  await expect(text()).toMatchFileSnapshot('../../docs/reasons.md');
});
