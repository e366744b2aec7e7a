/**
 * MXFP4: 32 values of four bits (1 sign, 2 exponent, 1 mantissa) under a power of two. ggml keeps it before them, and
 * the first half of a block in the low nibbles; in safetensors scales lie apart, and a byte holds two neighbours.
 *
 * Sources: OCP Microscaling Formats 1.0; `dequantize_row_mxfp4` in ggml-quants.c; `convert_moe_packed_tensors` in
 * transformers 5, `integrations/mxfp4.py`.
 */

import { blockCodec, type Codec } from './codec.js';

/** Twice the values, as ggml has them; a negative zero is none. */
const doubled = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

export const mxfp4 = blockCodec(32, 17, (stored, at, values, to) => {
  const scale = 2 ** (stored[at] - 128); // half of it, since the values are doubled
  for (let i = 0; i < 16; i += 1) {
    const pair = stored[at + 1 + i];
    values[to + i] = scale * doubled[pair & 15];
    values[to + 16 + i] = scale * doubled[pair >> 4];
  }
});

const single = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

export const mxfp4_split: Codec = {
  ...blockCodec(2, 1, (stored, at, values, to) => {
    values[to] = single[stored[at] & 15];
    values[to + 1] = single[stored[at] >> 4];
  }),
  scales: { dtype: 'e8m0', rows: 1, columns: 32 },
};
