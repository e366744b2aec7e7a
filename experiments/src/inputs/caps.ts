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

/** Every cap, and the setting of a definition (with hyphens the flag of a command) that asks for it. */
export const capSettings = {
  /** Of stored weights. */
  linkBytesPerSecond: 'linkCap',
  diskBytesPerSecond: 'diskCap',
  /** Of KV cache that the host's attention reads. */
  hostCacheBytesPerSecond: 'hostCacheCap',
  /** Of KV cache on its way to the device. */
  linkCacheBytesPerSecond: 'linkCacheCap',
  /** Of the experts that the host computes. */
  hostFlopsPerSecond: 'hostArithmeticCap',
  /** Of the weights that they read, as wide as they compute with them. */
  hostWeightBytesPerSecond: 'hostWeightsCap',
} as const;

export type CapName = keyof typeof capSettings;
export type CapSetting = (typeof capSettings)[CapName];

/** null: not paced. */
export type Caps = Readonly<Record<CapName, number | null>>;

export const capNames = Object.keys(capSettings) as readonly CapName[];

export function mapCaps<Value>(
  of: (name: CapName, setting: CapSetting) => Value,
): Readonly<Record<CapName, Value>> {
  return Object.fromEntries(capNames.map((name) => [name, of(name, capSettings[name])])) as Record<
    CapName,
    Value
  >;
}

export const noCaps: Caps = mapCaps(() => null);

/** As the engine has them. */
type CapFields = Readonly<Record<`${CapName}Cap`, number | null>>;

export function capsOf(settings: CapFields): Caps {
  return mapCaps((name) => settings[`${name}Cap`]);
}

export function capSettingsOf<Some extends Partial<Caps>>(caps: Some) {
  return Object.fromEntries(Object.entries(caps).map(([name, rate]) => [`${name}Cap`, rate])) as {
    readonly [Name in keyof Some & string as `${Name}Cap`]: Some[Name];
  };
}

type FirstCap = 'linkBytesPerSecond' | 'diskBytesPerSecond';

/** The first two, and of those that came later those there are: keys of runs without them stay what they were. */
export function namedCaps(
  caps: Caps,
): Pick<Caps, FirstCap> & { readonly [Name in Exclude<CapName, FirstCap>]?: number } {
  const { linkBytesPerSecond, diskBytesPerSecond, ...later } = caps;
  const named = Object.entries(later).filter(([, rate]) => rate !== null);
  return { linkBytesPerSecond, diskBytesPerSecond, ...Object.fromEntries(named) };
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
export function withLimits(machine: MachineModel, settings: CapFields & Budgets): MachineModel {
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
