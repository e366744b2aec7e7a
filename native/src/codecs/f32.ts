/** fp32, as everything here computes. */

import { bytesOf, plainCodec } from './codec.js';

export const f32 = plainCodec('F32', 4, {
  decode: (stored, bits) => bytesOf(bits).set(stored),
  encode: (values) => bytesOf(values.slice()),
});
