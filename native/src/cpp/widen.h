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

  size_t bytes(size_t count) const { return (count + blockElements - 1) / blockElements * blockBytes; }
};

/** The codec of that name, or null. */
const Codec* codecNamed(const std::string& name);

/** As `MatrixLayout` of `native/src/codecs/matrix.ts`. */
struct MatrixLayout {
  size_t rows;
  size_t columns;
  size_t step;
  size_t paired;
  size_t across;
  /** fp32 of the scale at an index; null where no scales lie apart. */
  float (*scaleAt)(const uint8_t* scales, size_t index);
  size_t scaleRows;
  size_t scaleColumns;
};

/** The row that lies in place of row `row`, where rows are paired so. */
size_t pairedRow(size_t paired, size_t row);

/** The reader of scales stored so, or null, and the bytes of one. */
float (*scaleReaderNamed(const std::string& dtype))(const uint8_t*, size_t);
size_t scaleBytes(const std::string& dtype);

/** Bytes from the first to behind the last value, and the same of the scales. */
size_t valueSpan(const Codec& codec, const MatrixLayout& layout);
size_t scaleSpan(const MatrixLayout& layout);

/** Decodes a matrix to (rows, columns). */
void decodeMatrix(const Codec& codec, const MatrixLayout& layout, const uint8_t* values, const uint8_t* scales,
                  float* target);

}  // namespace specoffload
