/** Single kernels on the first Vulkan device: inputs travel with a submission, outputs come back in its answer. */

import {
  type Dispatch,
  type KernelLimits,
  kernelOf,
  loadVulkan,
  operations,
  queueRings,
  spaces,
} from '@specoffload/native';
import { validationMessages, watchedVulkan } from '../engine/vulkan.js';

export interface Output {
  readonly address: number;
  readonly bytes: () => ArrayBuffer;
  readonly floats: () => Float32Array;
}

const alignmentBytes = 64;

export class KernelRunner {
  readonly limits: KernelLimits;
  readonly #gpuId: number;
  readonly #sessionId: number;
  readonly #queue: InstanceType<ReturnType<typeof loadVulkan>['Queue']>;
  #data: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  #dataBytes = 0;
  #answerBytes = 0;
  #copies: number[] = [];
  #answers = new ArrayBuffer(0);

  private constructor(gpuId: number, sessionId: number, limits: KernelLimits) {
    this.#gpuId = gpuId;
    this.#sessionId = sessionId;
    this.#queue = new (loadVulkan().Queue)(sessionId, false);
    this.limits = limits;
  }

  static async open(): Promise<KernelRunner> {
    const vulkan = loadVulkan();
    const { validates = false } = watchedVulkan.trials ?? {};
    const gpu = await vulkan.openGpu({ index: 0, validates, usesOneFamily: false }, new Uint8Array());
    const bankBytes = 2 ** 20;
    const session = await vulkan.openSession(gpu.id, {
      ...{
        bankBytes,
        banks: [bankBytes],
        hostBankBytes: bankBytes,
        hostPieceBytes: bankBytes,
        arenas: [],
        ...queueRings,
      },
    });
    return new KernelRunner(gpu.id, session.id, gpu.facts);
  }

  /** @returns where kernels find it */
  input({ buffer, byteOffset, byteLength }: ArrayBufferView): number {
    const at = this.#dataBytes;
    this.#data.push({ at, bytes: new Uint8Array(buffer, byteOffset, byteLength) });
    this.#dataBytes += alignmentBytes * Math.ceil(byteLength / alignmentBytes) + alignmentBytes;
    return spaces.data + at;
  }

  /** So many bytes, or these to begin with. */
  output(initial: number | Float32Array): Output {
    const byteLength = typeof initial === 'number' ? initial : initial.byteLength;
    const at = this.#answerBytes;
    this.#answerBytes += alignmentBytes * Math.ceil(byteLength / alignmentBytes);
    const address = spaces.answers + at;
    if (typeof initial !== 'number')
      this.#copies.push(operations.copy, this.input(initial), address, byteLength);
    const bytes = () => this.#answers.slice(at, at + byteLength);
    return { address, bytes, floats: () => new Float32Array(bytes()) };
  }

  /** One behind the other; then outputs can be read, and everything is forgotten. */
  async run(...dispatches: readonly Dispatch<number>[]): Promise<void> {
    const vulkan = loadVulkan();
    const numbers = await vulkan.prepareKernels(this.#gpuId, dispatches.map(kernelOf));
    const list = [
      ...this.#copies,
      ...dispatches.flatMap(({ addresses, words, groups }, index) => [
        operations.barrier,
        ...[operations.dispatch, numbers[index]!, ...groups],
        ...[addresses.length, ...addresses.map((address) => address ?? spaces.nowhere)],
        ...[words.length, ...words],
      ]),
    ];
    const data = new Uint8Array(this.#dataBytes);
    for (const { at, bytes } of this.#data) data.set(bytes, at);
    [, , this.#answers] = await this.#queue.submit(Float64Array.from(list), data, this.#answerBytes);
    this.#data = [];
    this.#copies = [];
    this.#dataBytes = 0;
    this.#answerBytes = 0;
    const [mistake] = validationMessages();
    if (mistake) throw new Error(mistake);
  }

  async close(): Promise<void> {
    await this.#queue.close();
    loadVulkan().closeSession(this.#sessionId);
  }
}
