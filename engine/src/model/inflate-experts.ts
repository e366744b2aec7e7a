/**
 * Experts of a quantised checkpoint divided into adjacent parts, as `inflate.ts` divides others: rows of gate and up and
 * columns of down as they are stored, and scales of down times the number of parts. What stored words and groups of
 * scales hold together cannot be divided.
 */

import { quote, UserError } from '@specoffload/input';
import { decodeWeights, plainCodecs, type WeightDtype } from '@specoffload/native';
import type { HeaderTensor } from './header-tensor.js';
import type { TensorReader } from './inflate-bytes.js';
import type { Checkpoint, TensorRole } from './types.js';
import type { TensorSource } from './write.js';

/** What a stored tensor is of its matrix, by how its name ends. */
const kinds = {
  ...{
    '': 'values',
    '.weight': 'values',
    _blocks: 'values',
    '.weight_packed': 'values',
    '.qweight': 'values',
  },
  ...{ _scales: 'scales', '.weight_scale': 'scales', '.weight_scale_inv': 'scales', '.scales': 'scales' },
  ...{ '.weight_zero_point': 'zeros', '.qzeros': 'zeros', '.weight_g_idx': 'groups', '.g_idx': 'groups' },
  ...{ '.weight_shape': 'shape', '.bias': 'bias', '.input_scale': 'other', '.input_zero_point': 'other' },
} as const;

const transposedEndings: readonly string[] = ['.qweight', '.qzeros', '.scales'];

/** Biases first: their names may begin as those of their matrices. */
const roles = [
  ...(['gateBias', 'upBias', 'downBias', 'gate', 'up', 'down'] as const),
  ...(['router', 'routerBias'] as const),
] satisfies readonly TensorRole[];

interface Found {
  readonly role: (typeof roles)[number];
  readonly kind: (typeof kinds)[keyof typeof kinds];
  readonly isTransposed: boolean;
  /** Zero-based; null where a tensor holds all of a layer's, one behind the other. */
  readonly expert: number | null;
}

type StoredSource = Extract<TensorSource, { readonly stored: unknown }>;

/** What becomes of a layer's stored tensor under another name; null where it is copied. */
export type Divide = (
  tensor: HeaderTensor,
  name: string,
  isCleared: boolean,
  reader: TensorReader,
) => StoredSource[] | null;

/** @throws UserError where stored words would be cut */
export function divideExperts(source: Checkpoint, parts: number): Divide {
  if (parts === 1) return () => null;
  const find = finderOf(source);
  return (tensor, name, isCleared, reader) => {
    const found = find(tensor.name);
    if (!found) return null;
    const { expert } = found;
    if (expert === null) return [joined(tensor, name, found, parts, isCleared, reader)];
    return Array.from({ length: parts }, (_, part): StoredSource => {
      const own = name.replace(`.experts.${expert}.`, `.experts.${expert * parts + part}.`);
      const shape = shapeOfPart(tensor.shape, found, parts, tensor);
      return sourceOf(tensor, own, shape, async function* () {
        const bytes = await read(tensor, 0, tensor.byteLength, isCleared, reader);
        yield partOf(bytes, tensor.shape, found, { part, parts }, tensor);
      });
    });
  };
}

function finderOf({ spec }: Checkpoint): (name: string) => Found | null {
  const patterns = roles.flatMap((role) => {
    const place = spec.tensors[role];
    if (!place) return [];
    const name = place.name.replace(/\.weight$/, '').replaceAll('.', '\\.');
    const pattern = name.replace('{layer}', '\\d+').replace('{expert}', '(?<expert>\\d+)');
    return [{ role, pattern: new RegExp(`^${pattern}(?<ending>|[._][a-z_]+)$`) }];
  });
  return (name) => {
    for (const { role, pattern } of patterns) {
      const { expert, ending = '' } = pattern.exec(name)?.groups ?? { ending: 'none' };
      if (!Object.hasOwn(kinds, ending)) continue;
      const kind = kinds[ending as keyof typeof kinds];
      const isTransposed = transposedEndings.includes(ending);
      return { role, kind, isTransposed, expert: expert === undefined ? null : Number(expert) };
    }
    return null;
  };
}

/** @throws UserError unless parts begin and end where groups of scales do, and those are of neighbours in what is cut */
export function refuseCutGroups({ name, spec, layers }: Checkpoint, parts: number): void {
  for (const [layer, { experts }] of layers.entries()) {
    const { width, router } = spec.layers[layer].ffn;
    const own = width / parts;
    for (const { role, ref } of router ? experts[0].tensors : []) {
      const scales = ref.layout?.scales;
      const group = role === 'down' ? scales?.columns : scales?.rows;
      const isCut = group !== undefined && Number.isFinite(group) && group < width && own % group !== 0;
      if (!Number.isInteger(own) || isCut || (role === 'down' && scales?.groupOfColumn))
        throw indivisible(`${ref.name} of ${name}`, width, parts);
    }
  }
}

function indivisible(what: string, width: number, parts: number): UserError {
  return new UserError(
    `invalid experts: ${quote(what)} is stored in words or groups that ${parts} parts of its ${width} neurons would cut; expected fewer experts, or none; inflate its layers, or the checkpoint that was quantised`,
  );
}

/** Of a stored matrix the size that is divided; null where none is. */
function dividedSide({ role, kind, isTransposed }: Found, shape: readonly number[]): number | null {
  if (kind === 'other' || kind === 'shape') return null;
  const isOut = role === 'gate' || role === 'up' || role === 'gateBias' || role === 'upBias';
  if (!isOut && role !== 'down') return null;
  if (kind === 'groups') return isOut ? null : 0;
  if (kind === 'bias') return isOut ? 0 : null;
  const side = isOut === isTransposed ? 1 : 0;
  // By all; zero points of one word are of eight rows.
  const isShared = kind === 'scales' || (kind === 'zeros' && role === 'down');
  return isShared && (shape[side] ?? 1) === 1 ? null : side;
}

function isRepeated({ role }: Found): boolean {
  return role === 'router' || role === 'routerBias';
}

/** @param shape of one expert's, of a router of all */
function shapeOfPart(
  shape: readonly number[],
  found: Found,
  parts: number,
  { name }: HeaderTensor,
): number[] {
  if (isRepeated(found)) return shape.map((size, side) => (side === 0 ? size * parts : size));
  const divided = dividedSide(found, shape);
  return shape.map((size, side) => {
    if (side !== divided) return size;
    if (size % parts !== 0) throw indivisible(name, size, parts);
    return size / parts;
  });
}

interface Part {
  readonly part: number;
  readonly parts: number;
}

function partOf(
  bytes: Uint8Array,
  shape: readonly number[],
  found: Found,
  { part, parts }: Part,
  tensor: HeaderTensor,
): Uint8Array {
  const { role, kind } = found;
  const side = dividedSide(found, shape);
  const own = side === null ? bytes : cut(bytes, shape, side, { part, parts });
  if (kind === 'shape') return shapeBytes(own, role === 'down' ? 1 : 0, parts);
  if (role !== 'down') return own;
  if (kind === 'groups') return groupsFromZero(own);
  const isFactor = kind === 'scales' || (kind === 'values' && tensor.scales === undefined && isPlain(tensor));
  return isFactor ? multiplied(own, tensor, parts) : own;
}

/** The part of one of a matrix's sizes. */
function cut(bytes: Uint8Array, shape: readonly number[], side: number, { part, parts }: Part): Uint8Array {
  const before = shape.slice(0, side).reduce((product, size) => product * size, 1);
  const runBytes = bytes.length / before;
  const ownBytes = runBytes / parts;
  const own = new Uint8Array(bytes.length / parts);
  for (let run = 0; run < before; run += 1) {
    const from = run * runBytes + part * ownBytes;
    own.set(bytes.subarray(from, from + ownBytes), run * ownBytes);
  }
  return own;
}

/** Sizes of a matrix, int64, one of them divided. */
function shapeBytes(bytes: Uint8Array, side: number, parts: number): Uint8Array {
  const sizes = new BigInt64Array(Uint8Array.from(bytes).buffer);
  sizes[side] /= BigInt(parts);
  return new Uint8Array(sizes.buffer);
}

/** Groups of neighbours, counted from the part's first. */
function groupsFromZero(bytes: Uint8Array): Uint8Array {
  const groups = new Int32Array(Uint8Array.from(bytes).buffer);
  const [first] = groups;
  return new Uint8Array(groups.map((group) => group - first).buffer);
}

function isPlain({ codec }: HeaderTensor): boolean {
  return codec !== null && Object.hasOwn(plainCodecs, codec);
}

const floats: Readonly<Record<string, WeightDtype & keyof typeof plainCodecs>> = {
  ...{ F32: 'f32', BF16: 'bf16', F16: 'f16' },
};

/** Exact: `parts` is a power of two, and bytes are exponents. */
function multiplied(bytes: Uint8Array, { name, dtype }: HeaderTensor, parts: number): Uint8Array {
  const tooLarge = () =>
    new UserError(`${name} holds scales too large to multiply by ${parts}; ask for fewer experts`);
  if (dtype === 'U8') {
    if (bytes.some((exponent) => exponent + Math.log2(parts) > 254)) throw tooLarge();
    return bytes.map((exponent) => exponent + Math.log2(parts));
  }
  const plain = floats[dtype];
  const values = decodeWeights(bytes, plain).map((value) => value * parts);
  const written = plainCodecs[plain].encode(values);
  if (decodeWeights(written, plain).every(Number.isFinite)) return written;
  throw tooLarge();
}

/** A tensor of all experts, or of all that a router chooses from. */
function joined(
  tensor: HeaderTensor,
  name: string,
  found: Found,
  parts: number,
  isCleared: boolean,
  reader: TensorReader,
): StoredSource {
  const [count, ...own] = tensor.shape;
  const shape = isRepeated(found)
    ? shapeOfPart(tensor.shape, found, parts, tensor)
    : [count * parts, ...shapeOfPart(own, found, parts, tensor)];
  const ownBytes = tensor.byteLength / count;
  return sourceOf(tensor, name, shape, async function* () {
    for (let expert = 0; expert < count; expert += 1) {
      const bytes = await read(tensor, expert * ownBytes, ownBytes, isCleared, reader);
      for (let part = 0; part < parts; part += 1)
        yield isRepeated(found) ? bytes : partOf(bytes, own, found, { part, parts }, tensor);
    }
  });
}

function sourceOf(
  { dtype, shape: stored, byteLength }: HeaderTensor,
  name: string,
  shape: readonly number[],
  chunks: () => AsyncGenerator<Uint8Array>,
): StoredSource {
  const countOf = (sizes: readonly number[]) => sizes.reduce((product, size) => product * size, 1);
  const elementBytes = byteLength / countOf(stored);
  return { name, shape, stored: { dtype, byteLength: elementBytes * countOf(shape) }, chunks };
}

async function read(
  tensor: HeaderTensor,
  offset: number,
  byteLength: number,
  isCleared: boolean,
  reader: TensorReader,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(byteLength);
  if (!isCleared) await reader.readStored(tensor, offset, bytes);
  return bytes;
}
