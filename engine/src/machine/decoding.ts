/** What of a model's weights has to be decoded before it is multiplied, and on which lane: see `decoding` of a machine's rates. */

import { codecs, plainCodecs, type WeightDtype } from '@specoffload/native';
import type { Checkpoint, TensorRef, WeightGroup } from '../model/types.js';
import type { TaskKind } from '../topology/topology.js';
import { crossbarMemory } from './crossbars.js';
import { dtypeOnDevice, type Formats } from './formats.js';
import type { ComputeLane } from './machine-model.js';

/** Of the largest matrix of each: what the small ones are stored as hardly counts. */
export interface ModelDecoding {
  /** Of kinds of task whose products decode. */
  readonly byKind: Readonly<Partial<Record<TaskKind, WeightDtype>>>;
  /** Of what crosses the link and is decoded there. */
  readonly onLink: { readonly dtype: WeightDtype; readonly weightsPerByte: number } | null;
}

export function decodingOf({ layers, head }: Checkpoint, formats: Formats): ModelDecoding {
  const { attention, experts } = layers[layers.length - 1];
  const [projections, ffn, logits] = [attention, experts[0], head].map(largestOf);
  const atProduct = (ref: TensorRef) =>
    !isPlain(ref) && dtypeOnDevice(formats, ref) === ref.dtype ? ref.dtype : undefined;
  const [ofProjections, ofFfn, ofLogits] = [projections, ffn, logits].map(atProduct);
  const byKind = {
    ...(ofProjections && { project: ofProjections, mix: ofProjections }),
    ...(ofFfn && { expert: ofFfn, draft: ofFfn }),
    ...(ofLogits && { head: ofLogits }),
  };
  const isOnLink = !isPlain(ffn) && ofFfn === undefined;
  return {
    byKind,
    onLink: isOnLink ? { dtype: ffn.dtype, weightsPerByte: ffn.numElements / ffn.byteLength } : null,
  };
}

/** Of what a lane multiplies; 0 where that is in its other rates. */
export function decodingSecondsPerWeight(lane: LaneThatDecodes, dtype: WeightDtype | undefined): number {
  const rate = dtype && lane.decoding?.[dtype];
  if (rate) return 1 / rate;
  return dtype === 'bf16_packed' ? unpackingSeconds(lane) : 0;
}

/**
 * Rates of products were measured with bf16, and nobody's software unpacks yet: as fast as its memory would deliver what
 * comes out. A product that is bound by reading weights takes as long as with bf16 then, another one longer.
 */
function unpackingSeconds({ computesOn, memoryBytesPerSecond }: LaneThatDecodes): number {
  if (computesOn === crossbarMemory) return 0; // they hold weights their own way
  return codecs.bf16.bytes(1) / memoryBytesPerSecond;
}

type LaneThatDecodes = Pick<ComputeLane, 'computesOn' | 'decoding' | 'memoryBytesPerSecond'>;

function isPlain({ dtype }: TensorRef): boolean {
  return Object.hasOwn(plainCodecs, dtype);
}

function largestOf({ tensors }: WeightGroup): TensorRef {
  return tensors
    .map(({ ref }) => ref)
    .reduce((most, ref) => (ref.numElements > most.numElements ? ref : most));
}
