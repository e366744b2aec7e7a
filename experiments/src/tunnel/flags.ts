/** A tunnel, and a policy, as the flags of `specoffload run` that would say the same. */

import type { PolicyInput } from '@specoffload/engine';
import { writeCaps } from '../inputs/caps.js';
import { hasCores } from '../inputs/cores.js';
import type { Tunnel } from './tunnel-file.js';

export function flagsOf({ models, caps, cores, device, arithmetic, memory, workload, policy }: Tunnel) {
  return {
    ...models,
    prompts: workload.name,
    numPrompts: workload.prompts,
    newTokens: workload.maxNewTokens,
    eos: false,
    deviceMemory: `${memory.deviceBytes}B`,
    hostMemory: `${memory.hostBytes}B`,
    ...{ device, ...(arithmetic && { arithmetic }) },
    ...(hasCores(device) && { deviceCores: cores.device, prefillCores: cores.device }),
    hostCores: cores.host,
    ...writeCaps(caps, (rate, unit) => `${rate}${unit}`),
    deviceCacheFactor: String(memory.deviceCacheFactor),
    draftCacheFactor: String(memory.draftCacheFactor),
    ...flagsOfPolicy(policy),
  };
}

export function flagsOfPolicy(policy: PolicyInput): { readonly [Field in keyof PolicyInput]: string } {
  return Object.fromEntries(Object.entries(policy).map(([field, value]) => [field, String(value)]));
}
