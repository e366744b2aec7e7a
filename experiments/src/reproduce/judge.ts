/** Predictions held against what was published: errors, winners, speed-ups. Numbers only; tables.ts makes text. */

import {
  type AblationBar,
  type Bar,
  type MemoryPoint,
  type ModelName,
  modelNames,
  type SystemName,
  systemNames,
  type UtilizationBar,
} from './reference.js';

/** Something published, and what the simulator says of it. */
export type Judged<Published> = Published & { readonly predicted: number };

export type JudgedBar = Judged<Bar>;
export type JudgedAblation = Judged<AblationBar>;
/** `predicted` in percent. */
export type JudgedUtilization = Judged<UtilizationBar>;
export type JudgedMemory = Judged<MemoryPoint>;

type Comparable = { readonly tokensPerSecond: number; readonly predicted: number };

/** Signed: +0.1 is 10 % too fast. */
export function errorOf({ tokensPerSecond, predicted }: Comparable): number {
  return predicted / tokensPerSecond - 1;
}

/** Mean of |predicted / published - 1|; NaN without bars. */
export function meanError(bars: readonly Comparable[]): number {
  return bars.reduce((sum, bar) => sum + Math.abs(errorOf(bar)), 0) / bars.length;
}

/** A row for what was published and one for what is predicted, as figures take them. */
export function toFigureRows<Published extends Comparable>(judged: readonly Published[]) {
  return judged.flatMap(({ predicted, ...published }) => [
    { ...published, kind: 'published' },
    { ...published, kind: 'predicted', tokensPerSecond: predicted },
  ]);
}

export interface Winners {
  readonly groups: number;
  /** Groups whose fastest system is predicted wrongly, in words. */
  readonly wrong: readonly string[];
}

/** A group is one model, dataset and length. */
export function judgeWinners(bars: readonly JudgedBar[]): Winners {
  const groups = groupBy(bars, groupOf);
  const fastest = (members: readonly JudgedBar[], rate: (bar: JudgedBar) => number) =>
    members.reduce((best, bar) => (rate(bar) > rate(best) ? bar : best)).system;
  const wrong = [...groups].flatMap(([name, members]) => {
    const published = fastest(members, ({ tokensPerSecond }) => tokensPerSecond);
    const predicted = fastest(members, (bar) => bar.predicted);
    return published === predicted ? [] : [`${name}: ${predicted} instead of ${published}`];
  });
  return { groups: groups.size, wrong };
}

function groupOf({ model, dataset, generationLength }: Bar): string {
  return `${model}, ${dataset}, ${generationLength}`;
}

export interface SpeedUp {
  readonly over: SystemName;
  readonly models: readonly ModelName[];
  readonly published: number;
  readonly predicted: number;
}

/** SpecOffload's mean speed-up over another system, over all groups of some models that have both. */
export function speedUp(
  bars: readonly JudgedBar[],
  over: SystemName,
  models: readonly ModelName[],
): SpeedUp | null {
  const ratios = [...groupBy(bars, groupOf).values()].flatMap((members) => {
    const ours = members.find(({ system }) => system === 'SpecOffload');
    const theirs = members.find(({ system }) => system === over);
    if (!ours || !theirs || !models.includes(ours.model)) return [];
    return {
      published: ours.tokensPerSecond / theirs.tokensPerSecond,
      predicted: ours.predicted / theirs.predicted,
    };
  });
  if (ratios.length === 0) return null;
  const mean = (field: 'published' | 'predicted') =>
    ratios.reduce((sum, ratio) => sum + ratio[field], 0) / ratios.length;
  return { over, models, published: mean('published'), predicted: mean('predicted') };
}

/** SpecOffload's over every other system, on the Mixtral models and on all. */
export function speedUps(bars: readonly JudgedBar[]): SpeedUp[] {
  const [mixtral7, mixtral22] = modelNames;
  return systemNames
    .filter((system) => system !== 'SpecOffload')
    .flatMap((system) =>
      [[mixtral7, mixtral22], modelNames].flatMap((models) => speedUp(bars, system, models) ?? []),
    );
}

export interface MemoryRise {
  readonly model: ModelName;
  readonly fromGB: number;
  readonly toGB: number;
  /** Throughput at most memory over that at least, minus 1. */
  readonly published: number;
  readonly predicted: number;
}

export function memoryRises(points: readonly JudgedMemory[]): MemoryRise[] {
  return [...groupBy(points, ({ model }) => model)].map(([model, members]) => {
    const curve = members.sort((a, b) => a.gpuMemoryGB - b.gpuMemoryGB);
    const [least, most] = [curve[0], curve.at(-1)!];
    return {
      model,
      fromGB: least.gpuMemoryGB,
      toGB: most.gpuMemoryGB,
      published: most.tokensPerSecond / least.tokensPerSecond - 1,
      predicted: most.predicted / least.predicted - 1,
    };
  });
}

/** Node 20 has no Map.groupBy. */
export function groupBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
