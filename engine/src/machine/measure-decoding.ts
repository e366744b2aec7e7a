/** How fast one core decodes stored weights, in blocks that stay in its cache, as the link and the kernels ask for them. */

import { codecs, f32, loadNativeCore, type WeightDtype } from '@specoffload/native';

const numValues = 2 ** 16;

/** Weights per second; the best of so many times. */
export function measureDecoding(dtype: WeightDtype, numRounds = 200): number {
  const core = loadNativeCore();
  const bytes = codecs[dtype].bytes(numValues);
  const [source, target] = [core.createArena(bytes), core.createArena(f32.bytes(numValues))];
  try {
    new Uint8Array(source.buffer).set(sampleWeights(dtype, bytes));
    let leastSeconds = Number.POSITIVE_INFINITY;
    for (let round = 0; round < numRounds; round += 1) {
      const start = performance.now();
      core.widen(source, 0, dtype, numValues, target, 0);
      leastSeconds = Math.min(leastSeconds, (performance.now() - start) / 1000);
    }
    return numValues / leastSeconds;
  } finally {
    source.release();
    target.release();
  }
}

/** Any weights, but no scale that is not a number and none so small that arithmetic turns slow, nor such exponents. */
export function sampleWeights(dtype: WeightDtype, byteLength: number): Uint8Array {
  if (dtype !== 'bf16_packed') return anyBytes(byteLength);
  const [values, packed] = [
    anyBytes(codecs.bf16.bytes(codecs[dtype].count(byteLength))),
    new Uint8Array(byteLength),
  ];
  for (let i = 1; i < values.length; i += 2) values[i] = 0x3c;
  loadNativeCore().packBf16(values, packed);
  return packed;
}

function anyBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i += 1) bytes[i] = 0x20 + ((i * 37) & 0x1f);
  return bytes;
}
