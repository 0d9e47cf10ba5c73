import type { Contender } from '../contender.js';
import { caddy } from './caddy.js';
import { haproxy } from './haproxy.js';
import { steady, stopAndStart, usr2AtOnce, usr2Patient } from './one-pool.js';
import { sedAndSleep } from './sed-and-sleep.js';
import { shellSwap } from './shell-swap.js';
import { swapPoolRewrite, swapPoolSymlink } from './swap-pool.js';

/** In the order of the table. */
export const CONTENDERS: readonly Contender[] = [
  swapPoolSymlink,
  swapPoolRewrite,
  sedAndSleep,
  usr2AtOnce,
  usr2Patient,
  stopAndStart,
  haproxy,
  caddy,
  shellSwap,
  steady,
];
