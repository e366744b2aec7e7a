/** A tunnel as the flags of `specoffload run` that would say the same. */

import { type CapSetting, capNames, capSettings } from '../inputs/caps.js';
import type { Tunnel } from './tunnel-file.js';

export function flagsOf({ models, caps, cores, memory, workload, policy }: Tunnel) {
  const paced = capNames.map((name) => {
    const unit = name === 'hostFlopsPerSecond' ? 'FLOP/s' : 'B/s';
    return [capSettings[name], caps[name] === null ? undefined : `${caps[name]}${unit}`];
  });
  return {
    ...models,
    prompts: workload.name,
    numPrompts: workload.prompts,
    newTokens: workload.maxNewTokens,
    eos: false,
    deviceMemory: `${memory.deviceBytes}B`,
    hostMemory: `${memory.hostBytes}B`,
    deviceCores: cores.device,
    hostCores: cores.host,
    ...(Object.fromEntries(paced) as Partial<Record<CapSetting, string>>),
    deviceCacheFactor: String(memory.deviceCacheFactor),
    draftCacheFactor: String(memory.draftCacheFactor),
    ...Object.fromEntries(Object.entries(policy).map(([field, value]) => [field, String(value)])),
  };
}
