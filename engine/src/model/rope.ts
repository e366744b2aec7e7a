/** Rotary position tables, rounded to fp32 where Hugging Face rounds. Source: transformers 5.18, `modeling_rope_utils.py`. */

import type { AttentionSpec, Llama3RopeScaling, ModelSpec, RopeSpec, YarnRopeScaling } from './spec.js';

export interface RopeTables {
  readonly cos: Float32Array; // (position, headDim / 2)
  readonly sin: Float32Array; // (position, headDim / 2)
}

type Rotated = Pick<AttentionSpec, 'headDim' | 'rope'>;

/**
 * cos and sin of position * inverse frequency; the rotate-half convention pairs channel i with i + headDim / 2.
 * @param numPositions tokens of the longest text, which decides about frequencies that depend on it
 */
export function createRopeTables(attention: Rotated, numPositions: number): RopeTables {
  const frequencies = inverseFrequencies(attention, numPositions); // (headDim / 2)
  const factor = attentionFactorOf(attention.rope);
  const half = frequencies.length;
  const cos = new Float32Array(numPositions * half);
  const sin = new Float32Array(numPositions * half);
  for (let position = 0; position < numPositions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = Math.fround(Math.cos(angle)) * factor;
      sin[position * half + i] = Math.fround(Math.sin(angle)) * factor;
    }
  }
  return { cos, sin };
}

/** Whether a text has the same rotations in tables of either length, so that its keys can be kept from one to the other. */
export function rotatesAlike({ layers }: ModelSpec, onePositions: number, otherPositions: number): boolean {
  return layers.every(({ attention }) => {
    const other = inverseFrequencies(attention, otherPositions);
    return inverseFrequencies(attention, onePositions).every((value, index) => value === other[index]);
  });
}

/** What cos and sin are multiplied with. */
function attentionFactorOf({ scaling }: RopeSpec): number {
  return scaling?.type === 'yarn' || scaling?.type === 'longrope' ? Math.fround(scaling.attentionFactor) : 1;
}

const f = Math.fround;

/** theta^(-2i / headDim), (headDim / 2), each step rounded to fp32, and scaled as the configuration asks. */
export function inverseFrequencies({ headDim, rope }: Rotated, numPositions: number): Float32Array {
  const { theta, scaling } = rope;
  const exponents = Array.from({ length: headDim / 2 }, (_, i) => f((2 * i) / headDim));
  const plain = (base: number) => Float32Array.from(exponents, (exponent) => 1 / f(base ** exponent));
  switch (scaling?.type) {
    case undefined:
      return plain(theta);
    case 'linear':
      return plain(theta).map((frequency) => frequency / f(scaling.factor));
    case 'llama3':
      return plain(theta).map((frequency) => scaleLlama3(frequency, scaling));
    case 'dynamic': {
      const { factor, originalMaxPositions } = scaling;
      const stretch = (factor * Math.max(numPositions, originalMaxPositions)) / originalMaxPositions;
      return plain(theta * (stretch - (factor - 1)) ** (headDim / (headDim - 2)));
    }
    case 'yarn':
      return scaleYarn(
        exponents.map((exponent) => f(theta ** exponent)),
        theta,
        scaling,
      );
    case 'longrope': {
      const isLong = numPositions > scaling.originalMaxPositions;
      const factors = isLong ? scaling.longFactors : scaling.shortFactors;
      return Float32Array.from(exponents, (exponent, i) => 1 / f(f(factors[i]) * f(theta ** exponent)));
    }
  }
}

/**
 * Llama 3: long wavelengths are stretched by `factor`, short ones kept, those between blended. Source:
 * `_compute_llama3_parameters`.
 */
function scaleLlama3(frequency: number, scaling: Llama3RopeScaling): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = f((2 * Math.PI) / frequency);
  if (wavelength > originalMaxPositions / lowFreqFactor) return f(frequency / factor);
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const smooth = f(
    f(f(originalMaxPositions / wavelength) - lowFreqFactor) / (highFreqFactor - lowFreqFactor),
  );
  return f(f(f(f(1 - smooth) * frequency) / factor) + f(smooth * frequency));
}

/**
 * YaRN: channels that turn often within the original length keep their frequency, those that hardly turn are stretched by
 * `factor`, those between blended. Source: `_compute_yarn_parameters`.
 * @param periods theta^(2i / headDim), (headDim / 2)
 */
function scaleYarn(periods: readonly number[], theta: number, scaling: YarnRopeScaling): Float32Array {
  const { factor, betaFast, betaSlow, originalMaxPositions, truncate } = scaling;
  const headDim = 2 * periods.length;
  const channelTurning = (turns: number) =>
    (headDim * Math.log(originalMaxPositions / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const [first, last] = [channelTurning(betaFast), channelTurning(betaSlow)];
  const low = Math.max(0, truncate ? Math.floor(first) : first);
  const end = Math.min(headDim - 1, truncate ? Math.ceil(last) : last);
  const high = low === end ? end + 0.001 : end;
  return Float32Array.from(periods, (period, i) => {
    const ramp = f(f(i - f(low)) / f(high - low));
    const kept = f(1 - Math.min(1, Math.max(0, ramp)));
    return f(f(1 / f(factor * period)) * f(1 - kept)) + f(f(1 / period) * kept);
  });
}
