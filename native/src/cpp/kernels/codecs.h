// The decoders behind the names of `codecNamed`: as `Codec::decode`, `count` in whole blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace specoffload::SPECOFFLOAD_LEVEL {

/** What codes of E2M1 mean. */
constexpr float fp4[16] = {0.f,  0.5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                           -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};

void widenBf16(const uint8_t* source, size_t count, float* target);
void widenF16(const uint8_t* source, size_t count, float* target);
void copyF32(const uint8_t* source, size_t count, float* target);

void decodeBf16Packed(const uint8_t* source, size_t count, float* target);
/** As those of `Kernels`. */
bool packBf16(const uint8_t* values, size_t count, uint8_t* packed);
void unpackBf16(const uint8_t* packed, size_t count, uint8_t* values);

void decodeQ4_0(const uint8_t* source, size_t count, float* target);
void decodeQ4_1(const uint8_t* source, size_t count, float* target);
void decodeQ5_0(const uint8_t* source, size_t count, float* target);
void decodeQ5_1(const uint8_t* source, size_t count, float* target);
void decodeQ8_0(const uint8_t* source, size_t count, float* target);
void decodeQ4_K(const uint8_t* source, size_t count, float* target);
void decodeQ5_K(const uint8_t* source, size_t count, float* target);
void decodeQ6_K(const uint8_t* source, size_t count, float* target);
void decodeMxfp4(const uint8_t* source, size_t count, float* target);
void decodeMxfp4Split(const uint8_t* source, size_t count, float* target);
void decodeFp8(const uint8_t* source, size_t count, float* target);
void decodeInt4(const uint8_t* source, size_t count, float* target);
void decodeInt4Awq(const uint8_t* source, size_t count, float* target);
void decodeInt8(const uint8_t* source, size_t count, float* target);
void decodeInt8Packed(const uint8_t* source, size_t count, float* target);

/** As `Codec::decodeRows`. */
void decodeInt4Rows(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns, float* target);
void decodeInt4AwqRows(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns, float* target);
void decodeInt8PackedRows(const uint8_t* values, size_t across, size_t first, size_t rows, size_t columns,
                          float* target);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
