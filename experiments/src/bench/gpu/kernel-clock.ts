/** Kernels started many times over on a GPU, on memory of one's own, timed by the GPU's clock. */

import { UserError } from '@specoffload/input';
import {
  type Arena,
  type Dispatch,
  type GpuFacts,
  type GpuQueue,
  kernelOf,
  loadNativeCore,
  loadVulkan,
  operations,
  queueRings,
  spaces,
} from '@specoffload/native';

const alignmentBytes = 256;

export class KernelClock {
  readonly facts: GpuFacts;
  readonly #gpuId: number;
  readonly #sessionId: number;
  readonly #queue: GpuQueue;
  readonly #poolBytes: number;
  readonly #host: Arena;
  #end = 0;

  private constructor(facts: GpuFacts, gpuId: number, sessionId: number, poolBytes: number, host: Arena) {
    this.#host = host;
    this.facts = facts;
    this.#gpuId = gpuId;
    this.#sessionId = sessionId;
    this.#queue = new (loadVulkan().Queue)(sessionId, false);
    this.#poolBytes = poolBytes;
  }

  /** Whether what stands for a GPU is the processor, which takes hours for a card's seconds. */
  static isProcessor(index: number): boolean {
    try {
      return loadVulkan().listDevices()[index]?.type === 'processor';
    } catch (error) {
      throw toRefusal(error);
    }
  }

  /**
   * @param hostBytes zeros in host memory, from `spaces.host` on, where the GPU reaches that
   * @throws UserError when there is no such GPU, or it has no such memory
   */
  static async open(index: number, poolBytes: number, hostBytes = 4096): Promise<KernelClock> {
    try {
      const vulkan = loadVulkan();
      const options = { index, validates: false, usesOneFamily: false };
      const { id, facts } = await vulkan.openGpu(options, new Uint8Array());
      const host = loadNativeCore('native').createArena(hostBytes);
      new Uint8Array(host.buffer).fill(0); // else all of it is one page
      const session = await vulkan.openSession(id, {
        ...{
          bankBytes: poolBytes,
          banks: [poolBytes],
          hostBankBytes: hostBytes,
          hostPieceBytes: 2 ** 30,
          ...queueRings,
        },
        arenas: host.handle.kind === 'native' ? [host.handle.id] : [],
      });
      return new KernelClock(facts, id, session.id, poolBytes, host);
    } catch (error) {
      throw toRefusal(error);
    }
  }

  /** Room in the GPU's memory. */
  room(byteLength: number): number {
    const address = this.#end;
    this.#end += alignmentBytes * Math.ceil(byteLength / alignmentBytes);
    if (this.#end > this.#poolBytes) throw new Error(`the pool of ${this.#poolBytes} bytes is full`);
    return address;
  }

  /** Gives back all room. */
  clear(): void {
    this.#end = 0;
  }

  /** The pattern again and again. */
  async fill(address: number, byteLength: number, pattern: Uint8Array): Promise<void> {
    const list: number[] = [operations.copy, spaces.data, address, Math.min(pattern.length, byteLength)];
    for (let done = pattern.length; done < byteLength; done *= 2)
      list.push(
        ...[operations.barrier, operations.copy, address, address + done, Math.min(done, byteLength - done)],
      );
    await this.#queue.submit(Float64Array.from(list), pattern, 0);
  }

  async read(address: number, byteLength: number): Promise<ArrayBuffer> {
    const list = [operations.copy, address, spaces.answers, byteLength];
    const [, , answers] = await this.#queue.submit(Float64Array.from(list), new Uint8Array(), byteLength);
    return answers;
  }

  /** Seconds of one, when they are done one behind the other `turns` times. */
  async secondsEach(dispatches: readonly Dispatch<number>[], turns: number): Promise<number> {
    const numbers = await loadVulkan().prepareKernels(this.#gpuId, dispatches.map(kernelOf));
    const once = dispatches.flatMap(({ addresses, words, groups }, index) => [
      ...[operations.barrier, operations.dispatch, numbers[index], ...groups],
      ...[addresses.length, ...addresses.map((address) => address ?? spaces.nowhere)],
      ...[words.length, ...words],
    ]);
    return (await this.#seconds(once, turns)) / dispatches.length;
  }

  /** Seconds of a copy within the GPU's memory. */
  async copySeconds(from: number, to: number, byteLength: number, turns: number): Promise<number> {
    return this.#seconds([operations.barrier, operations.copy, from, to, byteLength], turns);
  }

  async close(): Promise<void> {
    await this.#queue.close();
    loadVulkan().closeSession(this.#sessionId);
    this.#host.release();
  }

  async #seconds(once: readonly number[], turns: number): Promise<number> {
    const list = Float64Array.from(Array.from({ length: turns }, () => once).flat());
    const [start, end] = await this.#queue.submit(list, new Uint8Array(), 0);
    return (end - start) / turns;
  }
}

/** Of what is missing here, in the words of whoever misses it. */
function toRefusal(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  return code === 'VULKAN' ? new UserError(message, { cause: error }) : error;
}
