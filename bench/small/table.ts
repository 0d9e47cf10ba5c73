import type { SmallBench } from '../table.js';
import { cost } from './cost.js';
import { quit } from './quit.js';
import { speed } from './speed.js';

export const SMALL: readonly SmallBench[] = [speed, cost, quit];
