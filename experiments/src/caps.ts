/** Rates that the lanes of a run are paced to, as tunnels and records say them. */

import type { MachineModel, MachineSettings } from '@specoffload/engine';

/** null: not paced. */
export interface Caps {
  /** Of stored weights. */
  readonly linkBytesPerSecond: number | null;
  readonly diskBytesPerSecond: number | null;
  /** Of KV cache that the host's attention reads. */
  readonly hostCacheBytesPerSecond: number | null;
  /** Of KV cache on its way to the device. */
  readonly linkCacheBytesPerSecond: number | null;
}

export const noCaps: Caps = {
  linkBytesPerSecond: null,
  diskBytesPerSecond: null,
  hostCacheBytesPerSecond: null,
  linkCacheBytesPerSecond: null,
};

type CapSettings = Required<
  Pick<
    MachineSettings,
    | 'linkBytesPerSecondCap'
    | 'diskBytesPerSecondCap'
    | 'hostCacheBytesPerSecondCap'
    | 'linkCacheBytesPerSecondCap'
  >
>;

export function capsOf(settings: CapSettings): Caps {
  return {
    linkBytesPerSecond: settings.linkBytesPerSecondCap,
    diskBytesPerSecond: settings.diskBytesPerSecondCap,
    hostCacheBytesPerSecond: settings.hostCacheBytesPerSecondCap,
    linkCacheBytesPerSecond: settings.linkCacheBytesPerSecondCap,
  };
}

export function capSettingsOf(caps: Caps): CapSettings {
  return {
    linkBytesPerSecondCap: caps.linkBytesPerSecond,
    diskBytesPerSecondCap: caps.diskBytesPerSecond,
    hostCacheBytesPerSecondCap: caps.hostCacheBytesPerSecond,
    linkCacheBytesPerSecondCap: caps.linkCacheBytesPerSecond,
  };
}

/** The machine with its lanes paced. Whatever crosses the link keeps within the link's cap. */
export function capMachine(machine: MachineModel, caps: Caps): MachineModel {
  const { disk, link, host } = machine;
  const onLink = (rate: number) => slower(rate, caps.linkBytesPerSecond);
  const kinds = Object.entries(host.kinds).map(([kind, rates]) => [
    kind,
    rates.cacheBytesPerSecond === undefined
      ? rates
      : {
          ...rates,
          cacheBytesPerSecond: slower(rates.cacheBytesPerSecond, caps.hostCacheBytesPerSecond),
        },
  ]);
  return {
    ...machine,
    disk: { ...disk, bytesPerSecond: slower(disk.bytesPerSecond, caps.diskBytesPerSecond) },
    link: {
      ...link,
      bytesPerSecond: onLink(link.bytesPerSecond),
      pageableBytesPerSecond: onLink(link.pageableBytesPerSecond),
      cacheBytesPerSecond: slower(onLink(link.cacheBytesPerSecond), caps.linkCacheBytesPerSecond),
    },
    host: {
      ...host,
      cacheBytesPerSecond: slower(host.cacheBytesPerSecond, caps.hostCacheBytesPerSecond),
      kinds: Object.fromEntries(kinds),
    },
  };
}

/** The machine with the budgets and caps that a run has. */
export function withLimits(
  machine: MachineModel,
  settings: CapSettings & Pick<MachineSettings, 'deviceBytes' | 'hostBytes'>,
): MachineModel {
  const { deviceBytes, hostBytes } = settings;
  return {
    ...capMachine(machine, capsOf(settings)),
    memory: { ...machine.memory, deviceBytes, hostBytes },
  };
}

function slower(rate: number, cap: number | null): number {
  return Math.min(rate, cap ?? rate);
}
