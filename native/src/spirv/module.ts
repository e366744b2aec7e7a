/** SPIR-V as a list of instructions, and as much of their grammar as it takes to copy functions with other ids. */

export interface Instruction {
  readonly code: number;
  readonly operands: Uint32Array;
}

export const op = {
  ...{ entryPoint: 15, true: 41, false: 42, constant: 43, specTrue: 48, specFalse: 49, spec: 50, specOp: 52 },
  ...{ function: 54, parameter: 55, functionEnd: 56, call: 57, variable: 59, load: 61, store: 62 },
  ...{ decorate: 71, phi: 245, loopMerge: 246, selectionMerge: 247, label: 248, branch: 249, branchIf: 250 },
  ...{ switch: 251, unreachable: 255 },
} as const;

export const decoration = { specId: 1, builtIn: 11 } as const;

export const headerWords = 5;
const boundWord = 3;

/** Without names, sources and lines, which are for people. */
export function readModule(bytes: Uint8Array): { header: Uint32Array; instructions: Instruction[] } {
  const words = new Uint32Array(Uint8Array.from(bytes).buffer);
  const instructions: Instruction[] = [];
  for (let at = headerWords, length = 0; at < words.length; at += length) {
    length = words[at] >>> 16;
    if (length === 0) throw new Error(`no SPIR-V: an instruction at word ${at} has no length`);
    const code = words[at] & 0xffff;
    if (!isRemark(code)) instructions.push({ code, operands: words.subarray(at + 1, at + length) });
  }
  return { header: words.subarray(0, headerWords), instructions };
}

/** @param bound more than the largest id */
export function writeModule(
  header: Uint32Array,
  bound: number,
  instructions: readonly Instruction[],
): Uint8Array {
  const length = instructions.reduce((sum, { operands }) => sum + 1 + operands.length, headerWords);
  const words = new Uint32Array(length);
  words.set(header);
  words[boundWord] = bound;
  let at = headerWords;
  for (const { code, operands } of instructions) {
    words[at] = ((operands.length + 1) << 16) | code;
    words.set(operands, at + 1);
    at += 1 + operands.length;
  }
  return new Uint8Array(words.buffer);
}

/** The first id that is free. */
export function boundOf(header: Uint32Array): number {
  return header[boundWord];
}

/** The id that an instruction defines; null where it defines none. */
export function resultOf({ code, operands }: Instruction): number | null {
  if (isOneOf(definingFirst, code)) return operands[0];
  return isOneOf(definingNothing, code) ? null : operands[1];
}

/** Whether an operand is the id of something, and not a number. */
export function isId({ code }: Instruction, place: number): boolean {
  if (code === op.switch) return place < 2 || place % 2 === 1;
  if (349 <= code && code <= 364) return place !== 3; // arithmetic of a subgroup
  if (code in single) return place !== single[code];
  return place < (literalsFrom[code] ?? Number.POSITIVE_INFINITY);
}

type Ranges = readonly (readonly [first: number, last: number])[];

const isOneOf = (ranges: Ranges, code: number) =>
  ranges.some(([first, last]) => first <= code && code <= last);
const isRemark = (code: number) => (2 <= code && code <= 8) || code === 317 || code === 330;

/** Imports, types, labels. */
const definingFirst: Ranges = [
  [11, 11],
  [19, 38],
  [248, 248],
  [4456, 4456],
];

/** What declares, decorates, writes, waits or goes on elsewhere. */
const definingNothing: Ranges = [
  ...([
    [0, 10],
    [14, 17],
    [39, 39],
    [56, 56],
    [62, 64],
    [71, 76],
    [218, 219],
    [224, 225],
    [228, 228],
  ] as const),
  ...([
    [246, 247],
    [249, 255],
    [331, 332],
    [4458, 4458],
    [5632, 5633],
  ] as const),
];

/** The one operand that is a number: which instruction of a set, how a function is called, where a variable lies. */
const single: Readonly<Record<number, number>> = { 12: 3, [op.function]: 2, [op.variable]: 2 };

/** Accesses to memory, components, hints for branches, cooperative matrices. */
const literalsFrom: Readonly<Record<number, number>> = {
  ...{ [op.load]: 3, [op.store]: 2, 68: 3, 79: 4, 81: 3, 82: 4 },
  ...{ [op.loopMerge]: 2, [op.selectionMerge]: 1, [op.branchIf]: 3, 4457: 5, 4458: 4, 4459: 5 },
};
