/**
 * How long tests wait, ms. Far away from what anything takes, on a slow and busy machine, too: only what hangs
 * meets them. A test whose claim is a deadline sets that deadline itself, and lets nothing else run against it.
 */

/** For what comes by itself. */
export const PATIENCE = 120_000;
/** For a whole test on a rig; Vitest's own limit is above it, as it cleans nothing up. */
export const HUNG = 900_000;
