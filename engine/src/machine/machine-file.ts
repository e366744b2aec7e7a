/** Reads machine files: lists of memories and lanes, every constant between what can exist, no field that nothing reads. */

import { isDeepStrictEqual } from 'node:util';
import { check, is, isRecord, listWords, maybeReadJson, type Schema, UserError } from '@specoffload/input';
import { type Move, type TaskKind, taskKinds } from '../topology/topology.js';
import { fromFirstSchema } from './first-machine-file.js';
import { bf16Formats, type Formats, localFormats } from './formats.js';
import { arithmetic, constant } from './machine-constants.js';
import type { ComputeLane, ComputeRates, KindRates, Lane, MachineModel, Memory } from './machine-model.js';

const formatsByName: Readonly<Record<string, Formats>> = {
  fp32: localFormats,
  bf16: bf16Formats,
  // For predictions of larger models on this machine: what it holds, without the limit of one arena.
  'fp32-unbounded': { ...localFormats, largestPieceBytes: Number.POSITIVE_INFINITY },
};

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
  const { name, description, measuredUnder, formats } = file;
  return {
    ...{ name, description, formats: formatsByName[formats] },
    ...(measuredUnder ? { measuredUnder } : {}),
    memories: Object.values(check(eachOf(memories, memory), memories, `${source}, memories`, options)),
    lanes: Object.values(check(eachOf(lanes, laneSchema), lanes, source, options)),
  };
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

function eachOf<Output>(named: object, schema: Schema<Output>): Schema<Readonly<Record<string, Output>>> {
  return is.onlyFields(Object.fromEntries(Object.keys(named).map((name) => [name, schema]))) as never;
}

// `memory` and `variability` begin the paths of other rates, see rates.ts.
const laneName = is.that(
  is.matching(/^[A-Za-z][\w-]*$/, 'a name of letters, digits, - and _'),
  (name) => name !== 'memory' && name !== 'variability',
  'another name than memory and variability, which mean something else in the paths of rates',
);

const memoryName = is.matching(/^[A-Za-z][\w-]*$/, 'a name of letters, digits, - and _');

const machineFile = is.onlyFields({
  schema: is.oneOf([2], '1 or 2'),
  name: is.text,
  description: is.text,
  formats: is.oneOf(Object.keys(formatsByName)),
  memories: is.listOf(is.fields({ name: memoryName })),
  lanes: is.listOf(is.fields({ name: laneName })),
  measuredUnder: is.orMissing(is.mapOf(is.positive)),
});

const memory: Schema<Memory> = is.into(
  is.that(
    is.onlyFields({
      name: is.text,
      bytes: constant('bytes'),
      reservedBytes: is.orElse(constant('reservedBytes'), 0),
      granularityBytes: is.orMissing(
        is.that(is.wholeFrom(4096, 2 ** 30), (bytes) => bytes % 4096 === 0, 'a multiple of 4096'),
      ),
      pageCache: is.orElse(is.flag, false),
    }),
    ({ bytes, reservedBytes }) => bytes > reservedBytes,
    'more bytes than are reserved',
  ),
  ({ name, bytes, reservedBytes, granularityBytes, pageCache }) => ({
    ...{ name, bytes: bytes - reservedBytes },
    ...(granularityBytes === undefined ? {} : { granularityBytes }),
    ...(pageCache ? { hasPageCache: true } : {}),
  }),
);

const cacheTraffic = is.onlyFields({ fixed: constant('traffic'), perHead: constant('traffic') });

const conduct = {
  name: is.text,
  serves: is.orMissing(is.listOf(is.oneOf(taskKinds))),
  variability: is.orElse(constant('sigma'), 0),
  width: is.orElse(is.wholeFrom(1, 64), 1),
};

function laneOf(memories: readonly string[]): Schema<Lane> {
  const where = is.oneOf(memories, `a memory: ${listWords(memories)}`);
  const computing = memories.filter((name) => name !== 'disk');
  const moves: Schema<Move> = is.that(
    is.onlyFields({ from: where, to: where }),
    ({ from, to }) => from !== to,
    'two different memories',
  );
  const transfer = is.onlyFields({
    ...conduct,
    moves,
    overheadSeconds: is.orElse(constant('overheadSeconds'), 0),
    bytesPerSecond: constant('bytesPerSecond'),
    pageableBytesPerSecond: is.orMissing(constant('pageableBytesPerSecond')),
    cacheBytesPerSecond: is.orMissing(constant('cacheBytesPerSecond')),
    cacheTraffic: is.orMissing(cacheTraffic),
  });
  const compute = is.into(
    is.onlyFields({
      ...conduct,
      computesOn: is.oneOf(computing, `a memory that lanes compute on: ${listWords(computing)}`),
      interruptsDraft: is.orElse(is.flag, false),
      ...rates,
      arithmetic,
      memoryBytesPerSecond: constant('memoryBytesPerSecond'),
      kinds: is.orElse(kinds, {}),
    }),
    withUsualRates,
  );
  const neither = is.such<Lane>(() => false, 'a lane with "moves" or "computesOn"');
  return is.chosen<Lane>((value) => {
    if (!isRecord(value)) return neither;
    if (value.moves !== undefined) return transfer;
    return value.computesOn === undefined ? neither : compute;
  });
}

const rates = {
  overheadSeconds: is.orMissing(constant('overheadSeconds')),
  arithmetic: is.orMissing(arithmetic),
  memoryBytesPerSecond: is.orMissing(constant('memoryBytesPerSecond')),
  cacheBytesPerSecond: is.orMissing(constant('cacheBytesPerSecond')),
  cacheTraffic: is.orMissing(cacheTraffic),
  scoreFlopsPerSecond: is.orMissing(constant('scoreFlopsPerSecond')),
  secondsPerRow: is.orMissing(constant('secondsPerRow')),
  latencySeconds: is.orMissing(constant('latencySeconds')),
};

const kinds: Schema<Readonly<Partial<Record<TaskKind, KindRates>>>> = is.onlyFields(
  Object.fromEntries(taskKinds.map((kind) => [kind, is.orMissing(is.onlyFields(rates))])),
) as never;

/** What a file may leave out: times that are none, and attention as fast as products and the weights' memory. */
function withUsualRates(
  lane: Partial<ComputeRates> &
    Pick<ComputeRates, 'arithmetic' | 'memoryBytesPerSecond'> &
    Omit<ComputeLane, keyof ComputeRates>,
): ComputeLane {
  const { arithmetic: points, memoryBytesPerSecond } = lane;
  return {
    ...{ overheadSeconds: 0, secondsPerRow: 0, latencySeconds: 0, cacheBytesPerSecond: memoryBytesPerSecond },
    scoreFlopsPerSecond: points[points.length - 1][1],
    ...lane,
  };
}
