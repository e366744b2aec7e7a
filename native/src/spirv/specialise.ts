/**
 * A module without what a pipeline's constants rule out: drivers take as long over a module as it is large, and of one
 * that knows every format of weights a pipeline uses one. Follows switches and conditions that constants decide, into
 * functions that are handed a format, too, of which each gets a copy of its own. The constants stay as they were.
 */

import {
  boundOf,
  decoration,
  type Instruction,
  isId,
  op,
  readModule,
  resultOf,
  writeModule,
} from './module.js';
import { type Block, type Routine, readRoutines } from './routine.js';

export class KernelModule {
  readonly #header: Uint32Array;
  readonly #globals: readonly Instruction[];
  readonly #routines: ReadonlyMap<number, Routine>;

  constructor(module: Uint8Array) {
    const { header, instructions } = readModule(module);
    const start = instructions.findIndex(({ code }) => code === op.function);
    this.#header = header;
    this.#globals = instructions.slice(0, start);
    this.#routines = readRoutines(instructions.slice(start));
  }

  /** @param constants of a pipeline, by their ids from 0 on */
  for(constants: readonly number[]): Uint8Array {
    const globals = this.#globals;
    const writer = new Writer(this.#routines, valuesOf(globals, constants), boundOf(this.#header));
    for (const { code, operands } of globals) if (code === op.entryPoint) writer.call(operands[1], new Map());
    const body = writer.write();
    const kept = withoutUnused(globals, body, writer.copies);
    return writeModule(this.#header, writer.bound, [...kept, ...body]);
  }
}

/** What constants are, and what is computed of them, as far as branches ask for it. */
function valuesOf(globals: readonly Instruction[], constants: readonly number[]): Map<number, number> {
  const specIds = new Map<number, number>();
  const values = new Map<number, number>();
  const numberOf = ({ code, operands }: Instruction): number | undefined => {
    const [, id, value] = operands;
    if (code === op.true || code === op.false) return Number(code === op.true);
    if (code === op.constant) return operands.length === 3 ? value : undefined;
    if (code === op.specTrue || code === op.specFalse || code === op.spec)
      return constants[specIds.get(id) ?? -1];
    if (code !== op.specOp) return undefined;
    const inputs = Array.from(operands.subarray(3), (input) => values.get(input));
    return inputs.every((input) => input !== undefined) ? arithmetic[value]?.(...inputs) : undefined;
  };
  for (const global of globals) {
    const { code, operands } = global;
    if (code === op.decorate && operands[1] === decoration.specId) specIds.set(operands[0], operands[2]);
    const value = numberOf(global);
    if (value !== undefined) values.set(operands[1], value);
  }
  return values;
}

/** Of truths, 0 and 1, and comparisons. */
const arithmetic: Readonly<Record<number, (...operands: number[]) => number>> = {
  164: (a, b) => Number(a === b),
  165: (a, b) => Number(a !== b),
  166: (a, b) => a | b,
  167: (a, b) => a & b,
  168: (a) => 1 - a,
  169: (condition, a, b) => (condition ? a : b),
  170: (a, b) => Number(a === b),
  171: (a, b) => Number(a !== b),
};

/** Values of parameters, by their place. */
type Known = ReadonlyMap<number, number>;

class Writer {
  bound: number;
  /** Of ids that copies of functions have in place of their own; decorations of the one hold for the others. */
  readonly copies = new Map<number, number[]>();
  readonly #routines: ReadonlyMap<number, Routine>;
  readonly #values: ReadonlyMap<number, number>;
  readonly #ids = new Map<string, number>();
  readonly #first = new Set<number>();
  readonly #waiting: { readonly routine: Routine; readonly known: Known; readonly id: number }[] = [];

  constructor(routines: ReadonlyMap<number, Routine>, values: ReadonlyMap<number, number>, bound: number) {
    this.#routines = routines;
    this.#values = values;
    this.bound = bound;
  }

  /** @returns the id of the function that is called in its place */
  call(target: number, known: Known): number {
    const key = `${target} ${[...known].join(' ')}`;
    const written = this.#ids.get(key);
    if (written !== undefined) return written;
    const routine = this.#routines.get(target);
    if (!routine) throw new Error(`there is no function ${target} in this module`);
    const id = this.#first.has(target) ? this.bound++ : target;
    this.#first.add(target);
    this.#ids.set(key, id);
    this.#waiting.push({ routine, known, id });
    return id;
  }

  /** All that is called, and what that calls. */
  write(): Instruction[] {
    const written: Instruction[] = [];
    for (let next = this.#waiting.pop(); next; next = this.#waiting.pop())
      written.push(...this.#write(next.routine, next.known, next.id));
    return written;
  }

  #write(routine: Routine, known: Known, id: number): Instruction[] {
    const { head, parameters, blocks } = routine;
    const numberOf = (of: number) => {
      const from = routine.loads.get(of);
      if (from === undefined || known.size === 0) return this.#values.get(of);
      return known.get(parameters.findIndex(({ operands }) => operands[1] === from));
    };
    const folded = blocks.map((block) => fold(block, numberOf));
    const inner = prune(folded).map((instruction) =>
      instruction.code === op.call ? this.#callIn(routine, instruction, numberOf) : instruction,
    );
    const whole = [head, ...parameters, ...withoutVariables(inner), { code: op.functionEnd, operands: none }];
    return id === routine.id ? whole : this.#renumber(whole, routine.id, id);
  }

  #callIn(
    { handed }: Routine,
    { code, operands }: Instruction,
    numberOf: (id: number) => number | undefined,
  ): Instruction {
    const known = new Map<number, number>();
    for (const place of this.#routines.get(operands[2])?.deciding ?? []) {
      const value = numberOf(handed.get(operands[3 + place]) ?? 0);
      if (value !== undefined) known.set(place, value);
    }
    const changed = operands.slice();
    changed[2] = this.call(operands[2], known);
    return { code, operands: changed };
  }

  #renumber(whole: readonly Instruction[], from: number, to: number): Instruction[] {
    const ids = new Map([[from, to]]);
    for (const instruction of whole) {
      const result = resultOf(instruction);
      if (result === null || ids.has(result)) continue;
      ids.set(result, this.bound);
      this.copies.set(result, [...(this.copies.get(result) ?? []), this.bound]);
      this.bound += 1;
    }
    return whole.map((instruction) => ({
      code: instruction.code,
      operands: instruction.operands.map((operand, place) =>
        isId(instruction, place) ? (ids.get(operand) ?? operand) : operand,
      ),
    }));
  }
}

const none = new Uint32Array();

/** The way that constants take: a switch keeps its end, since what is in it may leave it from anywhere. */
function fold({ label, instructions }: Block, numberOf: (id: number) => number | undefined): Block {
  const { code, operands } = instructions[instructions.length - 1];
  const merge = instructions[instructions.length - 2];
  if (merge?.code !== op.selectionMerge) return { label, instructions };
  const value = numberOf(operands[0]);
  if (value === undefined) return { label, instructions };
  if (code === op.branchIf) {
    const taken = Uint32Array.of(operands[value ? 1 : 2]);
    return { label, instructions: [...instructions.slice(0, -2), { code: op.branch, operands: taken }] };
  }
  if (code !== op.switch) return { label, instructions };
  const targets = operands.subarray(2);
  const found = targets.findIndex((literal, place) => place % 2 === 0 && literal === value);
  const taken = Uint32Array.of(operands[0], found < 0 ? operands[1] : targets[found + 1]);
  return { label, instructions: [...instructions.slice(0, -1), { code, operands: taken }] };
}

/** Blocks that can be reached, and of others those that ends of constructs need to be there. */
function prune(blocks: readonly Block[]): Instruction[] {
  const byLabel = new Map(blocks.map((block) => [block.label, block]));
  const before = new Map<number, Set<number>>([[blocks[0].label, new Set()]]);
  const merges = new Map<number, Instruction>();
  const open = [blocks[0]];
  for (let block = open.pop(); block; block = open.pop()) {
    for (const next of nextOf(block)) {
      if (!before.has(next)) open.push(byLabel.get(next) as Block);
      before.set(next, (before.get(next) ?? new Set()).add(block.label));
    }
    for (const { code, operands } of block.instructions) {
      if (code !== op.selectionMerge && code !== op.loopMerge) continue;
      merges.set(operands[0], { code: op.unreachable, operands: none });
      if (code === op.loopMerge)
        merges.set(operands[1], { code: op.branch, operands: Uint32Array.of(block.label) });
    }
  }
  return blocks.flatMap(({ label, instructions }) => {
    const start = { code: op.label, operands: Uint32Array.of(label) };
    const from = before.get(label);
    if (from) return [start, ...instructions.map((instruction) => withoutWays(instruction, from))];
    const end = merges.get(label);
    return end ? [start, end] : [];
  });
}

function nextOf({ instructions }: Block): number[] {
  const { code, operands } = instructions[instructions.length - 1];
  if (code === op.branch) return [operands[0]];
  if (code === op.branchIf) return [operands[1], operands[2]];
  return code === op.switch ? [...operands].filter((_, place) => place % 2 === 1) : [];
}

/** Of a choice by where one came from: only ways that there still are. */
function withoutWays(instruction: Instruction, from: ReadonlySet<number>): Instruction {
  const { code, operands } = instruction;
  if (code !== op.phi) return instruction;
  const isLeft = (place: number) => place < 2 || from.has(operands[place % 2 === 0 ? place + 1 : place]);
  return { code, operands: operands.filter((_, place) => isLeft(place)) };
}

function withoutVariables(instructions: readonly Instruction[]): Instruction[] {
  const used = new Set<number>();
  for (const { code, operands } of instructions)
    if (code !== op.variable) for (const operand of operands) used.add(operand);
  return instructions.filter(({ code, operands }) => code !== op.variable || used.has(operands[1]));
}

/** Without constants that nothing needs any more, and decorations of what is gone; what is built in is needed. */
function withoutUnused(
  globals: readonly Instruction[],
  body: readonly Instruction[],
  copies: ReadonlyMap<number, readonly number[]>,
): Instruction[] {
  const needed = new Set<number>();
  for (const { operands } of body) for (const operand of operands) needed.add(operand);
  const defined = new Set(body.map(resultOf));
  for (const { code, operands } of globals)
    if (code === op.decorate && operands[1] === decoration.builtIn) needed.add(operands[0]);
  const isConstant = (code: number) => op.true <= code && code <= op.specOp;
  const kept = globals.toReversed().filter((global) => {
    const result = resultOf(global);
    if (isConstant(global.code) && !needed.has(result as number)) return false;
    defined.add(result);
    if (global.code !== op.decorate) for (const operand of global.operands) needed.add(operand);
    return true;
  });
  return kept.toReversed().flatMap((global) => {
    const { code, operands } = global;
    if (code !== op.decorate) return [global];
    const [target, ...rest] = operands;
    return [target, ...(copies.get(target) ?? [])]
      .filter((id) => defined.has(id))
      .map((id) => ({ code, operands: Uint32Array.of(id, ...rest) }));
  });
}
