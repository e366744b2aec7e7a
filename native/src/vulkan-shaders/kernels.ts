/**
 * The kernels and what each is handed, in order: specialisation constants (the first is the workgroup's size, ids count
 * from 0), then the addresses of its push constants, then their words. test/native/vulkan-shaders.test.ts holds it
 * against the shaders.
 */

import type { ScaleDtype, WeightDtype } from '../codecs/index.js';

/** Numbers that the shaders know stored weights by. */
export const weightFormats = {
  ...{ f32: 0, bf16: 1, f16: 2, q8_0: 3, q4_0: 4, q4_1: 5, q5_0: 6, q5_1: 7 },
  ...{ q4_k: 8, q5_k: 9, q6_k: 10, mxfp4: 11, fp8: 12, int4: 13, mxfp4_split: 14 },
  ...{ int8: 15, int8_packed: 16, int4_awq: 17, bf16_packed: 18 },
} as const satisfies Partial<Record<WeightDtype, number>>;

/** Numbers that the shaders know scales by that lie apart; 0 where there are none. */
export const scaleFormats = { f32: 1, bf16: 2, f16: 3, e8m0: 4 } as const satisfies Record<
  ScaleDtype,
  number
>;

/** Numbers that the shaders know activations by. */
export const activations = { silu: 0, 'gelu-tanh': 1, 'clamped-swiglu': 2 } as const;

type WordKind = 'uint' | 'float';

interface KernelTable {
  readonly constants: readonly string[];
  readonly addresses: readonly string[];
  readonly words: Readonly<Record<string, WordKind>>;
}

const matmulPush = {
  addresses: ['weights', 'x', 'y', 'bias', 'addend', 'scales', 'zeros', 'groups'],
  words: {
    ...({ weightRowBytes: 'uint', pairedRows: 'uint', depth: 'uint', width: 'uint', rows: 'uint' } as const),
    ...({ scaleRows: 'uint', scaleColumns: 'uint', scalesAcross: 'uint', scaleStride: 'uint' } as const),
    ...({ zerosAcross: 'uint', zeroStride: 'uint', zeroOnes: 'uint', blockBytes: 'uint' } as const),
  },
} as const;

const cooperative = {
  constants: [
    ...(['threads', 'weightFormat', 'vectorFormat', 'scaleFormat'] as const),
    ...(['blockRows', 'blockOutputs', 'blockDepth'] as const),
    ...(['subgroupRows', 'subgroupOutputs', 'acrossRows', 'acrossOutputs'] as const),
    ...(['byEights', 'packsBf16'] as const),
  ],
  ...matmulPush,
} as const;

export const kernels = {
  'matmul-few': {
    constants: [
      ...(['threads', 'weightFormat', 'vectorFormat', 'scaleFormat'] as const),
      ...(['numRows', 'numOutputs', 'byEights', 'mostSubgroups', 'roundsInputs'] as const),
    ],
    ...matmulPush,
  },
  'matmul-tile': {
    constants: [
      ...(['threads', 'weightFormat', 'vectorFormat', 'scaleFormat'] as const),
      ...(['tileRows', 'tileOutputs'] as const),
      ...(['threadRows', 'threadOutputs', 'byEights', 'roundsInputs'] as const),
    ],
    ...matmulPush,
  },
  'matmul-cooperative': cooperative,
  'matmul-cooperative-bf16': cooperative,
  'rms-norm': {
    constants: ['threads', 'vectorFormat', 'mostSubgroups'],
    addresses: ['x', 'weight', 'addend', 'y'],
    words: { rows: 'uint', width: 'uint', eps: 'float', offset: 'float' },
  },
  'append-cache': {
    constants: ['threads'],
    addresses: ['k', 'v', 'cache', 'cos', 'sin', 'places', 'shared'],
    words: { rows: 'uint', numKvHeads: 'uint', headDim: 'uint' },
  },
  attend: {
    constants: ['threads', 'headDim', 'numQueries', 'blockKeys', 'vectorFormat'],
    addresses: ['q', 'out', 'cache', 'cos', 'sin', 'places', 'runs', 'sinks', 'shared', 'partials'],
    words: {
      ...({ numHeads: 'uint', numKvHeads: 'uint', window: 'uint', scale: 'float' } as const),
      ...({ partKeys: 'uint', mostParts: 'uint', firstRow: 'uint' } as const),
    },
  },
  'combine-parts': {
    constants: ['threads'],
    addresses: ['partials', 'runs', 'out'],
    words: { numHeads: 'uint', headDim: 'uint', mostParts: 'uint', firstRow: 'uint' },
  },
  activate: {
    constants: ['threads', 'activation'],
    addresses: ['gate', 'up', 'out', 'shares'],
    words: { count: 'uint', width: 'uint' },
  },
  'clip-values': {
    constants: ['threads'],
    addresses: ['values'],
    words: { count: 'uint', clip: 'float' },
  },
  embed: {
    constants: ['threads', 'weightFormat'],
    addresses: ['table', 'ids', 'target'],
    words: { tableRowBytes: 'uint', rows: 'uint', width: 'uint', scale: 'float' },
  },
  gather: {
    constants: ['threads'],
    addresses: ['source', 'indices', 'target'],
    words: { rows: 'uint', width: 'uint' },
  },
  'scatter-add': {
    constants: ['threads'],
    addresses: ['source', 'indices', 'scales', 'target'],
    words: { rows: 'uint', width: 'uint', rowsEach: 'uint' },
  },
  'choose-experts': {
    constants: ['threads', 'numPlaces'],
    addresses: ['scores', 'chosen', 'target'],
    words: { rows: 'uint', numExperts: 'uint', overAll: 'uint' },
  },
  'list-rows': {
    constants: ['threads'],
    addresses: ['chosen', 'indices', 'scales'],
    words: { rows: 'uint', numExperts: 'uint', k: 'uint' },
  },
  argmax: {
    constants: ['threads', 'takesCandidates'],
    addresses: ['source', 'target'],
    words: { rows: 'uint', width: 'uint', parts: 'uint' },
  },
  draw: {
    constants: ['threads', 'mostFound'],
    addresses: ['source', 'keys', 'target'],
    words: { rows: 'uint', width: 'uint', parts: 'uint', temperature: 'float' },
  },
  'keep-tokens': {
    constants: ['threads', 'mostKept'],
    addresses: ['source', 'target'],
    words: {
      ...({ rows: 'uint', width: 'uint', temperature: 'float', least: 'uint' } as const),
      ...({ share: 'float', farthest: 'float', moreBuckets: 'uint' } as const),
    },
  },
  'swap-logits': {
    constants: ['threads'],
    addresses: ['source', 'places', 'saved'],
    words: { count: 'uint', putsBack: 'uint' },
  },
  'starts-finite': {
    constants: ['threads'],
    addresses: ['source', 'target'],
    words: { rows: 'uint', width: 'uint' },
  },
} as const satisfies Record<string, KernelTable>;

export type KernelName = keyof typeof kernels;

type Constants<K extends KernelName> = Readonly<Record<(typeof kernels)[K]['constants'][number], number>>;
type Addresses<K extends KernelName, A> = Readonly<
  Record<(typeof kernels)[K]['addresses'][number], A | null>
>;
type Words<K extends KernelName> = Readonly<Record<keyof (typeof kernels)[K]['words'], number>>;

/** One kernel started once. `A` is whatever says where memory is. */
export interface Dispatch<A> {
  readonly kernel: KernelName;
  /** A pipeline is made for each kernel and list of constants that occurs. */
  readonly constants: readonly number[];
  /** null: address 0, for what there is none of. */
  readonly addresses: readonly (A | null)[];
  /** Bits of what follows the addresses. */
  readonly words: readonly number[];
  readonly groups: readonly [number, number, number];
}

export interface NamedDispatch<K extends KernelName, A> {
  readonly constants: Constants<K>;
  readonly addresses: Addresses<K, A>;
  readonly words: Words<K>;
  readonly groups: readonly [number, number, number];
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Names put in order. */
export function createDispatch<K extends KernelName, A>(
  kernel: K,
  { constants, addresses, words, groups }: NamedDispatch<K, A>,
): Dispatch<A> {
  const table: KernelTable = kernels[kernel];
  const [constantOf, addressOf, wordOf]: [
    Readonly<Record<string, number>>,
    Readonly<Record<string, A | null>>,
    Readonly<Record<string, number>>,
  ] = [constants, addresses, words];
  const inOrder: number[] = [];
  for (const name in table.words)
    inOrder.push(table.words[name] === 'float' ? floatBits(wordOf[name]) : wordOf[name]);
  return {
    kernel,
    constants: table.constants.map((name) => constantOf[name]),
    addresses: table.addresses.map((name) => addressOf[name]),
    words: inOrder,
    groups,
  };
}

function floatBits(value: number): number {
  float[0] = value;
  return bits[0];
}
