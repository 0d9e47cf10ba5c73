/** What is asked at a terminal before a command goes on, and what a yes would do. PURE. */
import type { Question } from '../../event.js';
import { count, list, say } from '../text.js';
import { loadText, messageLines, run, sentenceStart, unworded } from './phrase.js';
import type { Message } from './phrase.js';

export /** What is asked at a terminal before a command goes on, and what it would do to the site. */
function questionLines(question: Question, app: string | null = null): readonly string[] {
  const stakes = stakesOf(question, app);
  return [...(stakes === null ? [] : messageLines(stakes)), `${questionText(question)} [y/N] `];
}

/** The question itself, a few words. */
export function questionText(question: Question): string {
  switch (question.kind) {
    case 'init-write':
      return `Write ${count(question.files, 'file')}?`;
    case 'pool-serves':
      return `${question.verb} ${question.slot}?`;
    case 'nginx-stop':
      return 'Go on?';
    case 'doctor-fix':
      return say`Mend ${count(question.findings, 'finding')} of ${list(question.apps)}?`;
    default:
      return unworded(question);
  }
}

/** What a yes would do to the site; the hint names the way that hurts nobody. null: nothing. */
export function stakesOf(question: Question, app: string | null): Message | null {
  if (question.kind === 'init-write' || question.kind === 'doctor-fix') return null;
  if (question.kind === 'nginx-stop') {
    return {
      message: say`This stops nginx (pid ${question.pid}), and with it ${list(question.apps)} and whatever else it serves.`,
      hint: '`swap-pool nginx reload` makes it read its configuration anew, and `nginx upgrade` runs a new binary; both go on serving.',
    };
  }
  const { verb, slot, certain, connections, working } = question;
  const serves = certain
    ? say`${slot} serves the site`
    : say`nginx does not run what its files say, so ${slot} may serve the site`;
  const gone = verb === 'restart' || verb === 'try-restart' ? 'until it is up again' : 'from then on';
  return {
    message: say`${sentenceStart(serves)}: ${verb} would cut up to ${loadText({ connections, working, retiring: 0 })}, and the site would be without its pool ${gone}.`,
    hint: `${run('deploy', app)} moves the site to the other slot first, and cuts none.`,
  };
}
