/** What one submission has a Vulkan queue do: operations on addresses, the data that travels along, and its answers. */

import { type Dispatch, f32, operations, spaces } from '@specoffload/native';
import type { RowMaxima } from './device.js';

/** Pool offsets, or places in one of {@link spaces}. */
export type VulkanAddress = number;

export interface Answers {
  readonly values: Float32Array[];
  readonly maxima: RowMaxima[];
  readonly areFinite: boolean[];
}

/** Takes an answer out of the bytes that came back. */
type Reader = (bytes: ArrayBuffer, answers: Answers) => void;

/** Attention's tables are read four words at a time. */
const dataAlignmentBytes = 16;

export class OperationList {
  readonly #numbers: number[] = [];
  readonly #dispatches: { readonly at: number; readonly dispatch: Dispatch<VulkanAddress> }[] = [];
  readonly #data: ArrayBufferView[] = [];
  #dataBytes = 0;
  #answerBytes = 0;
  readonly #readers: Reader[] = [];

  get dispatches(): readonly Dispatch<VulkanAddress>[] {
    return this.#dispatches.map(({ dispatch }) => dispatch);
  }

  get answerBytes(): number {
    return this.#answerBytes;
  }

  /** What comes behind sees what those before have done. */
  barrier(): void {
    this.#numbers.push(operations.barrier);
  }

  copy(from: VulkanAddress, to: VulkanAddress, byteLength: number): void {
    if (byteLength > 0) this.#numbers.push(operations.copy, from, to, byteLength);
  }

  zero(to: VulkanAddress, byteLength: number): void {
    if (byteLength > 0) this.#numbers.push(operations.fill, to, Math.ceil(byteLength / 4) * 4);
  }

  /** All of it side by side. */
  dispatch(...dispatches: readonly Dispatch<VulkanAddress>[]): void {
    for (const dispatch of dispatches) {
      const { addresses, words, groups } = dispatch;
      this.#numbers.push(operations.dispatch);
      this.#dispatches.push({ at: this.#numbers.length, dispatch });
      this.#numbers.push(0, ...groups, addresses.length);
      for (const address of addresses) this.#numbers.push(address ?? spaces.nowhere);
      this.#numbers.push(words.length, ...words);
    }
  }

  /** One behind the other. */
  inTurn(dispatches: readonly Dispatch<VulkanAddress>[]): void {
    for (const [index, dispatch] of dispatches.entries()) {
      if (index > 0) this.barrier();
      this.dispatch(dispatch);
    }
  }

  /** Has values travel along. @returns where kernels find them */
  data(values: ArrayBufferView): VulkanAddress {
    const address = spaces.data + this.#dataBytes;
    this.#data.push(values);
    this.#dataBytes += Math.ceil(values.byteLength / dataAlignmentBytes) * dataAlignmentBytes;
    return address;
  }

  /** Room for what is answered. @returns where to write it */
  answer(
    byteLength: number,
    read: (bytes: ArrayBuffer, from: number, answers: Answers) => void,
  ): VulkanAddress {
    const from = this.#answerBytes;
    this.#answerBytes += Math.ceil(byteLength / dataAlignmentBytes) * dataAlignmentBytes;
    this.#readers.push((bytes, answers) => read(bytes, from, answers));
    return spaces.answers + from;
  }

  /** Answers with values that lie somewhere. */
  read(source: VulkanAddress, count: number, take: (values: Float32Array, answers: Answers) => void): void {
    const to = this.answer(f32.bytes(count), (bytes, from, answers) =>
      take(new Float32Array(bytes, from, count), answers),
    );
    this.copy(source, to, f32.bytes(count));
  }

  /** As numbers, where every kernel has one. */
  encode(numberOf: (dispatch: Dispatch<VulkanAddress>) => number): Float64Array {
    for (const { at, dispatch } of this.#dispatches) this.#numbers[at] = numberOf(dispatch);
    return Float64Array.from(this.#numbers);
  }

  encodeData(): Uint8Array {
    const all = new Uint8Array(this.#dataBytes);
    let at = 0;
    for (const { buffer, byteOffset, byteLength } of this.#data) {
      all.set(new Uint8Array(buffer, byteOffset, byteLength), at);
      at += Math.ceil(byteLength / dataAlignmentBytes) * dataAlignmentBytes;
    }
    return all;
  }

  answersIn(bytes: ArrayBuffer): Answers {
    const answers: Answers = { values: [], maxima: [], areFinite: [] };
    for (const read of this.#readers) read(bytes, answers);
    return answers;
  }
}
