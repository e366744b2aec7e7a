/** The whole twin: what the addon does, in TypeScript alone. */

import {
  checkArenaByteLength,
  checkAttention,
  checkCores,
  checkDecodeMatrix,
  checkFeedForward,
  checkGating,
  checkKernelLevel,
  checkNorm,
  checkOptions,
  checkPacking,
  checkProduct,
  checkWiden,
} from '../checks.js';
import { packBf16, unpackBf16 } from '../codecs/bf16-packed.js';
import { type Codec, codecs } from '../codecs/index.js';
import { decodeMatrix } from '../codecs/matrix.js';
import type { Arena, NativeCore } from '../types.js';
import { createTwinArena, openTwinArena } from './arena.js';
import { attend } from './attention.js';
import { probeTwin, twinLevel } from './probe.js';
import { activate, multiply, normalise } from './product.js';
import { TwinStreamer } from './streamer.js';

export function createTwin(): NativeCore {
  return {
    kind: 'twin',
    createArena(byteLength): Arena {
      checkArenaByteLength(byteLength);
      return createTwinArena(byteLength);
    },
    openArena: openTwinArena,
    createStreamer: (options = {}) => new TwinStreamer(checkOptions(options)),
    widen(source, sourceOffset, dtype, count, target, targetOffset): void {
      checkWiden(source, sourceOffset, dtype, count, target, targetOffset);
      const codec: Codec = codecs[dtype];
      codec.decode(
        new Uint8Array(source.buffer, sourceOffset, codec.bytes(count)),
        new Uint32Array(target.buffer, targetOffset, count),
      );
    },
    decodeMatrix(source, valuesOffset, dtype, layout, target, targetOffset): void {
      checkDecodeMatrix(source, valuesOffset, dtype, layout, target, targetOffset);
      const bits = new Uint32Array(target.buffer, targetOffset, layout.rows * layout.columns);
      decodeMatrix(new Uint8Array(source.buffer), valuesOffset, dtype, layout, bits);
    },
    packBf16(values, packed): boolean {
      checkPacking(values, packed);
      return packBf16(values, packed);
    },
    unpackBf16(packed, values): void {
      checkPacking(values, packed);
      unpackBf16(packed, values);
    },
    attend(call): void {
      checkAttention(call);
      attend(call);
    },
    multiply(call): void {
      checkProduct(call);
      multiply(call);
    },
    normalise(call): void {
      checkNorm(call);
      normalise(call);
    },
    activate(call): void {
      checkGating(call);
      activate(call);
    },
    feedForward(call): boolean {
      checkFeedForward(call);
      return false;
    },
    pinThread(cores): boolean {
      checkCores(cores);
      return false;
    },
    setVariable(name, value): void {
      process.env[name] = value;
    },
    useKernels: (level) => checkKernelLevel(level, [twinLevel]),
    probe: probeTwin,
  };
}
