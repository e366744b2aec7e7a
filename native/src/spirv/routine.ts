/** A function of a SPIR-V module: its blocks, and which of its parameters decide what way it goes. */

import { type Instruction, op } from './module.js';

export interface Block {
  readonly label: number;
  /** The last says where it goes on. */
  readonly instructions: readonly Instruction[];
}

export interface Routine {
  readonly id: number;
  readonly head: Instruction;
  readonly parameters: readonly Instruction[];
  readonly blocks: readonly Block[];
  /** Where results of loads are from. */
  readonly loads: ReadonlyMap<number, number>;
  /** Of variables that are written once and only handed to a call: what they hold. */
  readonly handed: ReadonlyMap<number, number>;
  /** Places of parameters that a switch asks for, here or in whom it calls; nobody writes them. */
  readonly deciding: ReadonlySet<number>;
}

interface Reading extends Routine {
  readonly deciding: Set<number>;
  /** Parameters that are only loaded; null in place of others. */
  readonly unwritten: readonly (number | null)[];
}

/** @param instructions one function behind the other */
export function readRoutines(instructions: readonly Instruction[]): ReadonlyMap<number, Routine> {
  const routines = new Map<number, Reading>();
  let at = 0;
  for (const [end, { code }] of instructions.entries())
    if (code === op.functionEnd) {
      const routine = readRoutine(instructions.slice(at, end));
      routines.set(routine.id, routine);
      at = end + 1;
    }
  while ([...routines.values()].some((routine) => handsOn(routine, routines)));
  return routines;
}

function readRoutine([head, ...rest]: readonly Instruction[]): Reading {
  const parameters = rest.filter(({ code }) => code === op.parameter);
  const blocks: { label: number; instructions: Instruction[] }[] = [];
  const loads = new Map<number, number>();
  const stores = new Map<number, number>();
  const passed = new Set<number>();
  const selectors: number[] = [];
  // Where a number looks like an id, too, that has one more use, and decides nothing.
  const numUses = new Map<number, number>();
  for (const instruction of rest.slice(parameters.length)) {
    const { code, operands } = instruction;
    if (code === op.label) blocks.push({ label: operands[0], instructions: [] });
    else blocks[blocks.length - 1].instructions.push(instruction);
    if (code === op.load) loads.set(operands[1], operands[2]);
    else for (const id of operands) numUses.set(id, (numUses.get(id) ?? 0) + 1);
    if (code === op.store) stores.set(operands[0], operands[1]);
    if (code === op.call) for (const id of operands.subarray(3)) passed.add(id);
    if (code === op.switch) selectors.push(operands[0]);
  }
  // It is declared, written and passed.
  const handed = new Map([...stores].filter(([id]) => numUses.get(id) === 3 && passed.has(id)));
  const asked = selectors.map((selector) => loads.get(selector));
  const unwritten = parameters.map(({ operands: [, id] }) => (numUses.has(id) ? null : id));
  const deciding = unwritten.flatMap((id, place) => (id !== null && asked.includes(id) ? [place] : []));
  return {
    ...{ id: head.operands[1], head, parameters, blocks, loads, handed, unwritten },
    deciding: new Set(deciding),
  };
}

/** Whether a parameter of its own turns out to decide in a routine that it calls. */
function handsOn(
  { blocks, loads, handed, unwritten, deciding }: Reading,
  routines: ReadonlyMap<number, Routine>,
): boolean {
  const before = deciding.size;
  for (const { instructions } of blocks)
    for (const { code, operands } of instructions)
      for (const place of (code === op.call && routines.get(operands[2])?.deciding) || []) {
        const from = loads.get(handed.get(operands[3 + place]) ?? 0);
        const own = from === undefined ? -1 : unwritten.indexOf(from);
        if (own >= 0) deciding.add(own);
      }
  return deciding.size > before;
}
