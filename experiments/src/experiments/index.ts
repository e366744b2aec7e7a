/** The experiments that ship with the lab, by name. */

import type { ExperimentDefinition } from '../sweep/definition.js';
import { candidates } from './candidates.js';

/** Some read what the paper published, so they are made when they are asked for. */
export const shippedExperiments: Readonly<Record<string, () => Promise<ExperimentDefinition>>> = {
  candidates: async () => candidates,
};
