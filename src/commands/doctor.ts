/** Every finding at once, each with what to do. */
import type { AppFile } from '../config/apps.js';
import { standsAt } from '../deploy/state.js';
import { ask, examineEach } from '../doctor/examine.js';
import type { Past, Patient } from '../doctor/subject.js';
import type { CommandResult, Failure, Finding, Severity } from '../event.js';
import type { Session } from '../session.js';
import { fix } from './doctor-fix.js';
import { refusal } from './outcome.js';
import { lastDone, lastProof } from './survey.js';

export interface DoctorOptions {
  /** Mends what is safe to mend. */
  readonly fix: boolean;
  /** What would be asked is answered with yes. */
  readonly yes: boolean;
}

/**
 * Exit 1 when an error or a warning was found; advice alone is none. Looks only, and takes no lock, but for
 * `fix`. `problem`: what keeps other apps of the folder from being known.
 */
export async function doctor(
  session: Session,
  files: readonly AppFile[],
  problem: Failure | null,
  options: DoctorOptions,
): Promise<CommandResult> {
  const found = await lookAt(session, files, problem);
  const fixable = found.filter((finding) => finding.fixable);
  if (!options.fix || fixable.length === 0) return resultOf(found, files);

  const ill = files.filter(({ app }) => fixable.some((finding) => finding.app === app));
  if (!options.yes) {
    const apps = ill.map(({ app }) => app);
    session.show(resultOf(found, files));
    const agreed = await session.confirm({ kind: 'doctor-fix', apps, findings: fixable.length });
    if (!agreed.ok) return refusal('doctor', agreed.failure);
  }
  let failure: Failure | null = null;
  for (const file of ill) {
    const app = await session.open(file, { memory: true });
    const own = fixable.filter((finding) => finding.app === file.app);
    failure = (app.ok ? await fix(app.value, own) : app.failure) ?? failure;
  }
  const left = await lookAt(session, files, problem);
  const still = new Set(left.map(nameOf));
  const result = resultOf(left, files);
  const mended = fixable.filter((finding) => !still.has(nameOf(finding)));
  if (failure !== null) return { ...result, ...refusal('doctor', failure), mended };
  return { ...result, mended };
}

async function lookAt(
  session: Session,
  files: readonly AppFile[],
  problem: Failure | null,
): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  if (problem !== null) found.push({ severity: 'error', app: null, fixable: false, failure: problem });
  const pasts = await Promise.all(files.map((file) => pastOf(session, file)));
  const opened = await session.patients(files);
  const patients = opened.flatMap((one, at): Patient[] => {
    const past = pasts[at];
    return past === undefined ? [] : [{ ...one, past }];
  });
  // nothing else is done meanwhile, or what an answer waits for would be us
  const heard = await Promise.all(patients.map(async (patient) => ({ patient, heard: await ask(patient) })));
  return [...found, ...(await examineEach(heard))];
}

/** What a finding is about: its numbers may be others at the next look. */
function nameOf(finding: Finding): string {
  if ('failure' in finding) return JSON.stringify([finding.app, finding.failure.reason]);
  const about = 'warning' in finding ? finding.warning : finding.observation;
  return JSON.stringify([finding.app, about.reason, 'slot' in about ? about.slot : null]);
}

function resultOf(found: readonly Finding[], files: readonly AppFile[]): CommandResult {
  const examined = files.map(({ app }) => app);
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
  const { store, safe } = await session.past(file);
  if (!safe.ok) return { owned: safe, open: null, damaged: [], last: null, proof: null };
  const { open, damaged } = store.recent();
  return {
    owned: store.inspect(file.file),
    damaged,
    open: open === null ? null : { deploy: open.opened.deploy, step: standsAt(open) },
    last: lastDone({ store }, () => true)?.to ?? null,
    proof: lastProof({ store }),
  };
}
