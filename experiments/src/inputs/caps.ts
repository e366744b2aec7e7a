/** The caps of a run: what each is called wherever people meet it, and what it does to a machine. */

import {
  type Budgets,
  type Caps,
  type ComputeLane,
  changedArithmetic,
  changedKinds,
  computeLane,
  defaultReadsInFlight,
  type KindRates,
  type MachineModel,
  type MachineSettings,
  noCaps,
  type TransferLane,
  transferLane,
  withBudgets,
  withLane,
} from '@specoffload/engine';
import { formatFlops, formatRate } from '../terminal/format.js';
import { usualDevice } from './devices.js';

interface CapWords {
  /** Its name in experiment definitions; its flag is made of it, see {@link flagOf}. */
  readonly setting: string;
  readonly unit: 'B/s' | 'FLOP/s';
  /** What the flag does. */
  readonly help: string;
  /** What a run or file with it has: `the link paced`. */
  readonly paced: string;
  /** What of a prediction depends on the rate. */
  readonly affected: string;
}

/** Every cap by its name in settings, records and files. */
export const caps = {
  linkBytesPerSecond: {
    setting: 'linkCap',
    unit: 'B/s',
    help: 'pace the link, such as 1.2GB/s',
    paced: 'the link paced',
    affected: 'all that crosses the link',
  },
  diskBytesPerSecond: {
    setting: 'diskCap',
    unit: 'B/s',
    help: 'pace the disk',
    paced: 'the disk paced',
    affected: 'all that is read from disk',
  },
  hostCacheBytesPerSecond: {
    setting: 'hostCacheCap',
    unit: 'B/s',
    help: "pace the host's attention by the KV cache that it reads",
    paced: "the host's attention paced",
    affected: "the host's attention",
  },
  linkCacheBytesPerSecond: {
    setting: 'linkCacheCap',
    unit: 'B/s',
    help: 'pace KV cache on its way to the device',
    paced: 'KV cache on the link paced',
    affected: 'KV cache that crosses the link',
  },
  hostFlopsPerSecond: {
    setting: 'hostArithmeticCap',
    unit: 'FLOP/s',
    help: 'pace the experts that the host computes, such as 300MFLOP/s',
    paced: "the host's arithmetic paced",
    affected: 'all that the host multiplies',
  },
  hostWeightBytesPerSecond: {
    setting: 'hostWeightsCap',
    unit: 'B/s',
    help: 'pace them by the weights that they read, as fp32',
    paced: "the host's reading of weights paced",
    affected: 'all that the host multiplies',
  },
  draftFlopsPerSecond: {
    setting: 'draftArithmeticCap',
    unit: 'FLOP/s',
    help: 'pace a draft model by its arithmetic on the device',
    paced: 'the draft paced',
    affected: 'all that the draft proposes',
  },
} as const satisfies Readonly<Record<keyof Caps, CapWords>>;

export type CapSetting = (typeof caps)[keyof Caps]['setting'];

export const capNames = Object.keys(caps) as readonly (keyof Caps)[];

/** `--link-cap` of `linkCap`. */
export function flagOf(setting: string): string {
  return `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `1.20 GB/s` or `300 MFLOP/s`. */
export function formatCap(name: keyof Caps, rate: number): string {
  return caps[name].unit === 'FLOP/s' ? formatFlops(rate) : formatRate(rate);
}

/** Reads what people write: where a rate is left out, the lane is not paced. */
export function readCaps<Rate>(
  given: Partial<Readonly<Record<CapSetting, Rate>>>,
  read: (setting: CapSetting, unit: CapWords['unit'], rate: Rate) => number,
): Caps {
  return Object.fromEntries(
    capNames.map((name) => {
      const { setting, unit } = caps[name];
      const rate = given[setting];
      return [name, rate === undefined ? null : read(setting, unit, rate)];
    }),
  ) as unknown as Caps;
}

/** Caps that pace something, as people write them. */
export function writeCaps<Rate>(
  given: Caps,
  write: (rate: number, unit: CapWords['unit']) => Rate,
): Partial<Record<CapSetting, Rate>> {
  return Object.fromEntries(
    Object.entries(setCaps(given)).map(([name, rate]) => {
      const { setting, unit } = caps[name as keyof Caps];
      return [setting, write(rate, unit)];
    }),
  );
}

/** The caps that are set, as machine files hold them. */
export function setCaps(given: Caps): Partial<Record<keyof Caps, number>> {
  return Object.fromEntries(Object.entries(given).filter(([, rate]) => rate !== null));
}

/** As records hold them: the first two always, later ones where they pace something, so that older keys stay valid. */
export function recordedCaps(given: Caps) {
  const { linkBytesPerSecond, diskBytesPerSecond } = given;
  return { linkBytesPerSecond, diskBytesPerSecond, ...setCaps(given) };
}

/** The machine with its lanes paced. Whatever crosses the link keeps within the link's cap. */
export function capMachine(machine: MachineModel, given: Caps): MachineModel {
  const disk = transferLane(machine, 'disk');
  const link = transferLane(machine, 'link');
  const { kinds, prefill, ...host } = computeLane(machine, 'host');
  const device = computeLane(machine, 'device');
  const onLink = (rate: number) => slower(rate, given.linkBytesPerSecond);
  const onHost = <Rates extends KindRates>(rates: Rates): Rates => ({
    ...rates,
    ...(rates.cacheBytesPerSecond === undefined
      ? {}
      : { cacheBytesPerSecond: slower(rates.cacheBytesPerSecond, given.hostCacheBytesPerSecond) }),
    ...(rates.memoryBytesPerSecond === undefined
      ? {}
      : { memoryBytesPerSecond: slower(rates.memoryBytesPerSecond, given.hostWeightBytesPerSecond) }),
    ...(rates.arithmetic === undefined
      ? {}
      : { arithmetic: slowed(rates.arithmetic, given.hostFlopsPerSecond) }),
  });
  const {
    bytesPerSecond,
    pageableBytesPerSecond = bytesPerSecond,
    cacheBytesPerSecond = bytesPerSecond,
  } = link;
  const capped: (readonly [string, Partial<TransferLane> | Partial<ComputeLane>])[] = [
    ['disk', { bytesPerSecond: slower(disk.bytesPerSecond, given.diskBytesPerSecond) }],
    [
      'link',
      {
        bytesPerSecond: onLink(bytesPerSecond),
        pageableBytesPerSecond: onLink(pageableBytesPerSecond),
        cacheBytesPerSecond: slower(onLink(cacheBytesPerSecond), given.linkCacheBytesPerSecond),
      },
    ],
    [
      'host',
      {
        ...onHost(host),
        ...changedKinds({ kinds, prefill }, onHost),
      },
    ],
  ];
  const { draftFlopsPerSecond } = given;
  if (draftFlopsPerSecond)
    capped.push([
      'device',
      changedArithmetic(device, 'draft', (arithmetic) => slowed(arithmetic, draftFlopsPerSecond)),
    ]);
  return capped.reduce((capped, [lane, changes]) => withLane(capped, lane, changes), machine);
}

/** What a run on the machine has; where it says nothing of cores, prompts are read on as many as usual. */
export type RunLimits = Budgets & { readonly caps: Caps } & Pick<LocalSettings, 'prefillCores'>;

/** The machine with the budgets, caps and cores that a run has. */
export function withLimits(machine: MachineModel, settings: RunLimits): MachineModel {
  const { deviceBytes, hostBytes } = settings;
  const readsOnSome = 'prefillCores' in settings && settings.prefillCores !== usualPrefillCores;
  return withBudgets(capMachine(readsOnSome ? withoutPrefill(machine) : machine, settings.caps), {
    ...{ deviceBytes, hostBytes },
    ...namedFactors(settings),
  });
}

/**
 * What was measured while prompts were read on all cores says nothing of a run that reads them on some; what was measured
 * later is nearest.
 */
function withoutPrefill(machine: MachineModel): MachineModel {
  const lanes = machine.lanes.map((lane) => {
    if ('moves' in lane) return lane;
    const { prefill: _prefill, ...others } = lane;
    return others;
  });
  return { ...machine, lanes };
}

/** Everything that a run on this machine is given. */
export type LocalSettings = Required<Omit<MachineSettings, 'prefillCores'>> & {
  /** Left out: as many as otherwise. */
  readonly prefillCores?: MachineSettings['prefillCores'];
  readonly caps: Caps;
  /** Kind of device that computes the device lane, see {@link parseDevice}. */
  readonly device: string;
  /** What its products are computed in; left out: fp32. */
  readonly arithmetic?: 'bf16' | undefined;
};

/** Prompts are read on all cores, unless somebody says otherwise. */
export const usualPrefillCores = 'idle';

/** What a run on this machine takes where nobody says otherwise: one core a lane, all for prompts, and nothing paced. */
export function localSettings(given: MachineSettings & { readonly device?: string }): LocalSettings {
  return {
    ...{
      device: usualDevice,
      deviceCores: 1,
      hostCores: 1,
      readsInFlight: defaultReadsInFlight,
      native: 'auto',
    },
    ...{ deviceCacheFactor: 1, draftCacheFactor: 1 },
    prefillCores: usualPrefillCores,
    ...given,
    caps: { ...noCaps, ...given.caps },
  };
}

/** No budget has room for a KV cache whose bytes count as more than this. */
export const mostCacheFactor = 1e6;

/** What a byte of KV cache in device memory counts as, left out where it is 1, as in records of earlier versions. */
export function namedFactors({ deviceCacheFactor = 1, draftCacheFactor = 1 }: Budgets): Partial<Budgets> {
  return {
    ...(deviceCacheFactor === 1 ? {} : { deviceCacheFactor }),
    ...(draftCacheFactor === 1 ? {} : { draftCacheFactor }),
  };
}

/** Where somebody said so. */
export function namedPrefillCores({
  prefillCores = usualPrefillCores,
}: Pick<LocalSettings, 'prefillCores'>): {
  readonly prefillCores?: number;
} {
  return prefillCores === usualPrefillCores ? {} : { prefillCores };
}

function slowed(arithmetic: ComputeLane['arithmetic'], cap: number | null): ComputeLane['arithmetic'] {
  return arithmetic.map(([rows, rate]) => [rows, slower(rate, cap)]);
}

function slower(rate: number, cap: number | null): number {
  return Math.min(rate, cap ?? rate);
}
