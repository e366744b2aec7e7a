/** A tunnel as the flags of `specoffload run` that would say the same. */

import type { Tunnel } from './tunnel-file.js';

export function flagsOf({ models, caps, cores, memory, workload, policy }: Tunnel) {
  const rate = (bytesPerSecond: number | null) =>
    bytesPerSecond === null ? undefined : `${bytesPerSecond}B/s`;
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
    linkCap: rate(caps.linkBytesPerSecond),
    diskCap: rate(caps.diskBytesPerSecond),
    hostCacheCap: rate(caps.hostCacheBytesPerSecond),
    linkCacheCap: rate(caps.linkCacheBytesPerSecond),
    hostArithmeticCap: caps.hostFlopsPerSecond === null ? undefined : `${caps.hostFlopsPerSecond}FLOP/s`,
    hostWeightsCap: rate(caps.hostWeightBytesPerSecond),
    deviceCacheFactor: String(memory.deviceCacheFactor),
    draftCacheFactor: String(memory.draftCacheFactor),
    ...Object.fromEntries(Object.entries(policy).map(([field, value]) => [field, String(value)])),
  };
}
