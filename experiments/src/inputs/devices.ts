/** Which device computes a run here, as people name one. */

import { type ArithmeticName, type DeviceChoice, deviceKinds, nameDevice } from '@specoffload/engine';

/** What computes where nobody says otherwise. */
export const usualDevice = 'cpu';

export const deviceWords = `${[...deviceKinds, 'auto'].join(', ')} (of several GPUs, vulkan:1 is the second)`;

/**
 * The device's one name, which is part of specs and keys.
 *
 * @param kind one of the engine's device kinds, in any spelling that the engine takes
 * @throws UserError naming those that there are
 */
export function parseDevice(kind: string): string {
  return nameDevice(kind);
}

/** As the engine takes it. */
export function toDevice({
  device,
  arithmetic,
}: {
  readonly device: string;
  readonly arithmetic?: ArithmeticName | undefined;
}): DeviceChoice {
  return { kind: device, ...(arithmetic && { arithmetic }) };
}

/** Left out where it is the usual one. */
export function namedArithmetic({ arithmetic }: { readonly arithmetic?: ArithmeticName | undefined }): {
  readonly arithmetic?: 'bf16';
} {
  return arithmetic === 'bf16' ? { arithmetic } : {};
}

/** Left out where it is the usual one, as in specs and records of earlier versions. */
export function namedDevice({ device }: { readonly device: string }): { readonly device?: string } {
  return device === usualDevice ? {} : { device };
}
