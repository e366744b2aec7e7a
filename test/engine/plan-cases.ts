/** Machines and models that plans are tested on: small enough that a whole grid can be simulated. */

import {
  type Acceptance,
  bf16Formats,
  type Checkpoint,
  catalogSpec,
  describeModel,
  type FlatMachine,
  limitsOf,
  type MachineModel,
  type ModelSpec,
  summarise,
  unflattenMachine,
  withBudgets,
} from '@specoffload/engine';
import { specOf } from './tiny.js';

const lane = (rates: Partial<FlatMachine['host']>): FlatMachine['host'] => ({
  ...{ overheadSeconds: 0, secondsPerRow: 0, latencySeconds: 0, kinds: {} },
  ...{ arithmetic: [[1, 1e12]], memoryBytesPerSecond: 1e11, cacheBytesPerSecond: 1e10 },
  ...{ scoreFlopsPerSecond: 1e11, ...rates },
});

/** A GPU behind a slow link, with a host of many cores: the numbers are made up. */
const flatWorkstation: FlatMachine = {
  ...{ name: 'workstation', description: 'a GPU of 24 GB behind PCIe 3' },
  disk: { overheadSeconds: 1e-4, bytesPerSecond: 3.5e9 },
  link: {
    ...{ overheadSeconds: 1e-5, bytesPerSecond: 11e9, pageableBytesPerSecond: 6e9 },
    cacheBytesPerSecond: 8e9,
  },
  host: lane({
    arithmetic: [
      [1, 2e10],
      [64, 1e12],
    ],
    ...{ memoryBytesPerSecond: 60e9, cacheBytesPerSecond: 20e9, scoreFlopsPerSecond: 5e11 },
    overheadSeconds: 2e-4,
  }),
  device: lane({
    arithmetic: [
      [1, 1e12],
      [128, 1e14],
    ],
    ...{ memoryBytesPerSecond: 1e12, cacheBytesPerSecond: 8e11, scoreFlopsPerSecond: 3e13 },
    ...{ overheadSeconds: 1e-5, latencySeconds: 5e-5 },
  }),
  interruptsDraft: true,
  variability: { disk: 0, link: 0, host: 0, device: 0 },
  laneWidth: { disk: 1, link: 1, host: 1, device: 2 },
  memory: { deviceBytes: 24e9, hostBytes: 256e9, diskBytes: 1e12 },
  formats: bf16Formats,
};

export const workstation = unflattenMachine(flatWorkstation);

/** Half of the model comes from disk in every pass. */
export const laptop = unflattenMachine({
  ...flatWorkstation,
  ...{ name: 'laptop', description: 'little memory of either kind; draft steps are not interrupted' },
  host: { ...flatWorkstation.host, secondsPerRow: 2e-7 },
  interruptsDraft: false,
  memory: { deviceBytes: 18e9, hostBytes: 48e9, diskBytes: 1e12 },
});

/** Mixtral 8x7B with fewer layers: prefill, passes and rounds as those of the whole, in a quarter of the time. */
export function mixtral(numLayers = 8): Checkpoint {
  return describeModel({ name: `mixtral-${numLayers}`, spec: shorten('mixtral-8x7b', numLayers) });
}

export function mistral(numLayers = 8): Checkpoint {
  return describeModel({ name: `mistral-${numLayers}`, spec: shorten('mistral-7b', numLayers) });
}

/** What the models need, so that as much streams as of the whole ones. */
export function shrinkMemory(machine: MachineModel, share: number): MachineModel {
  const { deviceBytes, hostBytes } = limitsOf(machine);
  return withBudgets(machine, { deviceBytes: deviceBytes * share, hostBytes: hostBytes * share });
}

export function rates(...byPosition: number[]): Acceptance {
  return { kind: 'rates', name: byPosition.join(), byPosition };
}

function shorten(name: string, numLayers: number): ModelSpec {
  return specOf({ ...summarise(catalogSpec(name)), numLayers });
}
