/** The probe without native code. */

import { probeSystem } from '../probe.js';
import type { ProbeReport } from '../types.js';

export const twinLevel = 'typescript';

export function probeTwin(): ProbeReport {
  return { ...probeSystem(), kernelLevel: twinLevel, kernelLevels: [twinLevel] };
}
