/** The kernels of a Vulkan device: compiled when they are first needed, and found again by later processes. */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type Dispatch, type Gpu, type GpuFacts, kernelOf, type Vulkan } from '@specoffload/native';

export class VulkanKernels {
  readonly #vulkan: Vulkan;
  readonly #gpuId: number;
  readonly #numbers = new Map<string, number>();

  constructor(vulkan: Vulkan, gpuId: number) {
    this.#vulkan = vulkan;
    this.#gpuId = gpuId;
  }

  /** Compiles what is not yet. @returns null where nothing is to be waited for */
  prepare(dispatches: readonly Dispatch<number>[]): Promise<void> | null {
    const missing = new Map<string, Dispatch<number>>();
    for (const dispatch of dispatches) {
      const key = keyOf(dispatch);
      if (!this.#numbers.has(key)) missing.set(key, dispatch);
    }
    return missing.size === 0 ? null : this.#compile(missing);
  }

  numberOf(dispatch: Dispatch<number>): number {
    const number = this.#numbers.get(keyOf(dispatch));
    if (number === undefined) throw new Error(`the kernel ${keyOf(dispatch)} is not prepared`);
    return number;
  }

  async #compile(missing: ReadonlyMap<string, Dispatch<number>>): Promise<void> {
    const numbers = await this.#vulkan.prepareKernels(this.#gpuId, [...missing.values()].map(kernelOf));
    for (const [index, key] of [...missing.keys()].entries()) this.#numbers.set(key, numbers[index]);
  }
}

function keyOf({ kernel, constants }: Dispatch<number>): string {
  return `${kernel} ${constants.join(' ')}`;
}

/** What a driver has compiled for this device, as its last process left it; empty where there is none. */
export function readPipelineCache(facts: GpuFacts): Uint8Array {
  try {
    const stored = readFileSync(cachePath(facts));
    const body = stored.subarray(digestBytes);
    // Drivers trust what they are given.
    return digestOf(body).equals(stored.subarray(0, digestBytes)) ? body : new Uint8Array();
  } catch {
    return new Uint8Array();
  }
}

/** Keeps it for the next process; where that cannot be written, the next one compiles again. */
export function writePipelineCache(vulkan: Vulkan, { id, facts }: Gpu): void {
  const body = vulkan.pipelineCache(id);
  const path = cachePath(facts);
  try {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(`${path}.${process.pid}`, Buffer.concat([digestOf(body), body]));
    renameSync(`${path}.${process.pid}`, path);
  } catch {
    // a cache
  }
}

const digestBytes = 32;

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function cachePath({ name, driver }: GpuFacts): string {
  const folder = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const key = createHash('sha256')
    .update(JSON.stringify([name, driver]))
    .digest('hex')
    .slice(0, 16);
  return join(folder, 'specoffload', `pipelines-${key}`);
}
