/** What of a model's weights has to be decoded before it is multiplied, and on which lane: see `decoding` of a machine's rates. */

import { plainCodecs, type WeightDtype } from '@specoffload/native';
import type { Checkpoint, TensorRef, WeightGroup } from '../model/types.js';
import type { TaskKind } from '../topology/topology.js';
import { dtypeOnDevice, type Formats } from './formats.js';

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

function isPlain({ dtype }: TensorRef): boolean {
  return Object.hasOwn(plainCodecs, dtype);
}

function largestOf({ tensors }: WeightGroup): TensorRef {
  return tensors
    .map(({ ref }) => ref)
    .reduce((most, ref) => (ref.numElements > most.numElements ? ref : most));
}
