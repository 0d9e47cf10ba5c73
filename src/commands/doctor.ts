/** Every finding at once, each with what to do. */
import type { AppFile } from '../config/apps.js';
import { standsAt } from '../deploy/state.js';
import { examine } from '../doctor/examine.js';
import type { Past } from '../doctor/subject.js';
import type { CommandResult, Finding, Severity } from '../event.js';
import type { Session } from '../session.js';
import { lastDone, lastProof } from './survey.js';

/** Looks only; takes no lock. Exit 1 when an error or a warning was found; advice alone is none. */
export async function doctor(session: Session, files: readonly AppFile[]): Promise<CommandResult> {
  const found: Finding[] = [];
  for (const file of files) found.push(...(await findingsOf(session, file)));
  return resultOf(
    found,
    files.map(({ app }) => app),
  );
}

async function findingsOf(session: Session, file: AppFile): Promise<readonly Finding[]> {
  const [patient, past] = [await session.patient(file), await pastOf(session, file)];
  return examine({ ...patient, past });
}

function resultOf(found: readonly Finding[], examined: readonly string[]): CommandResult {
  // apps behind one nginx find the same of it
  const once = [...new Map(found.map((finding) => [JSON.stringify(finding), finding])).values()];
  const findings = once.sort((a, b) => WEIGHT[b.severity] - WEIGHT[a.severity]);
  const count = (wanted: Severity): number => findings.filter(({ severity }) => severity === wanted).length;
  const [errors, warnings] = [count('error'), count('warning')];
  const base = { command: 'doctor', examined, findings } as const;
  if (errors + warnings === 0) return { ...base, exit: 0 };
  return { ...base, exit: 1, failure: { reason: 'unhealthy', errors, warnings } };
}

const WEIGHT: Readonly<Record<Severity, number>> = { error: 2, warning: 1, advice: 0 };

async function pastOf(session: Session, file: AppFile): Promise<Past> {
  const { store } = await session.past(file);
  const all = [...store.newestFirst()].flatMap((state) => (state.ok ? [state.value] : []));
  const open = all.find((state) => state.phase !== 'closed');
  return {
    owned: store.inspect(file.file),
    open: open === undefined ? null : { deploy: open.opened.deploy, step: standsAt(open) },
    last: lastDone({ store }, () => true)?.to ?? null,
    proof: lastProof({ store }),
  };
}
