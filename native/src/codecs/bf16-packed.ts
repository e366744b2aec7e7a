/**
 * bf16 without loss in 0.78 of its bytes: weights of a layer have few exponents, and 15 neighbouring ones cover all but
 * some hundred-thousandths of them.
 *
 * A block is 64 values in 100 bytes. Byte 0 is its highest exponent, `top`. Bytes 1 to 3 are a little-endian number with
 * two exceptions of 12 bits: six for the position, six for d, which means exponent top - 15 - d (63: none). Bytes 4 to 35
 * are codes of four bits, value i in the low nibble of byte i, value i + 32 in the high one: exponent top - code, or 15
 * for exponent 0 (zeros and subnormals). Bytes 36 to 99 are sign and mantissa of each value. What would be an exponent
 * below 0 wraps modulo 256.
 */

import { bitsOfBf16 } from './bf16.js';
import { blockSizes, type Codec, halvesOf } from './codec.js';

const blockElements = 64;
const blockBytes = 100;
const half = blockElements / 2;

const codesAt = 4;
const magnitudesAt = 36;

/** The code of exponent 0, and how many exponents from the highest down have one of their own. */
const zeroCode = 15;
/** An exception's d where there is none. */
const noException = 63;

export const bf16_packed: Codec = {
  ...blockSizes(blockElements, blockBytes),
  decode(stored, bits) {
    for (let block = 0; block * blockElements < bits.length; block += 1)
      decodeBlock(stored, block * blockBytes, bits, block * blockElements);
  },
};

function decodeBlock(stored: Uint8Array, at: number, bits: Uint32Array, to: number): void {
  const top = stored[at];
  const put = (i: number, exponent: number) => {
    const magnitude = stored[at + magnitudesAt + i];
    bits[to + i] = bitsOfBf16(((magnitude & 0x80) << 8) | ((exponent & 255) << 7) | (magnitude & 0x7f));
  };
  for (let i = 0; i < half; i += 1) {
    const pair = stored[at + codesAt + i];
    put(i, exponentOf(top, pair & 15));
    put(i + half, exponentOf(top, pair >> 4));
  }
  const exceptions = stored[at + 1] | (stored[at + 2] << 8) | (stored[at + 3] << 16);
  for (const exception of [exceptions & 0xfff, exceptions >> 12])
    if (exception >> 6 !== noException) put(exception & 63, top - zeroCode - (exception >> 6));
}

function exponentOf(top: number, code: number): number {
  return code === zeroCode ? 0 : top - code;
}

/** As `NativeCore.packBf16`. */
export function packBf16(values: Uint8Array, packed: Uint8Array): boolean {
  const halves = halvesOf(values);
  for (let from = 0, at = 0; from < halves.length; from += blockElements, at += blockBytes)
    if (!packBlock(halves, from, packed, at)) return false;
  return true;
}

/** As `NativeCore.unpackBf16`. */
export function unpackBf16(packed: Uint8Array, values: Uint8Array): void {
  const bits = new Uint32Array(values.length / 2);
  bf16_packed.decode(packed, bits);
  for (let i = 0; i < bits.length; i += 1) values.set([(bits[i] >> 16) & 255, bits[i] >>> 24], 2 * i);
}

/** Mutates `packed`. False where the block does not fit. */
function packBlock(halves: Uint16Array, from: number, packed: Uint8Array, at: number): boolean {
  let top = 0;
  for (let i = from; i < from + blockElements; i += 1) top = Math.max(top, (halves[i] >> 7) & 255);
  let exceptions = 0;
  let numExceptions = 0;
  const codeOf = (i: number) => {
    const value = halves[from + i];
    packed[at + magnitudesAt + i] = ((value >> 8) & 0x80) | (value & 0x7f);
    const exponent = (value >> 7) & 255;
    if (exponent === 0) return zeroCode;
    if (top - exponent < zeroCode) return top - exponent;
    const beyond = top - zeroCode - exponent;
    if (beyond >= noException) numExceptions = Number.POSITIVE_INFINITY;
    else exceptions |= (i | (beyond << 6)) << (12 * numExceptions);
    numExceptions += 1;
    return 0;
  };
  for (let i = 0; i < half; i += 1) packed[at + codesAt + i] = codeOf(i) | (codeOf(i + half) << 4);
  if (numExceptions > 2) return false;
  for (let unused = numExceptions; unused < 2; unused += 1) exceptions |= (noException << 6) << (12 * unused);
  packed.set([top, exceptions & 255, (exceptions >> 8) & 255, (exceptions >> 16) & 255], at);
  return true;
}
