/** Several things at a time, and not all at once: what each of them runs has a deadline, and the others' share of the processors. */

const WIDTH = 4;

/** The answers in the order of the items. */
export async function inTurns<Item, Answer>(
  items: readonly Item[],
  act: (item: Item) => Promise<Answer>,
): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (let at = 0; at < items.length; at += WIDTH) {
    answers.push(...(await Promise.all(items.slice(at, at + WIDTH).map(act))));
  }
  return answers;
}
