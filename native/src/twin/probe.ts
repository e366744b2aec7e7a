/** The probe without native code. */

import { probeSystem } from '../probe.js';
import type { ProbeReport } from '../types.js';

export function probeTwin(): ProbeReport {
  return { ...probeSystem(), vectorExtensions: [] };
}
