/** How busy the devices that really ran SpecOffload were in decode: whichever a store has records of. */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { currentSignal } from '@specoffload/input';
import { median } from 'simple-statistics';
import { gpuOf, type MeasuredRecord, scanRuns } from '../store/index.js';

export interface BusyDevice {
  /** The card's name, or the processor's. */
  readonly device: string;
  readonly experiment: string;
  readonly runs: number;
  /** Of decode, the median of the runs: of a card's compute queue by its own clock, else of the device lane. */
  readonly utilization: number;
  /** Shares of decode by kind of kernel, where the card tells them. */
  readonly kernels: Readonly<Record<string, number>> | null;
}

/** Those that have the paper's ratios first; the first that a device was run in counts. */
const experiments = ['ladder', 'wind-tunnel', 'main'];

/** @param results a record store; records that `bench:gpu` keeps lie below it, in `gpu` */
export async function measuredDevices(
  results: string,
  signal: AbortSignal | undefined = currentSignal(),
): Promise<readonly BusyDevice[]> {
  const cards = join(results, 'gpu');
  const stores = [results, ...(existsSync(cards) ? readdirSync(cards).map((name) => join(cards, name)) : [])];
  const found: BusyDevice[] = [];
  for (const experiment of experiments)
    for (const store of stores) {
      const byDevice = new Map<string, MeasuredRecord[]>();
      for await (const { record } of scanRuns({ results: store, experiment, kind: 'measured', signal })) {
        if (record.kind !== 'measured' || !isSpecOffload(record)) continue;
        const device = gpuOf(record) ?? record.provenance.cpu;
        byDevice.set(device, [...(byDevice.get(device) ?? []), record]);
      }
      for (const [device, records] of byDevice)
        if (found.every((other) => other.device !== device))
          found.push(summarise(device, experiment, records));
    }
  return found;
}

/** Of an experiment's systems the one of that name, not what the planner made of its strategy. */
function isSpecOffload({ strategy, point }: MeasuredRecord): boolean {
  const system = point?.axes.system;
  return strategy === 'specoffload' && (system === undefined || system === 'SpecOffload');
}

function summarise(device: string, experiment: string, records: readonly MeasuredRecord[]): BusyDevice {
  const busy = records.map(
    ({ result: { deviceUse, phases } }) =>
      deviceUse?.compute?.decode.utilization ?? phases.decode.lanes.device.utilization,
  );
  const kernels = records.flatMap(({ result: { deviceUse, phases } }) =>
    deviceUse?.compute
      ? [
          Object.entries(deviceUse.compute.decode.kernelSeconds).map(
            ([kind, seconds = 0]) => [kind, seconds / phases.decode.seconds] as const,
          ),
        ]
      : [],
  );
  const kinds = [...new Set(kernels.flat().map(([kind]) => kind))];
  const medianOf = (kind: string) =>
    median(kernels.map((shares) => shares.find(([name]) => name === kind)?.[1] ?? 0));
  return {
    ...{ device, experiment, runs: records.length, utilization: median(busy) },
    kernels: kernels.length > 0 ? Object.fromEntries(kinds.map((kind) => [kind, medianOf(kind)])) : null,
  };
}
