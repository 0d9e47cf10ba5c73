import type { SmallBench } from '../table.js';
import { application } from './application.js';
import { cost } from './cost.js';
import { crowd } from './crowd.js';
import { drain } from './drain.js';
import { dynamic } from './dynamic.js';
import { quit } from './quit.js';
import { sites } from './sites.js';
import { speed } from './speed.js';

/** In the order of the report. */
export const SMALL: readonly SmallBench[] = [speed, cost, quit, drain, crowd, sites, dynamic, application];
