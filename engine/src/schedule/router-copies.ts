/** Copies of routers in host memory: who foresees what a layer's rows will choose needs its router before its attention. */

import { f32 } from '@specoffload/native';
import { type Formats, isImagined } from '../machine/formats.js';
import type { PoolLayout, Region } from '../machine/pool.js';
import type { ModelSpec } from '../model/spec.js';
import type { OpenPolicy } from './policy.js';

/** A layer's, fp32. */
export interface RouterRegions {
  readonly norm: Region; // (hidden)
  readonly router: Region; // (expert, hidden)
  readonly bias: Region | null; // (expert)
}

/** By layer, null where there is nothing to foresee: in the first, and where there is one expert. */
export type RouterCopies = readonly (RouterRegions | null)[];

/** Null where nobody foresees, and where memory is only imagined. */
export function placeRouters(
  { layers, hiddenSize }: ModelSpec,
  host: PoolLayout,
  { expertPrefetch }: Pick<OpenPolicy, 'expertPrefetch'>,
  formats: Formats,
): RouterCopies | null {
  if (expertPrefetch !== 'router' || isImagined(formats)) return null;
  const place = (elements: number) => host.place('copies of routers', f32.bytes(elements));
  return layers.map(({ ffn: { numExperts, router } }, layer) =>
    layer === 0 || !router
      ? null
      : {
          ...{ norm: place(hiddenSize), router: place(numExperts * hiddenSize) },
          bias: router.biases ? place(numExperts) : null,
        },
  );
}
