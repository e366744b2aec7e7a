/** The same model with its weights packed without loss, known by its sizes. */

import { describeModel } from './describe.js';
import type { Checkpoint } from './types.js';

/** Null where matrices are stored otherwise than in bf16, or not in whole blocks: nothing becomes smaller then. */
export function packedTwin({ name, spec, digest, layers, tensors, bytes }: Checkpoint): Checkpoint | null {
  for (const { dtype, shape } of tensors.values()) if (shape.length > 1 && dtype !== 'bf16') return null;
  const unit = layers[0].experts.length < spec.layers[0].ffn.numExperts ? 'ffn' : 'expert';
  const twin = describeModel({ name, spec, unit, digest, format: 'bf16_packed' });
  return twin.bytes < bytes ? { ...twin, packedFrom: digest } : null;
}
