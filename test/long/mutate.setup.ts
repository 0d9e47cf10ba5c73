import fc from 'fast-check';

// a mutant is dead at its first counterexample: nobody reads a smaller one
fc.configureGlobal({ endOnFailure: true });
