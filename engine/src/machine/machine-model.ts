/**
 * A machine as numbers: what its lanes can do and what its memories hold. Measured by `profile`, or written down from
 * data sheets and fits; every constant says where it comes from.
 */

import { UserError } from '@specoffload/input';
import type { WeightDtype } from '@specoffload/native';
import {
  type ComputePlace,
  isTransfer,
  type LaneName,
  type MemoryName,
  type TaskKind,
  type Topology,
  type TransferPlace,
} from '../topology/topology.js';
import type { PhaseName } from '../trace/types.js';
import type { Budgets, MemoryLimits } from './budgets.js';
import { type CrossbarFacts, crossbarMemory } from './crossbars.js';
import type { Formats } from './formats.js';
import type { LaneClock, LanePower } from './power.js';

/** How long a computing lane takes; see `secondsOf` in cost-model.ts for the formula. */
export interface ComputeRates {
  /** From one task's end to the next one's work, whatever it is. */
  readonly overheadSeconds: number;
  /** Matrix products with weights: rows and the rate reached, by ascending rows. */
  readonly arithmetic: readonly (readonly [rows: number, flopsPerSecond: number])[];
  /** Weights read from the lane's memory. */
  readonly memoryBytesPerSecond: number;
  /** KV cache that attention reads and copies: see {@link CacheTraffic}. */
  readonly cacheBytesPerSecond: number;
  /** @default each byte is read once */
  readonly cacheTraffic?: CacheTraffic;
  /** Scores and weighted values of attention. */
  readonly scoreFlopsPerSecond: number;
  /** Work that is not a matrix product: norms, gathers, kernel launches per row. */
  readonly secondsPerRow: number;
  /** From the end on the lane until the result is there; the lane is free meanwhile. */
  readonly latencySeconds: number;
  readonly decoding?: DecodingRates;
}

/**
 * Weights per second, by how they are stored, that are decoded before they are multiplied or while they cross.
 * @default decoding takes no time that the other rates do not count
 */
export type DecodingRates = Readonly<Partial<Record<WeightDtype, number>>>;

/**
 * Bytes that software moves for each byte of KV cache it uses: `fixed + perHead x query heads that share a KV head`.
 * A library that appends by copying, and that repeats every KV head for the query heads that share it, moves many.
 */
export interface CacheTraffic {
  readonly fixed: number;
  readonly perHead: number;
}

/** What a kind of task does differently from its lane's other work. */
export type KindRates = Partial<ComputeRates>;

export type RatesByKind = Readonly<Partial<Record<TaskKind, KindRates>>>;

/** How long moving takes: overhead + bytes / rate. */
export interface TransferRates {
  readonly overheadSeconds: number;
  /** Into or out of page-locked memory, past the page cache. */
  readonly bytesPerSecond: number;
  /**
   * Into or out of memory that is not page-locked: through the page cache where it is read from storage.
   * @default as page-locked
   */
  readonly pageableBytesPerSecond?: number;
  /** KV cache towards the device; the other way it goes as weights do. @default as weights */
  readonly cacheBytesPerSecond?: number;
  /** @default each byte crosses once */
  readonly cacheTraffic?: CacheTraffic;
  readonly decoding?: DecodingRates;
}

/**
 * Weights that did not just come into the memory which a lane takes them from: caches no longer hold them. What the
 * lane's rates say holds for those that did.
 */
export interface ColdWeights {
  /** Besides. */
  readonly secondsPerByte: number;
  /** How long ago the others came at most. */
  readonly afterSeconds: number;
}

interface LaneConduct {
  /**
   * How unequally long equal tasks take: the spread (sigma) of a log-normal factor of mean 1. A pipeline of lanes that
   * are nearly equally busy loses time to it, because buffers run full or empty.
   */
  readonly variability: number;
  /**
   * From one task's end to the start of another that came meanwhile; the lane counts as idle then.
   * @default in the overhead, which counts as work
   */
  readonly gapSeconds?: number;
  /** The same where the lane had nothing to do: from the end of what a task waited for to its start. @default the gap */
  readonly wakeSeconds?: number;
  /**
   * How many times as long a task takes as the rates say where no other lane is at work when it starts: lanes that share
   * cores and memory hold each other up, and rates are measured while they do.
   * @default 1
   */
  readonly aloneFactor?: number;
  /** @default it makes no difference how long ago they came */
  readonly cold?: ColdWeights;
  /** Tasks that it takes at once and works through in order, as a real lane does; 1 keeps priorities strict. */
  readonly width: number;
  /** @default nobody says, and energy counts without it */
  readonly power?: LanePower;
}

export interface TransferLane extends TransferPlace, TransferRates, LaneConduct {}

export interface ComputeLane extends ComputePlace, ComputeRates, LaneConduct {
  readonly kinds: RatesByKind;
  /**
   * What a kind of task does differently again while prompts are read, where more cores compute.
   * @default nothing
   */
  readonly prefill?: RatesByKind;
  /** More urgent work goes in between the pieces of a draft step, as between the kernels of a GPU. */
  readonly interruptsDraft: boolean;
  /** @default its rates are those of any frequency: another one cannot be asked for */
  readonly clock?: LaneClock;
}

export type Lane = TransferLane | ComputeLane;

export interface Memory {
  readonly name: MemoryName;
  /** What a run may take of it. */
  readonly bytes: number;
  /** What it is handed out in: everything in it takes a multiple of this. @default 4096 */
  readonly granularityBytes?: number;
  /** Weights of the host that are not page-locked lie in its page cache, see `MemoryLimits`. @default false */
  readonly hasPageCache?: boolean;
  /** What a byte of KV cache in device memory counts as, see `Budgets`. @default 1 */
  readonly deviceCacheFactor?: number;
  readonly draftCacheFactor?: number;
  /** What it draws by being there, however little is moved. @default nobody says, and energy counts without it */
  readonly idleWatts?: number;
  /** Of a memory that multiplies with what has been written into it. @default it only remembers */
  readonly crossbars?: CrossbarFacts;
}

/** Weights, in bytes per second, that the host computes with, that cross the link, and that the device computes with. */
export interface SheetRates {
  readonly host: number;
  readonly link: number;
  readonly device: number;
}

export interface MachineModel extends Topology {
  readonly name: string;
  readonly description: string;
  readonly memories: readonly Memory[];
  readonly lanes: readonly Lane[];
  readonly formats: Formats;
  /** What data sheets say, for balances that do not measure. @default what the lanes reach */
  readonly sheet?: SheetRates;
  /** Paces of the runs that the rates were measured in, such as `diskBytesPerSecond`; left out where nobody has said. */
  readonly measuredUnder?: Readonly<Record<string, number>>;
  /** How fast it was while the rates were measured; left out where nobody looked. */
  readonly pace?: Pace;
}

/**
 * How fast a machine is at some time: a short run's time on each lane over what its rates say, while prompts are read
 * and later.
 */
export type Pace = Readonly<Record<PhaseName, Readonly<Record<LaneName, number>>>>;

/** @throws UserError when the machine has no such lane */
export function laneNamed(machine: MachineModel, name: LaneName): Lane {
  return named(machine, 'lane', machine.lanes, name);
}

/** @throws UserError when the machine has no such lane that moves data */
export function transferLane(machine: MachineModel, name: LaneName): TransferLane {
  return named(
    machine,
    'lane that moves data',
    machine.lanes.filter(isTransfer<TransferLane, ComputeLane>),
    name,
  );
}

/** @throws UserError when the machine has no such lane that computes */
export function computeLane(machine: MachineModel, name: LaneName): ComputeLane {
  const computes = (lane: Lane): lane is ComputeLane => !isTransfer(lane);
  return named(machine, 'lane that computes', machine.lanes.filter(computes), name);
}

/** @throws UserError when the machine has no such memory */
export function memoryNamed(machine: MachineModel, name: MemoryName): Memory {
  return named(machine, 'memory', machine.memories, name);
}

function named<One extends { readonly name: string }>(
  machine: MachineModel,
  what: string,
  known: readonly One[],
  name: string,
): One {
  const one = known.find((candidate) => candidate.name === name);
  if (one) return one;
  const names = known.map((candidate) => candidate.name).join(', ');
  throw new UserError(`the machine ${machine.name} has no ${what} called ${name}; expected one of ${names}`);
}

/** The machine with changes to one lane. */
export function withLane(
  machine: MachineModel,
  name: LaneName,
  changes: Partial<TransferRates> | Partial<ComputeLane>,
): MachineModel {
  const lanes = machine.lanes.map((lane) => (lane.name === name ? ({ ...lane, ...changes } as Lane) : lane));
  return { ...machine, lanes };
}

/** Changes to every kind's own rates, in either phase. */
export function changedKinds(
  { kinds, prefill }: Pick<ComputeLane, 'kinds' | 'prefill'>,
  change: (rates: KindRates, kind: TaskKind) => KindRates,
): Pick<ComputeLane, 'kinds' | 'prefill'> {
  const changed = (rates: RatesByKind): RatesByKind =>
    Object.fromEntries(Object.entries(rates).map(([kind, own]) => [kind, change(own, kind as TaskKind)]));
  return { kinds: changed(kinds), ...(prefill && { prefill: changed(prefill) }) };
}

/** Changes to the rates that one kind's products reach, which are those of its lane where it has none of its own. */
export function changedArithmetic(
  { kinds, prefill, arithmetic }: ComputeLane,
  kind: TaskKind,
  change: (arithmetic: ComputeRates['arithmetic']) => ComputeRates['arithmetic'],
): Pick<ComputeLane, 'kinds' | 'prefill'> {
  const own = { ...kinds[kind], arithmetic: change(kinds[kind]?.arithmetic ?? arithmetic) };
  const early = prefill?.[kind];
  return {
    kinds: { ...kinds, [kind]: own },
    ...(prefill && {
      prefill: early?.arithmetic
        ? { ...prefill, [kind]: { ...early, arithmetic: change(early.arithmetic) } }
        : prefill,
    }),
  };
}

/** The machine with changes to one memory. */
export function withMemory(
  machine: MachineModel,
  name: MemoryName,
  changes: Partial<Omit<Memory, 'name'>>,
): MachineModel {
  const memories = machine.memories.map((memory) =>
    memory.name === name ? { ...memory, ...changes } : memory,
  );
  return { ...machine, memories };
}

/** The machine with other budgets, those that are given. */
export function withBudgets(machine: MachineModel, budgets: Partial<Budgets>): MachineModel {
  const { deviceBytes, hostBytes, ...cacheFactors } = budgets;
  const device = deviceBytes === undefined ? cacheFactors : { bytes: deviceBytes, ...cacheFactors };
  return withMemory(
    withMemory(machine, 'device', device),
    'host',
    hostBytes === undefined ? {} : { bytes: hostBytes },
  );
}

/** What placement has to respect on this machine. */
export function limitsOf(machine: MachineModel): MemoryLimits {
  const device = memoryNamed(machine, 'device');
  const host = memoryNamed(machine, 'host');
  const { bytes: deviceBytes, deviceCacheFactor, draftCacheFactor } = device;
  const { bytes: hostBytes, hasPageCache } = host;
  const { memories } = machine;
  const others = memories.filter(({ name }) => !['disk', 'host', 'device'].includes(name));
  return {
    deviceBytes,
    hostBytes,
    deviceCacheFactor,
    draftCacheFactor,
    hasPageCache,
    otherBytes: Object.fromEntries(others.map(({ name, bytes }) => [name, bytes])),
    granularityBytes: Object.fromEntries(
      memories.map(({ name, granularityBytes }) => [name, granularityBytes]),
    ),
    lanes: machine.lanes,
    bytesPerCrossbarWeight: memories.find(({ name }) => name === crossbarMemory)?.crossbars?.bytesPerWeight,
  };
}
