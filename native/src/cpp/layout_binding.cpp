#include "layout_binding.h"

#include <cmath>
#include <cstring>
#include <string>

#include "environment.h"
#include "error.h"

namespace specoffload {

namespace {

constexpr size_t maxSide = size_t{1} << 32;  // rows times columns times step stay below 2^64 where their bytes fit

/** A field of a layout; Infinity is the most, a missing one the least. */
size_t fieldOf(const Napi::Object& object, const char* name, size_t least, size_t most) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return least;
  if (value.IsNumber() && std::isinf(value.ToNumber().DoubleValue())) return most;
  return wholeNumber(value, name, least, most);
}

const uint8_t* bytesAt(Bytes source, size_t offset, size_t length, const char* name) {
  if (offset > source.length || length > source.length - offset) throw RangeError(std::string("invalid ") + name);
  return source.data + offset;
}

/** The bytes of a part of a matrix, `offset` after its values. */
const uint8_t* partOf(Bytes source, size_t valuesOffset, const Napi::Object& part, size_t length) {
  const double offset = static_cast<double>(valuesOffset) + part.Get("offset").ToNumber().DoubleValue();
  if (!(offset >= 0 && offset <= maxWholeNumber)) throw RangeError("invalid scalesOffset");
  return bytesAt(source, static_cast<size_t>(offset), length, "scalesOffset");
}

/** Scales, zero points and groups of columns. */
void readScales(const Napi::Object& scales, Bytes source, size_t valuesOffset, PlacedMatrix& matrix) {
  MatrixLayout& layout = matrix.layout;
  MatrixParts& parts = matrix.parts;
  const ScaleReader* const reader = scaleReaderNamed(scales.Get("dtype").ToString().Utf8Value());
  if (reader == nullptr) throw RangeError("invalid dtype of scales");
  layout.scaleAt = reader->read;
  layout.scaleKind = reader->kind;
  layout.scaleRows = fieldOf(scales, "rows", 1, maxWholeNumber);
  layout.scaleColumns = fieldOf(scales, "columns", 1, maxWholeNumber);
  layout.scaleGroupStride = fieldOf(scales, "groupStride", 0, maxSide);
  parts.scales = partOf(source, valuesOffset, scales, scaleSpan(layout, reader->bytes));
  const Napi::Value groups = scales.Get("groupOfColumn");
  if (groups.IsObject()) parts.groupOfColumn = partOf(source, valuesOffset, groups.As<Napi::Object>(), 4 * layout.columns);
  if (!scales.Get("zeros").IsObject()) return;
  const Napi::Object zeros = scales.Get("zeros").As<Napi::Object>();
  layout.zeros = zeroPointsNamed(zeros.Get("codec").ToString().Utf8Value());
  layout.zeros.groupStride = fieldOf(zeros, "groupStride", 0, maxSide);
  layout.zeros.isLessOne = zeros.Get("isLessOne").ToBoolean();
  if (layout.gridRows() % layout.zeros.wordPoints != 0 || layout.zeros.groupStride % layout.zeros.wordPoints != 0)
    throw RangeError("invalid zero points; expected whole words");
  parts.zeros = partOf(source, valuesOffset, zeros, zeroSpan(layout));
}

}  // namespace

PlacedMatrix placedMatrixOf(const Codec& codec, const Napi::Object& fields, Bytes source, size_t valuesOffset) {
  PlacedMatrix matrix;
  MatrixLayout& layout = matrix.layout;
  layout.rows = fieldOf(fields, "rows", 0, maxSide);
  layout.columns = fieldOf(fields, "columns", 0, maxSide);
  layout.step = fieldOf(fields, "step", 1, 1 << 20);
  layout.paired = fieldOf(fields, "paired", 1, 1 << 20);
  layout.across = fieldOf(fields, "across", 0, maxSide);
  if (layout.rows * static_cast<double>(layout.columns) > maxWholeNumber / 4) throw RangeError("invalid rows");
  if (layout.paired > 1 && (layout.paired % 2 != 0 || layout.rows % layout.paired != 0))
    throw RangeError("invalid paired; expected an even divisor of rows");
  if ((codec.isAcross ? layout.rows : layout.columns) % codec.blockElements != 0)
    throw RangeError("invalid columns; expected whole blocks");
  if (codec.isAcross &&
      (layout.across == 0 || layout.across % codec.blockElements != 0 || layout.step != 1 || layout.paired != 1))
    throw RangeError("invalid across; expected rows stored transposed and in order");
  matrix.parts.values = bytesAt(source, valuesOffset, valueSpan(codec, layout), "valuesOffset");
  const Napi::Value scales = fields.Get("scales");
  if (scales.IsObject() && layout.rows > 0 && layout.columns > 0)
    readScales(scales.As<Napi::Object>(), source, valuesOffset, matrix);
  return matrix;
}

}  // namespace specoffload
