/** How many of the processor's cores the device lane computes on. */

import { loadNativeCore } from '@specoffload/native';
import type { MachineSettings } from './types.js';

/** While prompts are read: the draft and the host's attention wait meanwhile, and many rows keep every core busy. */
export function prefillCoresOf({
  deviceCores = 1,
  prefillCores = deviceCores,
  native,
}: Pick<MachineSettings, 'deviceCores' | 'prefillCores' | 'native'>): number {
  if (prefillCores !== 'idle') return prefillCores;
  return Math.max(deviceCores, loadNativeCore(native ?? 'auto').probe().allowedCores.length);
}
