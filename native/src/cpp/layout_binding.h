// Layouts of matrices as JavaScript describes them. The checks here keep memory safe; those that explain are in checks.ts.
#pragma once

#include <napi.h>

#include "widen.h"

namespace specoffload {

/** What a matrix's parts have to lie in. */
struct Bytes {
  const uint8_t* data;
  size_t length;
};

struct PlacedMatrix {
  MatrixLayout layout;
  MatrixParts parts;
};

/** As `MatrixLayout` of `native/src/codecs/matrix.ts`, its values `valuesOffset` bytes behind the first. @throws RangeError */
PlacedMatrix placedMatrixOf(const Codec& codec, const Napi::Object& fields, Bytes source, size_t valuesOffset);

}  // namespace specoffload
