/** A tensor in host memory, as stored, of which some may be wanted alone. */

import type { MatrixLayout, WeightDtype } from '@specoffload/native';
import type { DeviceAddress } from './device-weights.js';

/** A byte offset in the host pool. */
export type HostAddress = number;

export interface StoredTensor {
  /** Of its first value. */
  readonly source: HostAddress;
  readonly dtype: WeightDtype;
  readonly count: number;
  /** How its values lie from there on; missing: one behind the other. */
  readonly layout?: MatrixLayout;
  /** It is so many runs of `count` values, so many bytes from one to the next; they come to lie one behind the other. */
  readonly runs?: { readonly number: number; readonly sourceBytes: number } | undefined;
}

/** Brings of what is to be brought to `target` one run after the other, each of which takes so many bytes there. */
export function* runsOf<Brought extends StoredTensor & { readonly target: DeviceAddress }>(
  brought: Brought,
  runBytes: number,
): Generator<Brought> {
  const { number, sourceBytes } = brought.runs ?? { number: 1, sourceBytes: 0 };
  const { source, target } = brought;
  for (let run = 0; run < number; run += 1)
    yield { ...brought, source: source + run * sourceBytes, target: target + run * runBytes };
}
