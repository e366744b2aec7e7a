/** Where a layer's weights lie in device memory. */

import type { ScaleGrid, WeightDtype, ZeroPoints } from '@specoffload/native';

/** A byte offset in the device pool. */
export type DeviceAddress = number;

/** A tensor of weights in device memory, and how it is stored there. */
export interface DeviceTensor {
  readonly address: DeviceAddress;
  /** It and its scales lie in host memory, as stored, and addresses are those there. @default false */
  readonly isInHost?: boolean | undefined;
  readonly dtype: WeightDtype;
  /** In which order its rows lie, as in `MatrixLayout`; 1 where in their own. */
  readonly paired?: number;
  /** Its rows lie so many apart, others' between them. @default 1 */
  readonly step?: number | undefined;
  /** Stored transposed, as in `MatrixLayout`. @default 0 */
  readonly across?: number | undefined;
  readonly scales?: DeviceScales | undefined;
}

/** Scales that lie apart from their values, in a tensor's own layout. */
export interface DeviceScales extends Pick<ScaleGrid, 'dtype' | 'rows' | 'columns'> {
  readonly address: DeviceAddress;
  /** From one row of them to the next. */
  readonly across: number;
  /** From one group of columns to the next. @default 1 */
  readonly groupStride?: number;
  readonly zeros?: DeviceZeros;
  /** Of the group that each column belongs to, an int32 for each, where groups are not of neighbours. */
  readonly groupOfColumn?: DeviceAddress;
}

/** Zero points, of neighbouring rows in a word; distances in words. */
export interface DeviceZeros {
  readonly codec: ZeroPoints['codec'];
  readonly address: DeviceAddress;
  readonly across: number;
  readonly groupStride: number;
  readonly isLessOne: boolean;
}

/** A layer's attention group in device memory. Shapes as in {@link TensorRole}. */
export interface AttentionWeights {
  readonly inputNorm: DeviceTensor;
  readonly q: DeviceTensor;
  readonly k: DeviceTensor;
  readonly v: DeviceTensor;
  readonly o: DeviceTensor;
  readonly postNorm: DeviceTensor;
  /** Each of these is absent where the layer has none. */
  readonly router?: DeviceTensor;
  readonly qBias?: DeviceTensor;
  readonly kBias?: DeviceTensor;
  readonly vBias?: DeviceTensor;
  readonly oBias?: DeviceTensor;
  readonly qNorm?: DeviceTensor;
  readonly kNorm?: DeviceTensor;
  readonly sinks?: DeviceTensor;
  readonly afterAttentionNorm?: DeviceTensor;
  readonly routerBias?: DeviceTensor;
  /** Of a shared expert, all four. */
  readonly sharedGate?: DeviceTensor;
  readonly sharedUp?: DeviceTensor;
  readonly sharedDown?: DeviceTensor;
  readonly sharedRouter?: DeviceTensor;
}

/** The expert of a layer that every row passes through; null where it has none. */
export function sharedExpert(weights: AttentionWeights): ExpertWeights | null {
  const { sharedGate: gate, sharedUp: up, sharedDown: down, sharedRouter: outputGate } = weights;
  return gate && up && down && outputGate ? { gate, up, down, outputGate } : null;
}

/** One expert (or the dense FFN) in device memory. */
export interface ExpertWeights {
  readonly gate: DeviceTensor;
  readonly up: DeviceTensor;
  readonly down: DeviceTensor;
  /** Each of these is absent where the layer has none. */
  readonly gateBias?: DeviceTensor;
  readonly upBias?: DeviceTensor;
  readonly downBias?: DeviceTensor;
  readonly afterFfnNorm?: DeviceTensor;
  /** (1, hidden), of a shared expert: see `FeedForwardCommand`. Such a one has none of the others. */
  readonly outputGate?: DeviceTensor;
}

export interface HeadWeights {
  readonly finalNorm: DeviceTensor;
  readonly head: DeviceTensor;
}
