// Decoding of stored weights to fp32: what crossing the link does to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace specoffload {

/** How values are stored; those of `native/src/codecs/`, which says what each is. */
struct Codec {
  const char* name;
  size_t blockElements;
  size_t blockBytes;
  /** Decodes `count` values from `source`, at any byte. NaN stays NaN, made quiet in f16. Sides must not overlap. */
  void (*decode)(const uint8_t* source, size_t count, float* target);
  /** Its blocks are of neighbouring rows of a matrix that is stored transposed. */
  bool isAcross = false;
  /** Rows from `first` on of a matrix that is stored transposed and in order; null where values are decoded one by one. */
  void (*decodeRows)(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns,
                     float* target) = nullptr;

  size_t bytes(size_t count) const { return (count + blockElements - 1) / blockElements * blockBytes; }
};

/** The codec of that name, or null. */
const Codec* codecNamed(const std::string& name);

/** In which nibble of a word AutoAWQ puts each of eight values. */
constexpr uint8_t awqNibbles[8] = {0, 4, 1, 5, 2, 6, 3, 7};

/** As `ZeroPoints` of `native/src/codecs/codec.ts`, in words of so many points. */
struct ZeroPoints {
  size_t wordPoints = 0;  // 0 for none
  bool isAwq = false;
  bool isLessOne = false;
  size_t groupStride = 0;
};

/** How scales are stored that lie apart: `ScaleDtype` of `native/src/codecs/codec.ts`. */
enum class ScaleKind { f32, bf16, f16, e8m0 };

/** As `MatrixLayout` of `native/src/codecs/matrix.ts`. */
struct MatrixLayout {
  size_t rows;
  size_t columns;
  size_t step;
  size_t paired;
  size_t across;
  /** fp32 of the scale at an index; null where no scales lie apart. */
  float (*scaleAt)(const uint8_t* scales, size_t index) = nullptr;
  ScaleKind scaleKind = ScaleKind::f32;
  size_t scaleRows = 1;
  size_t scaleColumns = 1;
  size_t scaleGroupStride = 0;
  ZeroPoints zeros;

  size_t groups() const { return (columns - 1) / scaleColumns + 1; }
  size_t gridRows() const { return (rows - 1) * step / scaleRows + 1; }
};

/** Where the parts of a matrix start; null where it has none. */
struct MatrixParts {
  const uint8_t* values;
  const uint8_t* scales = nullptr;
  const uint8_t* zeros = nullptr;
  /** An int32 for each column. */
  const uint8_t* groupOfColumn = nullptr;
};

/** Scales, and zero points where there are any, of so many groups of a row as it is stored, from `first` on. */
void readGroups(const MatrixLayout& layout, const MatrixParts& parts, size_t row, size_t first, size_t count, float* scales,
                float* zeros);

/** The row that lies in place of row `row`, where rows are paired so. */
size_t pairedRow(size_t paired, size_t row);

/** A way of storing scales. */
struct ScaleReader {
  const char* name;
  ScaleKind kind;
  size_t bytes;
  float (*read)(const uint8_t* scales, size_t index);
};

/** The one of that name, or null. */
const ScaleReader* scaleReaderNamed(const std::string& dtype);

/** Zero points of the codec of that name. @throws RangeError */
ZeroPoints zeroPointsNamed(const std::string& codec);

/** Bytes from the first to behind the last value, and the same of scales and zero points. */
size_t valueSpan(const Codec& codec, const MatrixLayout& layout);
size_t scaleSpan(const MatrixLayout& layout, size_t scaleBytes);
size_t zeroSpan(const MatrixLayout& layout);

/** Decodes a matrix to (rows, columns). @throws RangeError where a column's group is none */
void decodeMatrix(const Codec& codec, const MatrixLayout& layout, const MatrixParts& parts, float* target);

}  // namespace specoffload
