// Rows of x become tiles, and what of packed weights is rare.
#include "operands.h"

#include "../kernels/transpose.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

bool isOfBf16(const Codec& codec) {
  return std::strcmp(codec.name, "bf16") == 0 || std::strcmp(codec.name, "bf16_packed") == 0;
}

StoredRows storedRowsOf(const ProductCall& call) {
  return {call.weights, call.paired, call.step, call.codec->bytes(call.depth), call.codec->blockElements > 1};
}

void putExceptions(const uint8_t* block, uint8_t* first, uint8_t* second) {
  packed::eachException(block, [&](size_t at, uint16_t value) {
    std::memcpy(((at & 8) == 0 ? first : second) + sizeof value * (at / 16 * 8 + at % 8), &value, sizeof value);
  });
}

void layRows(const float* x, size_t depth, size_t numRows, const Stretch& stretch, uint8_t* tiles) {
  constexpr size_t quarter = spanDepth / 4;
  for (size_t k = stretch.first; k < stretch.end; k += spanDepth, tiles += spanBytesOfX)
    for (size_t q = 0; q < 4; ++q) {
      const size_t at = k + q * quarter;
      const size_t count = at >= stretch.end ? 0 : std::min(quarter, stretch.end - at);
      const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1u);
      IntVec columns[lanes];
#pragma GCC unroll 16
      for (size_t row = 0; row < tileSide; ++row)
        columns[row] = row < numRows ? (IntVec)_mm512_maskz_loadu_ps(mask, x + row * depth + at) : IntVec{};
      transpose(columns);
      layColumns(columns, q, tiles);
    }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
