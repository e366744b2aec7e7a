/** Which machines may measure a point: those with a label, and of them those with one and the same machine file. */

import { flattenMachine } from '@specoffload/engine';
import { UserError } from '@specoffload/input';
import { openMachine } from '../inputs/machines.js';
import { localMachinePath } from '../paths.js';
import { digestOnce } from '../store/canonical.js';

export interface MachineClass {
  readonly label: string;
  /** Of the file that `specoffload profile` has written there; `none` without one. */
  readonly machine: string;
}

export const labelPattern = /^[a-z0-9][a-z0-9-]{0,31}$/;
export const machinePattern = /^(?:[0-9a-f]{12}|none)$/;

/**
 * `desk`, or `desk@0123456789ab` where several machines call themselves so.
 * @throws UserError
 */
export function parseClass(text: string): { readonly label: string; readonly machine: string | null } {
  const [label, machine = null, ...rest] = text.split('@');
  const isRight =
    labelPattern.test(label!) && (machine === null || machinePattern.test(machine)) && rest.length === 0;
  if (isRight) return { label: label!, machine };
  throw new UserError(
    `invalid label: ${text}; expected small letters, digits and hyphens, such as desk, or desk@0123456789ab with what its worker says of its machine file`,
  );
}

export function nameOfClass({ label, machine }: MachineClass): string {
  return `${label}@${machine}`;
}

/** This machine's part of its class. */
export async function digestOfMachine(): Promise<string> {
  try {
    return digestOnce(await openMachine(localMachinePath), flattenMachine).slice(0, 12);
  } catch (error) {
    if (error instanceof UserError) return 'none';
    throw error;
  }
}

/** What a queue is called; predictions may be made anywhere. */
export function queueNameOf(machineClass: MachineClass | null): string {
  return machineClass === null ? 'simulated' : `measured.${machineClass.label}.${machineClass.machine}`;
}
