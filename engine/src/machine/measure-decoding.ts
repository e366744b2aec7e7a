/** How fast one core decodes stored weights, in blocks that stay in its cache, as the link and the kernels ask for them. */

import { codecs, f32, loadNativeCore, type NativeCore, type WeightDtype } from '@specoffload/native';

const numValues = 2 ** 16;

/** Weights per second; the best of so many times. */
export function measureDecoding(dtype: WeightDtype, numRounds = 200): number {
  const core = loadNativeCore();
  const bytes = codecs[dtype].bytes(numValues);
  const [source, target] = [core.createArena(bytes), core.createArena(f32.bytes(numValues))];
  try {
    new Uint8Array(source.buffer).set(sampleOf(dtype, bytes, core));
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

/** Any bytes, but no scale that is not a number and none so small that arithmetic turns slow, nor exponents too far apart. */
function sampleOf(dtype: WeightDtype, byteLength: number, core: NativeCore): Uint8Array {
  const any = (length: number) => Uint8Array.from({ length }, (_, i) => 0x20 + ((i * 37) & 0x1f));
  if (dtype !== 'bf16_packed') return any(byteLength);
  const packed = new Uint8Array(byteLength);
  core.packBf16(
    any(codecs.bf16.bytes(numValues)).map((byte, i) => (i % 2 ? 0x3c : byte)),
    packed,
  );
  return packed;
}
