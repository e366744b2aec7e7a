/** The fitted constants on disk, with those of every held-out test: read by each prediction, written by --fit. */

import { join } from 'node:path';
import { check, is, isRecord, maybeReadJson, UserError, writeWholeFile } from '@specoffload/input';
import { machinesDirectory } from '../paths.js';
import { type Constants, constantNames, definitionOf, parseConstants } from './constants.js';
import { machineFile } from './machine-files.js';
import { type DatasetName, datasetNames, environmentNames } from './reference.js';

/** In a folder of its own: what lies beside the machines is taken for one. */
export const calibrationPath = join(machinesDirectory, 'calibration', 'paper.json');

export interface Calibration {
  readonly constants: Constants;
  /** Generation lengths of the bars that were fitted; a bar of another length is a prediction in the strict sense. */
  readonly seenLengths: readonly number[];
  /** Fitted without what each test leaves out. */
  readonly heldOut: readonly HeldOutConstants[];
  /** Fitted under the alternative reading of 8x22B C-Eval: half of the listed batches. */
  readonly alternative: Constants;
}

/** What a held-out test leaves out. */
export type HeldOut = { readonly generationLength: number } | { readonly dataset: DatasetName };

export interface HeldOutConstants {
  readonly left: HeldOut;
  readonly constants: Constants;
}

const mostBytes = 1 << 24;
const remedy = 'run specoffload reproduce --fit';

/** @throws UserError when it is missing or incomplete. */
export async function readCalibration(path: string = calibrationPath): Promise<Calibration> {
  const json = await maybeReadJson(path, mostBytes, {}, remedy);
  if (json === null) throw new UserError(`there is no ${path}; ${remedy}`);
  return parseCalibration(json, path);
}

const file = is.fields({
  schema: is.oneOf([1]),
  seenLengths: is.listOf(is.wholeFrom(1), { expected: 'a list of generation lengths' }),
  constants: is.mapOf(is.anything),
  heldOut: is.listOf(is.mapOf(is.anything)),
});

const leftOut = is.either(
  'a generationLength or a dataset',
  is.picked({ generationLength: is.wholeFrom(1) }),
  is.picked({ dataset: is.oneOf(datasetNames) }),
);

export function parseCalibration(json: unknown, source: string): Calibration {
  const { constants, heldOut, seenLengths, ...rest } = check(file, json, source, { remedy });
  return {
    constants: parseConstants(valuesOf(constants), `${source}: constants`),
    seenLengths,
    heldOut: heldOut.map((entry, index) => {
      const place = `${source}: heldOut ${index + 1}`;
      const left = check(leftOut, entry, place, { whole: 'entry', remedy });
      return { left, constants: parseConstants(entry.constants, place) };
    }),
    alternative: parseConstants((rest as { alternative?: unknown }).alternative, `${source}: alternative`),
  };
}

/** From `{"name": {"value": 1, …}}` to `{"name": 1}`. */
function valuesOf(constants: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(
    Object.entries(constants).map(([name, entry]) => [name, isRecord(entry) ? entry.value : entry]),
  );
}

/** Writes the calibration and both machine files. */
export async function writeCalibration(calibration: Calibration): Promise<void> {
  const { constants, heldOut, alternative, seenLengths } = calibration;
  const described = constantNames.map((name) => {
    const { unit, bounds, limit, meaning } = definitionOf(name);
    return [name, { value: rounded(constants[name]), unit, bounds, limit, meaning }];
  });
  const content = {
    schema: 1,
    note: 'written by specoffload reproduce --fit; every constant is shared by all bars it touches',
    seenLengths,
    constants: Object.fromEntries(described),
    alternative: roundAll(alternative),
    heldOut: heldOut.map(({ left, constants: values }) => ({ ...left, constants: roundAll(values) })),
  };
  await writeWholeFile(calibrationPath, formatJson(content));
  for (const environment of environmentNames)
    await writeWholeFile(
      join(machinesDirectory, `${environment}.json`),
      formatJson(machineFile(environment, roundAll(constants))),
    );
}

/** As the project's formatter has it: lists of numbers on one line. */
function formatJson(content: unknown): string {
  const text = JSON.stringify(content, null, 2)
    .replace(/\[\s+([-+.\de,\s]+?)\s+\]/g, (_list, items: string) => `[${items.split(/,\s+/).join(', ')}]`)
    .replace(/\[\s+(\[[^\][]*\])\s+\]/g, '[$1]');
  return `${text}\n`;
}

/** Four digits: the fit tells no more. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

export function roundAll(constants: Constants): Constants {
  return Object.fromEntries(constantNames.map((name) => [name, rounded(constants[name])])) as Constants;
}
