// Codecs by name, and matrices whose values do not simply lie one row behind the other.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "error.h"
#include "halves.h"
#include "kernels.h"
#include "widen.h"

namespace specoffload {

namespace {

constexpr ScaleReader scaleReaders[] = {
    {"f32", ScaleKind::f32, 4,
     [](const uint8_t* scales, size_t index) {
       float value;
       std::memcpy(&value, scales + 4 * index, sizeof value);
       return value;
     }},
    {"bf16", ScaleKind::bf16, 2,
     [](const uint8_t* scales, size_t index) { return floatOfBits(bitsOfBf16(halfAt(scales + 2 * index))); }},
    {"f16", ScaleKind::f16, 2, [](const uint8_t* scales, size_t index) { return floatOfF16(scales + 2 * index); }},
    {"e8m0", ScaleKind::e8m0, 1,
     [](const uint8_t* scales, size_t index) {
       const uint32_t exponent = scales[index];
       return floatOfBits(exponent == 0 ? 0x00400000u : exponent << 23);
     }},
};

size_t storedRow(const MatrixLayout& layout, size_t row) { return layout.step * pairedRow(layout.paired, row); }

float zeroAt(const ZeroPoints& points, const uint8_t* zeros, size_t row, size_t group, size_t groups) {
  const size_t each = points.wordPoints;
  const size_t index = points.groupStride > 0 ? (group * points.groupStride + row) / each : row / each * groups + group;
  if (each == 1) return static_cast<float>(static_cast<int8_t>(zeros[index]));
  uint32_t word;
  std::memcpy(&word, zeros + 4 * index, sizeof word);
  if (points.isLessOne) word += each == 8 ? 0x11111111u : 0x01010101u;
  const size_t bits = 32 / each;
  const size_t place = points.isAwq ? awqNibbles[row % each] : row % each;
  const uint32_t half = 1u << (bits - 1);
  return static_cast<float>(static_cast<int>((word >> (bits * place)) & (2 * half - 1)) - static_cast<int>(half));
}

/** Scales rows that are decoded; keeps room for what it reads of a row. */
class Scaler {
 public:
  Scaler(const MatrixLayout& layout, const MatrixParts& parts)
      : layout_(layout), parts_(parts), scales_(layout.groups()), zeros_(layout.groups()) {}

  void scale(size_t row, float* values) {
    readGroups(layout_, parts_, row, 0, scales_.size(), scales_.data(), zeros_.data());
    if (parts_.groupOfColumn != nullptr) {
      scaleEach(values);
      return;
    }
    for (size_t group = 0; group < scales_.size(); ++group) {
      const float scale = scales_[group];
      const float zero = zeros_[group];
      const size_t first = group * layout_.scaleColumns;
      const size_t count = std::min(layout_.columns - first, layout_.scaleColumns);
      if (parts_.zeros == nullptr) {
        for (size_t c = first; c < first + count; ++c) values[c] *= scale;
      } else {
        for (size_t c = first; c < first + count; ++c) values[c] = (values[c] - zero) * scale;
      }
    }
  }

 private:
  void scaleEach(float* values) {
    for (size_t c = 0; c < layout_.columns; ++c) {
      uint32_t group;
      std::memcpy(&group, parts_.groupOfColumn + 4 * c, sizeof group);
      if (group >= scales_.size())
        throw RangeError("invalid group of column " + std::to_string(c) + ": " + std::to_string(group) +
                         "; expected one of " + std::to_string(scales_.size()));
      values[c] = (values[c] - zeros_[group]) * scales_[group];
    }
  }

  const MatrixLayout& layout_;
  const MatrixParts& parts_;
  std::vector<float> scales_;
  std::vector<float> zeros_;
};

constexpr size_t tileRows = 64;

/** Rows `first` and so many after it, side by side from columns of what is stored: each line of memory is met once. */
void decodeColumns(const Codec& codec, const MatrixLayout& layout, const uint8_t* values, size_t first, size_t rows,
                   float* target) {
  if (codec.decodeRows != nullptr && layout.step == 1 && layout.paired == 1) {
    codec.decodeRows(values, layout.across, first, rows, layout.columns, target);
    return;
  }
  float column[tileRows];
  const auto at = [&](size_t block) { return values + block * codec.blockBytes; };
  if (codec.isAcross || codec.blockElements == 1) {
    for (size_t c = 0; c < layout.columns; ++c) {
      if (codec.isAcross) codec.decode(at((c * layout.across + first) / codec.blockElements), rows, column);
      else
        for (size_t r = 0; r < rows; ++r)
          codec.decode(at(c * layout.across + storedRow(layout, first + r)), 1, column + r);
      for (size_t r = 0; r < rows; ++r) target[r * layout.columns + c] = column[r];
    }
    return;
  }
  const size_t width = codec.blockElements;
  for (size_t c = 0; c < layout.columns; c += width)
    for (size_t r = 0; r < rows; ++r)
      codec.decode(at(c / width * layout.across + storedRow(layout, first + r)), width,
                   target + r * layout.columns + c);
}

}  // namespace

void readGroups(const MatrixLayout& layout, const MatrixParts& parts, size_t row, size_t first, size_t count, float* scales,
                float* zeros) {
  const size_t gridRow = row / layout.scaleRows;
  const size_t groups = layout.groups();
  const bool isAcross = layout.scaleGroupStride > 0;
  size_t index = isAcross ? first * layout.scaleGroupStride + gridRow : gridRow * groups + first;
  for (size_t i = 0; i < count; ++i, index += isAcross ? layout.scaleGroupStride : 1) {
    scales[i] = layout.scaleAt(parts.scales, index);
    if (parts.zeros != nullptr) zeros[i] = zeroAt(layout.zeros, parts.zeros, gridRow, first + i, groups);
  }
}

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

const ScaleReader* scaleReaderNamed(const std::string& dtype) {
  for (const ScaleReader& reader : scaleReaders)
    if (dtype == reader.name) return &reader;
  return nullptr;
}

ZeroPoints zeroPointsNamed(const std::string& codec) {
  ZeroPoints points;
  if (codec == "int8") points.wordPoints = 1;
  else if (codec == "int8_packed") points.wordPoints = 4;
  else if (codec == "int4" || codec == "int4_awq") points.wordPoints = 8;
  else throw RangeError("invalid codec of zero points: " + codec);
  points.isAwq = codec == "int4_awq";
  return points;
}

size_t valueSpan(const Codec& codec, const MatrixLayout& layout) {
  if (layout.rows == 0 || layout.columns == 0) return 0;
  const size_t lastRow = (layout.rows - 1) * layout.step;
  if (layout.across == 0) return (lastRow + 1) * codec.bytes(layout.columns);
  const size_t along = codec.isAcross ? 1 : codec.blockElements;
  return codec.bytes(along * ((layout.columns / along - 1) * layout.across + lastRow + 1));
}

namespace {

/** Entries of a grid from the first to behind the last. */
size_t gridSpan(const MatrixLayout& layout, size_t stride) {
  const size_t rows = layout.gridRows();
  return stride > 0 ? (layout.groups() - 1) * stride + rows : rows * layout.groups();
}

}  // namespace

size_t scaleSpan(const MatrixLayout& layout, size_t scaleBytes) {
  if (layout.scaleAt == nullptr || layout.rows == 0 || layout.columns == 0) return 0;
  return gridSpan(layout, layout.scaleGroupStride) * scaleBytes;
}

size_t zeroSpan(const MatrixLayout& layout) {
  const size_t each = layout.zeros.wordPoints;
  if (each == 0 || layout.rows == 0 || layout.columns == 0) return 0;
  return gridSpan(layout, layout.zeros.groupStride) / each * (each == 1 ? 1 : 4);
}

void decodeMatrix(const Codec& codec, const MatrixLayout& layout, const MatrixParts& parts, float* target) {
  if (layout.rows == 0 || layout.columns == 0) return;
  Scaler scaler(layout, parts);
  const size_t rowBytes = codec.bytes(layout.columns);
  for (size_t first = 0; first < layout.rows; first += tileRows) {
    const size_t rows = std::min(tileRows, layout.rows - first);
    float* const out = target + first * layout.columns;
    if (layout.across > 0) decodeColumns(codec, layout, parts.values, first, rows, out);
    for (size_t r = 0; r < rows; ++r) {
      const size_t from = storedRow(layout, first + r);
      float* const row = out + r * layout.columns;
      if (layout.across == 0) codec.decode(parts.values + from * rowBytes, layout.columns, row);
      if (layout.scaleAt != nullptr) scaler.scale(from, row);
    }
  }
}

}  // namespace specoffload
