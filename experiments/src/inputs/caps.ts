/** Rates that the lanes of a run are paced to, as tunnels and records say them. */

import {
  type Budgets,
  type ComputeLane,
  computeLane,
  defaultReadsInFlight,
  type KindRates,
  type MachineModel,
  type MachineSettings,
  type TransferLane,
  transferLane,
  withBudgets,
  withLane,
} from '@specoffload/engine';

/** null: not paced. */
export interface Caps {
  /** Of stored weights. */
  readonly linkBytesPerSecond: number | null;
  readonly diskBytesPerSecond: number | null;
  /** Of KV cache that the host's attention reads. */
  readonly hostCacheBytesPerSecond: number | null;
  /** Of KV cache on its way to the device. */
  readonly linkCacheBytesPerSecond: number | null;
  /** Of the experts that the host computes. */
  readonly hostFlopsPerSecond: number | null;
  /** Of the weights that they read, as wide as they compute with them. */
  readonly hostWeightBytesPerSecond: number | null;
}

export const noCaps: Caps = {
  linkBytesPerSecond: null,
  diskBytesPerSecond: null,
  hostCacheBytesPerSecond: null,
  linkCacheBytesPerSecond: null,
  hostFlopsPerSecond: null,
  hostWeightBytesPerSecond: null,
};

type CapSettings = Required<
  Pick<
    MachineSettings,
    | 'linkBytesPerSecondCap'
    | 'diskBytesPerSecondCap'
    | 'hostCacheBytesPerSecondCap'
    | 'linkCacheBytesPerSecondCap'
    | 'hostFlopsPerSecondCap'
    | 'hostWeightBytesPerSecondCap'
  >
>;

export function capsOf(settings: CapSettings): Caps {
  return {
    linkBytesPerSecond: settings.linkBytesPerSecondCap,
    diskBytesPerSecond: settings.diskBytesPerSecondCap,
    hostCacheBytesPerSecond: settings.hostCacheBytesPerSecondCap,
    linkCacheBytesPerSecond: settings.linkCacheBytesPerSecondCap,
    hostFlopsPerSecond: settings.hostFlopsPerSecondCap,
    hostWeightBytesPerSecond: settings.hostWeightBytesPerSecondCap,
  };
}

export function capSettingsOf(caps: Caps): CapSettings {
  return {
    linkBytesPerSecondCap: caps.linkBytesPerSecond,
    diskBytesPerSecondCap: caps.diskBytesPerSecond,
    hostCacheBytesPerSecondCap: caps.hostCacheBytesPerSecond,
    linkCacheBytesPerSecondCap: caps.linkCacheBytesPerSecond,
    hostFlopsPerSecondCap: caps.hostFlopsPerSecond,
    hostWeightBytesPerSecondCap: caps.hostWeightBytesPerSecond,
  };
}

/** The machine with its lanes paced. Whatever crosses the link keeps within the link's cap. */
export function capMachine(machine: MachineModel, caps: Caps): MachineModel {
  const disk = transferLane(machine, 'disk');
  const link = transferLane(machine, 'link');
  const { kinds, ...host } = computeLane(machine, 'host');
  const onLink = (rate: number) => slower(rate, caps.linkBytesPerSecond);
  const onHost = <Rates extends KindRates>(rates: Rates): Rates => ({
    ...rates,
    ...(rates.cacheBytesPerSecond === undefined
      ? {}
      : { cacheBytesPerSecond: slower(rates.cacheBytesPerSecond, caps.hostCacheBytesPerSecond) }),
    ...(rates.memoryBytesPerSecond === undefined
      ? {}
      : { memoryBytesPerSecond: slower(rates.memoryBytesPerSecond, caps.hostWeightBytesPerSecond) }),
    ...(rates.arithmetic === undefined
      ? {}
      : {
          arithmetic: rates.arithmetic.map(([rows, rate]) => [rows, slower(rate, caps.hostFlopsPerSecond)]),
        }),
  });
  const {
    bytesPerSecond,
    pageableBytesPerSecond = bytesPerSecond,
    cacheBytesPerSecond = bytesPerSecond,
  } = link;
  const capped: readonly (readonly [string, Partial<TransferLane> | Partial<ComputeLane>])[] = [
    ['disk', { bytesPerSecond: slower(disk.bytesPerSecond, caps.diskBytesPerSecond) }],
    [
      'link',
      {
        bytesPerSecond: onLink(bytesPerSecond),
        pageableBytesPerSecond: onLink(pageableBytesPerSecond),
        cacheBytesPerSecond: slower(onLink(cacheBytesPerSecond), caps.linkCacheBytesPerSecond),
      },
    ],
    [
      'host',
      {
        ...onHost(host),
        kinds: Object.fromEntries(Object.entries(kinds).map(([kind, rates]) => [kind, onHost(rates)])),
      },
    ],
  ];
  return capped.reduce((slowed, [lane, changes]) => withLane(slowed, lane, changes), machine);
}

/** The machine with the budgets and caps that a run has. */
export function withLimits(machine: MachineModel, settings: CapSettings & Budgets): MachineModel {
  const { deviceBytes, hostBytes } = settings;
  return withBudgets(capMachine(machine, capsOf(settings)), {
    ...{ deviceBytes, hostBytes },
    ...namedFactors(settings),
  });
}

/** What a run on this machine takes where nobody says otherwise: one core a lane, and nothing paced. */
export function localSettings(given: MachineSettings): Required<MachineSettings> {
  return {
    ...{ deviceCores: 1, hostCores: 1, readsInFlight: defaultReadsInFlight, native: 'auto' },
    ...{ ...capSettingsOf(noCaps), deviceCacheFactor: 1, draftCacheFactor: 1 },
    ...given,
  };
}

/** Whatever a budget is, a cache that counts as more than this has no room in it. */
export const mostCacheFactor = 1e6;

/** What a byte of KV cache in device memory counts as, named where it is more than one: else nobody need know. */
export function namedFactors({ deviceCacheFactor = 1, draftCacheFactor = 1 }: Budgets): Partial<Budgets> {
  return {
    ...(deviceCacheFactor === 1 ? {} : { deviceCacheFactor }),
    ...(draftCacheFactor === 1 ? {} : { draftCacheFactor }),
  };
}

function slower(rate: number, cap: number | null): number {
  return Math.min(rate, cap ?? rate);
}
