// Weights as stored, decoded where they are used. A format is a file in weights/ with two functions: one value of a
// row, and eight from a multiple of eight on, where rows begin at multiples of 16 bytes. The pipeline is made for one
// format, so that the others cost nothing; numbers are those of `weightFormats` in kernels.ts.
#include "weights/f32.glsl"
#include "weights/bf16.glsl"
#include "weights/f16.glsl"

float valueAt(uint format, uint64_t row, uint k) {
  switch (format) {
    case 1: return bf16At(row, k);
    case 2: return f16At(row, k);
    default: return f32At(row, k);
  }
}

void eightAt(uint format, uint64_t row, uint k, out vec4 low, out vec4 high) {
  switch (format) {
    case 1: bf16Eight(row, k, low, high); break;
    case 2: f16Eight(row, k, low, high); break;
    default: f32Eight(row, k, low, high);
  }
}
