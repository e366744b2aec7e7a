/** What one submission has a Vulkan queue do: operations on addresses, the data that travels along, and its answers. */

import { type Dispatch, f32, operations, queueRings, spaces } from '@specoffload/native';
import type { ExpertChoices, RowMaxima } from './device.js';

/** Pool offsets, or places in one of {@link spaces}. */
export type VulkanAddress = number;

export interface Answers {
  readonly values: Float32Array[];
  readonly maxima: RowMaxima[];
  readonly areFinite: boolean[];
  readonly choices: ExpertChoices[];
}

/** Takes an answer out of the bytes that came back. */
type Reader = (bytes: ArrayBuffer, answers: Answers) => void;

/** Attention's tables are read four words at a time. */
const dataAlignmentBytes = 16;

/** What travels with commands goes in pieces of so many bytes: a queue's ring holds several. */
export const exchangedPieceBytes = queueRings.exchangeBytes / 4;

function aligned(byteLength: number): number {
  return Math.ceil(byteLength / dataAlignmentBytes) * dataAlignmentBytes;
}

/** What the native queue is given at once. */
class Part {
  readonly numbers: number[] = [];
  readonly dispatches: { readonly at: number; readonly dispatch: Dispatch<VulkanAddress> }[] = [];
  readonly readers: Reader[] = [];
  readonly #data: { readonly at: number; readonly make: () => ArrayBufferView }[] = [];
  #dataBytes = 0;
  #answerBytes = 0;

  get answerBytes(): number {
    return this.#answerBytes;
  }

  get exchangedBytes(): number {
    return this.#dataBytes + this.#answerBytes;
  }

  addData(byteLength: number, make: () => ArrayBufferView): VulkanAddress {
    const at = this.#dataBytes;
    this.#data.push({ at, make });
    this.#dataBytes += aligned(byteLength);
    return spaces.data + at;
  }

  addAnswer(byteLength: number): number {
    const from = this.#answerBytes;
    this.#answerBytes += aligned(byteLength);
    return from;
  }

  /** As numbers, where every kernel has one. */
  encode(numberOf: (dispatch: Dispatch<VulkanAddress>) => number): Float64Array {
    for (const { at, dispatch } of this.dispatches) this.numbers[at] = numberOf(dispatch);
    return Float64Array.from(this.numbers);
  }

  encodeData(): Uint8Array {
    const all = new Uint8Array(this.#dataBytes);
    for (const { at, make } of this.#data) {
      const { buffer, byteOffset, byteLength } = make();
      all.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    }
    return all;
  }
}

export class OperationList {
  readonly parts: Part[] = [new Part()];

  get dispatches(): readonly Dispatch<VulkanAddress>[] {
    return this.parts.flatMap(({ dispatches }) => dispatches.map(({ dispatch }) => dispatch));
  }

  get #part(): Part {
    return this.parts[this.parts.length - 1];
  }

  /** Has a command begin, or a piece of one: what it exchanges goes in a part of its own where the last has enough. */
  begin(byteLength = 0): void {
    const { exchangedBytes } = this.#part;
    if (exchangedBytes > 0 && exchangedBytes + byteLength > exchangedPieceBytes) this.parts.push(new Part());
  }

  /** What comes behind sees what those before have done. */
  barrier(): void {
    this.#part.numbers.push(operations.barrier);
  }

  copy(from: VulkanAddress, to: VulkanAddress, byteLength: number): void {
    if (byteLength > 0) this.#part.numbers.push(operations.copy, from, to, byteLength);
  }

  zero(to: VulkanAddress, byteLength: number): void {
    if (byteLength > 0) this.#part.numbers.push(operations.fill, to, Math.ceil(byteLength / 4) * 4);
  }

  /** All of it side by side. */
  dispatch(...dispatches: readonly Dispatch<VulkanAddress>[]): void {
    const { numbers, dispatches: all } = this.#part;
    for (const dispatch of dispatches) {
      const { addresses, words, groups } = dispatch;
      numbers.push(operations.dispatch);
      all.push({ at: numbers.length, dispatch });
      numbers.push(0, ...groups, addresses.length);
      for (const address of addresses) numbers.push(address ?? spaces.nowhere);
      numbers.push(words.length, ...words);
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
    return this.#part.addData(values.byteLength, () => values);
  }

  /**
   * Has `count` fp32 values travel to `target` in pieces, each made when it is sent.
   * @param make values from the first of a piece on; they stay as they are until the next call
   */
  bring(
    count: number,
    target: VulkanAddress,
    make: (first: number, count: number) => Float32Array,
    unit = 1,
  ): void {
    for (const [first, numValues] of piecesOf(count, unit)) {
      const byteLength = f32.bytes(numValues);
      this.begin(byteLength);
      const source = this.#part.addData(byteLength, () => make(first, numValues));
      this.copy(source, target + f32.bytes(first), byteLength);
    }
  }

  /** Room for what is answered. @returns where to write it */
  answer(
    byteLength: number,
    read: (bytes: ArrayBuffer, from: number, answers: Answers) => void,
  ): VulkanAddress {
    const from = this.#part.addAnswer(byteLength);
    this.#part.readers.push((bytes, answers) => read(bytes, from, answers));
    return spaces.answers + from;
  }

  /** Answers with values that lie somewhere, which come in pieces. */
  read(source: VulkanAddress, count: number, take: (values: Float32Array, answers: Answers) => void): void {
    let all: Float32Array;
    for (const [first, numValues] of piecesOf(count)) {
      const byteLength = f32.bytes(numValues);
      this.begin(byteLength);
      const to = this.answer(byteLength, (bytes, from, answers) => {
        const piece = new Float32Array(bytes, from, numValues);
        if (numValues === count) return take(piece, answers);
        if (first === 0) all = new Float32Array(count);
        all.set(piece, first);
        if (first + numValues === count) take(all, answers);
      });
      this.copy(source + f32.bytes(first), to, byteLength);
    }
  }

  /** @param bytes by part */
  answersIn(bytes: readonly ArrayBuffer[]): Answers {
    const answers: Answers = { values: [], maxima: [], areFinite: [], choices: [] };
    for (const [index, { readers }] of this.parts.entries())
      for (const read of readers) read(bytes[index], answers);
    return answers;
  }
}

/** First value and number of values of each piece, in whole units; of nothing one. */
function piecesOf(count: number, unit = 1): [first: number, count: number][] {
  const most = unit * Math.max(1, Math.floor(f32.count(exchangedPieceBytes) / unit));
  const pieces: [number, number][] = [[0, Math.min(most, count)]];
  for (let first = most; first < count; first += most) pieces.push([first, Math.min(most, count - first)]);
  return pieces;
}
