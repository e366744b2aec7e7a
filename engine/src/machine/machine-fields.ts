/** Every field of a machine file, declared once: its check and docs/machine.schema.json come from here. */

import { is, isRecord, type JsonRecord, listWords, type Schema, toJsonSchema } from '@specoffload/input';
import { codecs } from '@specoffload/native';
import { type Move, taskKinds } from '../topology/topology.js';
import type { Crossbars } from './crossbars.js';
import {
  bf16BesideFp32Formats,
  bf16Formats,
  type Formats,
  fp32Formats,
  localFormats,
  plannedBf16Formats,
  stagedVulkanFormats,
  vulkanFormats,
} from './formats.js';
import { about, clock, cold, computePower, transferPower, whatItDraws } from './lane-fields.js';
import { arithmetic, constant } from './machine-constants.js';
import type { ComputeLane, ComputeRates, DecodingRates, Lane, Memory, RatesByKind } from './machine-model.js';

export const formatsByName: Readonly<Record<string, Formats>> = {
  fp32: fp32Formats,
  bf16: bf16Formats,
  'bf16-beside-fp32': bf16BesideFp32Formats,
  'bf16-planned': plannedBf16Formats,
  vulkan: vulkanFormats,
  'vulkan-staged': stagedVulkanFormats,
  // For predictions of larger models on this machine: what it holds, without the limit of one arena.
  'fp32-unbounded': { ...fp32Formats, largestPieceBytes: Number.POSITIVE_INFINITY },
  cpu: localFormats,
  'cpu-unbounded': { ...localFormats, largestPieceBytes: Number.POSITIVE_INFINITY },
};

const name = is.named('name', is.matching(/^[A-Za-z][\w-]*$/, 'a name of letters, digits, - and _'));

// `memory` and `variability` begin the paths of other rates, see rates.ts.
const laneName = is.that(
  name,
  (lane) => lane !== 'memory' && lane !== 'variability',
  'another name than memory and variability, which mean something else in the paths of rates',
);

const task = is.named('task', is.oneOf(taskKinds));

const head = {
  schema: is.oneOf([2], '1 or 2'),
  name: is.text,
  description: is.text,
  formats: about('how weights are held on the device', is.oneOf(Object.keys(formatsByName))),
};

/** Their memory and their lane come of it, see crossbars.ts. */
const crossbars: Schema<Crossbars> = is.named(
  'crossbars',
  is.onlyFields({
    bytes: about('weights that they hold', constant('bytes')),
    bytesPerWeight: about(
      'what a weight takes of that, however it is stored elsewhere; left out: 1',
      is.orElse(is.numberFrom(0.125, 8), 1),
    ),
    productSeconds: about('one row through one matrix, however large', constant('secondsPerRow')),
    activationBytesPerSecond: about(
      'rows on their way in and out; left out: in the time of a product',
      is.orMissing(constant('bytesPerSecond')),
    ),
    joulesPerOperation: about(
      'for each multiplication and each addition; left out: not counted',
      is.orMissing(constant('joulesPerOperation')),
    ),
    writeBytesPerSecond: about('weights that are written, once', constant('bytesPerSecond')),
    writeJoulesPerByte: about('likewise; left out: not counted', is.orMissing(constant('joulesPerByte'))),
    idleWatts: about('with nothing to do; left out: not counted', is.orMissing(constant('watts'))),
    noise: about(
      'standard deviation of an output over the root of its mean square; left out: nobody says',
      is.orMissing(constant('noise')),
    ),
  }),
);

const tail = {
  crossbars: about(
    'memory that multiplies with the weights that are written into it; left out: there is none',
    is.orMissing(crossbars),
  ),
  sheet: about(
    'what data sheets say, for balances that do not measure: bytes of weights per second; left out: what the lanes reach',
    is.orMissing(
      is.onlyFields({
        host: constant('memoryBytesPerSecond'),
        link: constant('bytesPerSecond'),
        device: constant('memoryBytesPerSecond'),
      }),
    ),
  ),
  measuredUnder: about('caps of the runs that measured it', is.orMissing(is.mapOf(is.positive))),
  pace: about(
    "a short run's time on each lane over what these rates say of it, while they were measured; left out: nobody looked",
    is.orMissing(is.onlyFields({ prefill: is.mapOf(is.positive), decode: is.mapOf(is.positive) })),
  ),
  measuredBy: about('specs of the runs that measured it, for people', is.orMissing(is.listOf(is.fields({})))),
};

/** Lanes and memories by name alone: what they are is checked when all names are known. */
export const machineFile = is.onlyFields({
  ...head,
  memories: is.listOf(is.fields({ name })),
  lanes: is.listOf(is.fields({ name: laneName })),
  ...tail,
});

export const memory: Schema<Memory> = is.into(
  is.that(
    is.onlyFields({
      name,
      bytes: constant('bytes'),
      reservedBytes: about('what a run may not take', is.orElse(constant('reservedBytes'), 0)),
      granularityBytes: about(
        'what it is handed out in; left out: 4096',
        is.orMissing(
          is.that(is.wholeFrom(4096, 2 ** 30), (bytes) => bytes % 4096 === 0, 'a multiple of 4096'),
        ),
      ),
      pageCache: about('weights that are not page-locked lie in its page cache', is.orElse(is.flag, false)),
      idleWatts: about(
        'what it draws by being there; left out: not counted',
        is.orMissing(constant('watts')),
      ),
    }),
    ({ bytes, reservedBytes }) => bytes > reservedBytes,
    'more bytes than are reserved',
    'bytes',
  ),
  ({ name, bytes, reservedBytes, granularityBytes, pageCache, idleWatts }) => ({
    ...{ name, bytes: bytes - reservedBytes },
    ...(granularityBytes === undefined ? {} : { granularityBytes }),
    ...(pageCache ? { hasPageCache: true } : {}),
    ...(idleWatts === undefined ? {} : { idleWatts }),
  }),
);

const cacheTraffic = is.named(
  'cacheTraffic',
  about(
    'bytes that software moves for each byte of KV cache: fixed + perHead x query heads that share a KV head',
    is.onlyFields({ fixed: constant('traffic'), perHead: constant('traffic') }),
  ),
);

const decoding: Schema<DecodingRates> = is.named(
  'decoding',
  is.onlyFields(
    Object.fromEntries(
      Object.keys(codecs).map((name) => [name, is.orMissing(constant('weightsPerSecond'))]),
    ) as never,
  ),
);

/** What a lane's products, or what crosses it, take besides. */
const decodingField = about(
  'weights that are decoded before they are multiplied or while they cross, per second; left out: in the other rates',
  is.orMissing(decoding),
);

const conduct = {
  name,
  serves: about('kinds of task that go to this lane before any other', is.orMissing(is.listOf(task))),
  variability: about(
    'how unequally long equal tasks take: sigma of a log-normal factor',
    is.orElse(constant('sigma'), 0),
  ),
  gapSeconds: about(
    "from one task's end to the start of another that came meanwhile; the lane counts as idle then; left out: in the overhead",
    is.orMissing(constant('gapSeconds')),
  ),
  wakeSeconds: about(
    'from the end of what a task waited for to its start on a lane that had nothing to do; left out: the gap',
    is.orMissing(constant('gapSeconds')),
  ),
  aloneFactor: about(
    'how many times as long its tasks take as its rates say where no other lane is at work; left out: 1',
    is.orMissing(constant('factor')),
  ),
  cold: about(
    'weights that did not just come into the memory that it takes them from, which caches no longer hold; left out: no slower',
    is.orMissing(cold),
  ),
  width: about('tasks that it takes at once; 1 keeps priorities strict', is.orElse(is.wholeFrom(1, 64), 1)),
};

const rates = {
  overheadSeconds: about(
    "from one task's end to the next one's work",
    is.orMissing(constant('overheadSeconds')),
  ),
  arithmetic: about('matrix products with weights, FLOP/s', is.orMissing(arithmetic)),
  memoryBytesPerSecond: about(
    "weights read from the lane's memory",
    is.orMissing(constant('memoryBytesPerSecond')),
  ),
  cacheBytesPerSecond: about(
    'KV cache that attention reads; left out: as memoryBytesPerSecond',
    is.orMissing(constant('cacheBytesPerSecond')),
  ),
  cacheTraffic: is.orMissing(cacheTraffic),
  scoreFlopsPerSecond: about(
    'scores and weighted values of attention; left out: as arithmetic',
    is.orMissing(constant('scoreFlopsPerSecond')),
  ),
  secondsPerRow: about('norms, gathers, launches', is.orMissing(constant('secondsPerRow'))),
  latencySeconds: about(
    'until a result is there; the lane is free meanwhile',
    is.orMissing(constant('latencySeconds')),
  ),
  decoding: decodingField,
};

const kindRates = is.named('rates', is.onlyFields(rates));

const kinds: Schema<RatesByKind> = is.onlyFields(
  Object.fromEntries(taskKinds.map((kind) => [kind, is.orMissing(kindRates)])),
) as never;

/** @param memories their names */
export function laneOf(memories: readonly string[]): Schema<Lane> {
  const computing = memories.filter((name) => name !== 'disk');
  return laneBetween(
    is.oneOf(memories, `a memory: ${listWords(memories)}`),
    is.oneOf(computing, `a memory that lanes compute on: ${listWords(computing)}`),
  );
}

function laneBetween(where: Schema<string>, computesOn: Schema<string>): Schema<Lane> {
  const moves: Schema<Move> = is.that(
    is.onlyFields({ from: where, to: where }),
    ({ from, to }) => from !== to,
    'two different memories',
  );
  const transfer = is.named(
    'transferLane',
    is.onlyFields({
      ...conduct,
      moves,
      overheadSeconds: is.orElse(constant('overheadSeconds'), 0),
      bytesPerSecond: about('out of or into page-locked memory', constant('bytesPerSecond')),
      pageableBytesPerSecond: about(
        'out of or into any other memory; left out: as page-locked',
        is.orMissing(constant('pageableBytesPerSecond')),
      ),
      cacheBytesPerSecond: about(
        'KV cache towards the device; left out: as weights',
        is.orMissing(constant('cacheBytesPerSecond')),
      ),
      cacheTraffic: is.orMissing(cacheTraffic),
      decoding: decodingField,
      power: about(whatItDraws, is.orMissing(transferPower)),
    }),
  );
  const compute = is.named(
    'computeLane',
    is.into(
      is.onlyFields({
        ...conduct,
        computesOn,
        interruptsDraft: about(
          'more urgent work goes in between the kernels of a draft step',
          is.orElse(is.flag, false),
        ),
        ...rates,
        arithmetic: about('matrix products with weights, FLOP/s', arithmetic),
        memoryBytesPerSecond: about("weights read from the lane's memory", constant('memoryBytesPerSecond')),
        kinds: about('what a kind of task does differently', is.orElse(kinds, {})),
        prefill: about(
          'what it does differently again while prompts are read, on more cores; left out: nothing',
          is.orMissing(kinds),
        ),
        power: about(whatItDraws, is.orMissing(computePower)),
        clock: about('how rates and power follow the frequency', is.orMissing(clock)),
      }),
      withUsualRates,
    ),
  );
  const neither = is.neither('a lane with "moves" or "computesOn"');
  return is.chosen<Lane>(
    (value) => {
      if (!isRecord(value)) return neither;
      if (value.moves !== undefined) return transfer;
      return value.computesOn === undefined ? neither : compute;
    },
    [transfer, compute],
  );
}

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

/** docs/machine.schema.json, for editors that complete and check. */
export function machineFileSchema(): JsonRecord {
  const whole = is.onlyFields({
    ...head,
    memories: about('among them disk, host and device', is.listOf(is.named('memory', memory))),
    lanes: is.listOf(laneBetween(name, name)),
    ...tail,
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Machine file of SpecOffload Lab',
    description: `What docs/own-machines.md explains. The lab checks more: ascending rows, names that are there. This file is written from engine/src/machine/machine-fields.ts; a test says how.`,
    ...toJsonSchema(whole),
  };
}
