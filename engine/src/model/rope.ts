/** Rotary position tables, rounded to fp32 where Hugging Face rounds. Source: transformers `modeling_rope_utils.py`. */

import type { AttentionSpec, Llama3RopeScaling } from './spec.js';

export interface RopeTables {
  readonly cos: Float32Array; // (position, headDim / 2)
  readonly sin: Float32Array; // (position, headDim / 2)
}

/** cos and sin of position * inverse frequency; the rotate-half convention pairs channel i with i + headDim / 2. */
export function createRopeTables(
  attention: Pick<AttentionSpec, 'headDim' | 'rope'>,
  numPositions: number,
): RopeTables {
  const frequencies = inverseFrequencies(attention); // (headDim / 2)
  const half = frequencies.length;
  const cos = new Float32Array(numPositions * half);
  const sin = new Float32Array(numPositions * half);
  for (let position = 0; position < numPositions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = Math.cos(angle);
      sin[position * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** theta^(-2i / headDim), (headDim / 2), each step rounded to fp32, then scaled as the configuration asks. */
export function inverseFrequencies({ headDim, rope }: Pick<AttentionSpec, 'headDim' | 'rope'>): Float32Array {
  const { theta, scaling } = rope;
  if (scaling && scaling.type !== 'llama3')
    throw new Error(`RoPE scaling ${scaling.type} is not implemented`);
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const exponent = Math.fround((2 * i) / headDim);
    const frequency = Math.fround(1 / Math.fround(theta ** exponent));
    return scaling === null ? frequency : scaleLlama3(frequency, scaling);
  });
}

/**
 * Llama 3: long wavelengths are stretched by `factor`, short ones kept, those between blended. Source:
 * `_compute_llama3_parameters`.
 */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const f = Math.fround;
  const wavelength = f((2 * Math.PI) / frequency);
  if (wavelength > originalMaxPositions / lowFreqFactor) return f(frequency / factor);
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const smooth = f(
    f(f(originalMaxPositions / wavelength) - lowFreqFactor) / (highFreqFactor - lowFreqFactor),
  );
  return f(f(f(f(1 - smooth) * frequency) / factor) + f(smooth * frequency));
}
