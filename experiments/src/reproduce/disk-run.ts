/**
 * Mixtral 8x22B on env1, whose 256 GB do not hold it: part of it comes from the disk in every pass. The paper has no
 * bar for that, so this is a prediction with nothing beside it but env2, where everything stays in memory.
 */

import { type MachineModel, withMemory } from '@specoffload/engine';
import type { Constants } from './constants.js';
import { predictRequest } from './predict.js';
import type { Question } from './question.js';
import { type DatasetName, datasetNames } from './reference.js';
import { type Scripts, toRequest } from './systems.js';

export interface DiskRun {
  readonly dataset: DatasetName;
  readonly generationLength: number;
  /** Tokens per second on env2, nothing from disk. */
  readonly inMemory: number;
  /** On env1, as a published system would read: see `diskAssumptions`. */
  readonly fromDisk: number;
  /** On env1 if reads were direct, into memory that holds as many layers as fit, as this lab's own policies read. */
  readonly direct: number;
  /** Layers of the target that come from the disk in every pass, of how many. */
  readonly diskLayers: number;
  readonly numLayers: number;
}

const generationLength = 32;

/** For people. */
export const diskAssumptions: readonly string[] = [
  "released code keeps everything in memory and pins the first half of the weights; the other half (141 GB) is pageable and does not fit beside the first, the KV cache and the system's 8 GiB",
  'pageable weights are read through the page cache; every pass reads them in the same order, so a cache that is too small for all of them has dropped each before it is needed again: the whole half comes from the disk in every pass',
  "the page cache delivers half of the disk's 3.5 GB/s (generous: mmap reached a sixth of direct reads in llama.cpp pull request 18012, and FlexGen's own cost model has a quarter of its disk's sheet)",
  'the load of a layer goes on while the layer before it is computed, as the paper describes, and ends in pageable memory, which crosses the link at its lower rate',
];

export interface DiskRunOptions {
  readonly scripts: Scripts;
  readonly constants: Constants;
  readonly onProgress: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export async function predictDiskRuns({
  scripts,
  constants,
  onProgress,
  signal,
}: DiskRunOptions): Promise<DiskRun[]> {
  const runs: DiskRun[] = [];
  const datasets = datasetNames.filter((name) => isListed(scripts, name));
  for (const dataset of datasets) {
    signal?.throwIfAborted();
    onProgress(`8x22B from disk: ${dataset}`);
    const run = (environment: Question['environment'], change = (machine: MachineModel) => machine) => {
      const asked = { system: 'SpecOffload', model: 'Mixtral 8x22B', environment, dataset } as const;
      const request = toRequest({ ...asked, generationLength }, scripts, constants);
      return predictRequest({ ...request, machine: change(request.machine) });
    };
    const inMemory = await run('env2');
    const fromDisk = await run('env1');
    const direct = await run('env1', withDirectReads);
    const numLayers = fromDisk.request.target.layers.length;
    runs.push({
      ...{ dataset, generationLength, numLayers },
      inMemory: inMemory.tokensPerSecond,
      fromDisk: fromDisk.tokensPerSecond,
      direct: direct.tokensPerSecond,
      diskLayers: numLayers - fromDisk.result.policy.keptLayers,
    });
  }
  return runs;
}

function isListed({ policies }: Scripts, dataset: DatasetName): boolean {
  return policies.some(
    (listed) =>
      listed.system === 'SpecOffload' && listed.model === 'Mixtral 8x22B' && listed.dataset === dataset,
  );
}

/** The machine as the lab's own policies use it. */
function withDirectReads(machine: MachineModel): MachineModel {
  const lanes = machine.lanes.map((lane) => {
    if (lane.name !== 'disk' || !('pageableBytesPerSecond' in lane)) return lane;
    const { pageableBytesPerSecond: _rate, ...direct } = lane;
    return direct;
  });
  return withMemory({ ...machine, lanes }, 'host', { hasPageCache: false });
}
