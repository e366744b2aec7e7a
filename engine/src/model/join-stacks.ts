/** Writes tensors that are parts of a stored one: all experts one behind the other, rows by turns, transposed. */

import { type Codec, codecs } from '@specoffload/native';
import type { TensorSpec } from './roles.js';
import type { TensorSource } from './write.js';

/** A tensor of the model and where its bytes come from, one row behind the other. */
export interface PromisedTensor {
  readonly spec: TensorSpec;
  readonly source: Extract<TensorSource, { readonly dtype: unknown }>;
}

type Within = NonNullable<TensorSpec['within']>;

interface Part extends PromisedTensor {
  readonly within: Within;
}

/** The stored tensors, each where its first part stands. Memory: the parts of one expert. */
export function joinStacks(tensors: readonly PromisedTensor[]): TensorSource[] {
  const partsOf = new Map<string, Part[]>();
  for (const { spec, source } of tensors) {
    const { within } = spec;
    if (!within) continue;
    const parts = partsOf.get(within.name) ?? [];
    parts.push({ spec, source, within });
    partsOf.set(within.name, parts);
  }
  return tensors.flatMap(({ spec: { within }, source }) => {
    if (!within) return [source];
    const parts = partsOf.get(within.name);
    partsOf.delete(within.name); // the others are written with the first
    return parts ? [joinParts(within.name, parts)] : [];
  });
}

function joinParts(name: string, parts: readonly Part[]): TensorSource {
  const [{ source, spec, within }] = parts as [Part];
  const { isStackOfExperts, isTransposed } = within.slice;
  const [, ...columns] = spec.shape;
  const isAcross = isTransposed && columns.length > 0;
  const ofExpert = (expert: number) => parts.filter((part) => part.within.expert === expert);
  const rows = ofExpert(within.expert).reduce((sum, part) => sum + part.spec.shape[0], 0);
  const matrix = isAcross ? [...columns, rows] : [rows, ...columns];
  return {
    ...{ name, dtype: source.dtype },
    shape: isStackOfExperts ? [within.numExperts, ...matrix] : matrix,
    async *chunks() {
      const numStored = isStackOfExperts ? within.numExperts : 1;
      for (let expert = 0; expert < numStored; expert += 1)
        yield await joinMatrix(isStackOfExperts ? ofExpert(expert) : parts, rows, columns[0] ?? 1, isAcross);
    },
  };
}

async function joinMatrix(
  parts: readonly Part[],
  allRows: number,
  columns: number,
  isAcross: boolean,
): Promise<Uint8Array> {
  const { bytes }: Codec = codecs[parts[0].source.dtype];
  const width = bytes(1);
  const joined = new Uint8Array(allRows * columns * width);
  for (const { spec, source, within } of parts) {
    const values = await collect(source, bytes(spec.shape[0] * columns));
    const { first, step } = within.slice.rows ?? { first: 0, step: 1 };
    for (let row = 0; row < spec.shape[0]; row += 1) {
      const stored = first + step * row;
      const own = values.subarray(row * columns * width, (row + 1) * columns * width);
      if (isAcross) scatter(own, joined, stored * width, allRows * width, width);
      else joined.set(own, stored * columns * width);
    }
  }
  return joined;
}

/** Puts values `width` bytes wide so many bytes apart. */
function scatter(values: Uint8Array, target: Uint8Array, from: number, stride: number, width: number): void {
  for (let at = 0, to = from; at < values.length; at += width, to += stride)
    for (let byte = 0; byte < width; byte += 1) target[to + byte] = values[at + byte];
}

async function collect({ name, chunks }: TensorSource, byteLength: number): Promise<Uint8Array> {
  const values = new Uint8Array(byteLength);
  let at = 0;
  for await (const chunk of chunks()) {
    values.set(chunk, at);
    at += chunk.length;
  }
  if (at === byteLength) return values;
  throw new Error(`${name} has ${at} bytes; expected ${byteLength}`);
}
