import type { SmallBench } from '../table.js';
import { speed } from './speed.js';

export const SMALL: readonly SmallBench[] = [speed];
