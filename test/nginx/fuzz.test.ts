import { expect, it } from 'vitest';
import { check, nothingSeen } from './fuzz.js';

/** The long form, `npm run fuzz`, has a million. Another seed every day: what it finds it names. */
const SEED = Math.floor(Date.now() / 86_400_000);
const INPUTS = 4000;

it('mutated configurations are lexed to the last byte, and exchanged with no other byte changed', () => {
  const seen = nothingSeen();
  for (let number = 0; number < INPUTS; number++) {
    try {
      check(SEED, number, seen);
    } catch (error) {
      throw new Error(`npm run fuzz -- ${SEED} ${number} 1`, { cause: error });
    }
  }
  // it is no law that holds for want of cases
  expect(seen.refused).toBeGreaterThan(INPUTS / 10);
  expect(seen.refused).toBeLessThan(INPUTS);
  expect(seen.exchanged).toBeGreaterThan(20);
});
