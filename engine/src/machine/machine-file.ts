/** Reads machine files: lists of memories and lanes, every constant between what can exist, no field that nothing reads. */

import { isDeepStrictEqual } from 'node:util';
import { assertPlain, check, is, listWords, maybeReadJson, UserError } from '@specoffload/input';
import { withCrossbars } from './crossbars.js';
import { fromFirstSchema } from './first-machine-file.js';
import type { Formats } from './formats.js';
import { formatsByName, laneOf, machineFile, memory } from './machine-fields.js';
import type { MachineModel } from './machine-model.js';

/** What a machine file calls such formats. */
export function nameFormats(formats: Formats): string {
  const found = Object.entries(formatsByName).find(([, known]) => isDeepStrictEqual(known, formats));
  if (found) return found[0];
  throw new Error('machine files have no name for the formats of this device');
}

const maxFileBytes = 1 << 20;

/**
 * Reads a machine file.
 * @throws UserError when it is missing, no JSON, or lacks a rate.
 */
export async function readMachineFile(path: string): Promise<MachineModel> {
  const json = await maybeReadJson(path, maxFileBytes);
  if (json === null)
    throw new UserError(
      `there is no machine file ${path}; make one with specoffload profile, or name a shipped machine`,
    );
  return parseMachineModel(json, path);
}

/**
 * Parses a machine file, of the first schema too. A constant is a number, a text with its unit, or either with where it
 * comes from: `{"value": "11GB/s", "source": "…", "assumed": true}`.
 * @throws UserError naming source, field, value, and what was expected.
 */
export function parseMachineModel(json: unknown, source: string): MachineModel {
  assertPlain(json, source);
  const options = { remedy: 'correct it or measure it with specoffload profile' };
  const file = check(machineFile, fromFirstSchema(json, source), source, options);
  const memories = byName(file.memories, 'memory', source);
  const lanes = byName(file.lanes, 'lane', source);
  for (const needed of ['disk', 'host', 'device'])
    if (!Object.hasOwn(memories, needed))
      throw new UserError(
        `${source}: there is no memory ${needed} among ${listWords(Object.keys(memories))}; add it: weights rest on disk, pass host memory or lie in it, and are used on the device`,
      );
  const laneSchema = laneOf(Object.keys(memories));
  const { name, description, measuredUnder, pace, formats, sheet, crossbars } = file;
  const machine: MachineModel = {
    ...{ name, description, formats: formatsByName[formats] },
    ...(measuredUnder ? { measuredUnder } : {}),
    ...(pace ? { pace } : {}),
    ...(sheet ? { sheet } : {}),
    memories: Object.values(check(is.mapOf(memory), memories, `${source}, memories`, options)),
    lanes: Object.values(check(is.mapOf(laneSchema), lanes, source, options)),
  };
  return crossbars ? withCrossbars(machine, crossbars, source) : machine;
}

/** So that messages name a lane or a memory, not its number in the list. */
function byName<One extends { readonly name: string }>(
  list: readonly One[],
  what: string,
  source: string,
): Readonly<Record<string, One>> {
  const known: Record<string, One> = Object.create(null);
  for (const one of list) {
    if (one.name in known)
      throw new UserError(`${source}: there are two of ${what} ${one.name}; give one of them another name`);
    known[one.name] = one;
  }
  return known;
}
