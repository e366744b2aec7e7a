// Words of small numbers in matrices that are stored transposed, as GPTQ and AutoAWQ do: a few rows at a time, so that
// what is read and what is written stay in the cache.
#include <algorithm>
#include <cstring>

#include "codecs.h"
#include "../widen.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

uint32_t wordAt(const uint8_t* values, size_t index) {
  uint32_t word;
  std::memcpy(&word, values + 4 * index, sizeof word);
  return word;
}

/** Words of as many neighbouring columns as they hold numbers of `bits`. */
template <unsigned bits>
void decodeWordsAlong(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns, float* target) {
  constexpr size_t each = 32 / bits;
  constexpr uint32_t mask = (1u << bits) - 1;
  constexpr size_t lineRows = 16;  // of one cache line
  for (size_t from = 0; from < rows; from += lineRows) {
    const size_t end = std::min(rows, from + lineRows);
    for (size_t c = 0; c < columns; c += each)
      for (size_t r = from; r < end; ++r) {
        const uint32_t word = wordAt(values, c / each * across + first + r);
        float* const out = target + r * columns + c;
        for (size_t j = 0; j < each; ++j)
          out[j] = static_cast<float>(static_cast<int>((word >> (bits * j)) & mask) - (1 << (bits - 1)));
      }
  }
}

}  // namespace

void decodeInt4Rows(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns, float* target) {
  decodeWordsAlong<4>(values, across, first, rows, columns, target);
}

void decodeInt8PackedRows(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns,
                          float* target) {
  decodeWordsAlong<8>(values, across, first, rows, columns, target);
}

void decodeInt4AwqRows(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns, float* target) {
  constexpr size_t stretch = 64;
  uint32_t words[stretch];
  for (size_t from = 0; from < columns; from += stretch) {
    const size_t count = std::min(stretch, columns - from);
    for (size_t r = 0; r < rows; r += 8) {
      for (size_t c = 0; c < count; ++c) words[c] = wordAt(values, ((from + c) * across + first + r) / 8);
      for (size_t j = 0; j < 8; ++j) {
        const unsigned shift = 4u * awqNibbles[j];
        float* const out = target + (r + j) * columns + from;
        for (size_t c = 0; c < count; ++c) out[c] = static_cast<float>(static_cast<int>((words[c] >> shift) & 15) - 8);
      }
    }
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
