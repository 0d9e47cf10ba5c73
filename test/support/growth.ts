/**
 * How an algorithm's cost grows, by this process's own CPU time: what else the machine does, and how fast it is,
 * does not count.
 */

/** How many times as much `act` costs for `large` as for `small`; the best of three runs each. */
export function growth(act: (size: number) => void, small: number, large: number): number {
  const cost = (size: number): number => Math.min(...[1, 2, 3].map(() => cpu(() => act(size))));
  // below a few milliseconds the clock tells nothing
  return cost(large) / Math.max(5, cost(small));
}

/** ms. */
function cpu(act: () => void): number {
  const began = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1000;
}
