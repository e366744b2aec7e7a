// Codecs by name, and matrices whose values do not simply lie one row behind the other.
#include <algorithm>
#include <cstring>

#include "halves.h"
#include "kernels.h"
#include "widen.h"

namespace specoffload {

namespace {

struct ScaleReader {
  const char* name;
  size_t bytes;
  float (*read)(const uint8_t* scales, size_t index);
};

constexpr ScaleReader scaleReaders[] = {
    {"f32", 4,
     [](const uint8_t* scales, size_t index) {
       float value;
       std::memcpy(&value, scales + 4 * index, sizeof value);
       return value;
     }},
    {"bf16", 2,
     [](const uint8_t* scales, size_t index) { return floatOfBits(bitsOfBf16(halfAt(scales + 2 * index))); }},
    {"f16", 2, [](const uint8_t* scales, size_t index) { return floatOfF16(scales + 2 * index); }},
    {"e8m0", 1,
     [](const uint8_t* scales, size_t index) {
       const uint32_t exponent = scales[index];
       return floatOfBits(exponent == 0 ? 0x00400000u : exponent << 23);
     }},
};

size_t storedRow(const MatrixLayout& layout, size_t row) { return layout.step * pairedRow(layout.paired, row); }

size_t scaleRowElements(const MatrixLayout& layout) {
  return (layout.columns + layout.scaleColumns - 1) / layout.scaleColumns;
}

/** Rows of the target, side by side from columns of what is stored: in tiles, so that each line of memory is met once. */
void decodeTransposed(const Codec& codec, const MatrixLayout& layout, const uint8_t* values, float* target) {
  constexpr size_t tileRows = 64;
  float column[tileRows];
  const size_t width = codec.blockBytes;
  for (size_t first = 0; first < layout.rows; first += tileRows) {
    const size_t rows = std::min(tileRows, layout.rows - first);
    for (size_t c = 0; c < layout.columns; ++c) {
      const uint8_t* source = values + c * layout.across * width;
      for (size_t r = 0; r < rows; ++r) codec.decode(source + storedRow(layout, first + r) * width, 1, column + r);
      for (size_t r = 0; r < rows; ++r) target[(first + r) * layout.columns + c] = column[r];
    }
  }
}

}  // namespace

size_t pairedRow(size_t paired, size_t row) {
  if (paired == 1) return row;
  const size_t within = row % paired;
  const size_t half = paired / 2;
  return row - within + 2 * (within % half) + within / half;
}

const Codec* codecNamed(const std::string& name) {
  const Codec* const end = kernels().codecs + kernels().numCodecs;
  const Codec* const found = std::find_if(kernels().codecs, end, [&](const Codec& c) { return name == c.name; });
  return found == end ? nullptr : found;
}

float (*scaleReaderNamed(const std::string& dtype))(const uint8_t*, size_t) {
  for (const ScaleReader& reader : scaleReaders)
    if (dtype == reader.name) return reader.read;
  return nullptr;
}

size_t scaleBytes(const std::string& dtype) {
  for (const ScaleReader& reader : scaleReaders)
    if (dtype == reader.name) return reader.bytes;
  return 0;
}

size_t valueSpan(const Codec& codec, const MatrixLayout& layout) {
  if (layout.rows == 0 || layout.columns == 0) return 0;
  const size_t lastRow = (layout.rows - 1) * layout.step;
  if (layout.across > 0) return codec.bytes((layout.columns - 1) * layout.across + lastRow + 1);
  return (lastRow + 1) * codec.bytes(layout.columns);
}

size_t scaleSpan(const MatrixLayout& layout) {
  if (layout.scaleAt == nullptr || layout.rows == 0) return 0;
  return ((layout.rows - 1) * layout.step / layout.scaleRows + 1) * scaleRowElements(layout);
}

void decodeMatrix(const Codec& codec, const MatrixLayout& layout, const uint8_t* values, const uint8_t* scales,
                  float* target) {
  if (layout.across > 0) {
    decodeTransposed(codec, layout, values, target);
    return;
  }
  const size_t rowBytes = codec.bytes(layout.columns);
  const size_t scalesPerRow = layout.scaleAt == nullptr ? 0 : scaleRowElements(layout);
  for (size_t row = 0; row < layout.rows; ++row) {
    const size_t from = storedRow(layout, row);
    float* out = target + row * layout.columns;
    codec.decode(values + from * rowBytes, layout.columns, out);
    for (size_t i = 0; i < scalesPerRow; ++i) {
      const float scale = layout.scaleAt(scales, from / layout.scaleRows * scalesPerRow + i);
      const size_t end = std::min(layout.columns, (i + 1) * layout.scaleColumns);
      for (size_t c = i * layout.scaleColumns; c < end; ++c) out[c] *= scale;
    }
  }
}

}  // namespace specoffload
