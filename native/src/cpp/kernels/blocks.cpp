// Blocks of ggml with 32 values, and small numbers scaled apart.
#include <cstring>

#include "bytes.h"
#include "codecs.h"
#include "../halves.h"
#include "../widen.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t blockElements = 32;
constexpr size_t half = blockElements / 2;

/** Runs `decode(block, target)` over whole blocks. */
template <size_t blockBytes, typename Decode>
void eachBlock(const uint8_t* source, size_t count, float* target, Decode decode) {
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) decode(source, target + i);
}

/** E2M1 doubled; a negative zero is none. */
constexpr float doubledFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/** Half the powers of two that exponent bytes mean. */
struct HalvesOfE8m0 {
  float values[256];

  HalvesOfE8m0() {
    for (uint32_t exponent = 0; exponent < 256; ++exponent)
      values[exponent] = floatOfBits(exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23);
  }
};

struct E4m3Table {
  float values[256];

  E4m3Table() {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t exponent = (byte >> 3) & 15;
      const uint32_t mantissa = byte & 7;
      const uint32_t sign = (byte & 0x80) << 24;
      const float denormal = static_cast<float>(mantissa) * 0x1p-9f;
      uint32_t bits = ((exponent + 120) << 23) | (mantissa << 20);
      if (exponent == 15 && mantissa == 7) bits = 0x7fc00000u;
      if (exponent == 0) std::memcpy(&bits, &denormal, sizeof bits);
      values[byte] = floatOfBits(byte == 0xff || byte == 0x7f ? 0x7fc00000u : bits | sign);
    }
  }
};

}  // namespace

void decodeQ4_0(const uint8_t* source, size_t count, float* target) {
  eachBlock<18>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    const Bytes pairs = loadBytes(block + 2);
    storeScaled(values, signedOf(lowNibbles(pairs)) - 8, scale);
    storeScaled(values + half, signedOf(highNibbles(pairs)) - 8, scale);
  });
}

void decodeQ4_1(const uint8_t* source, size_t count, float* target) {
  eachBlock<20>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    const float least = floatOfF16(block + 2);
    const Bytes pairs = loadBytes(block + 4);
    storeScaled(values, signedOf(lowNibbles(pairs)), scale, least);
    storeScaled(values + half, signedOf(highNibbles(pairs)), scale, least);
  });
}

void decodeQ5_0(const uint8_t* source, size_t count, float* target) {
  eachBlock<22>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    const Bytes pairs = loadBytes(block + 6);
    storeScaled(values, signedOf(lowNibbles(pairs) | fifthBits(block + 2)) - 16, scale);
    storeScaled(values + half, signedOf(highNibbles(pairs) | fifthBits(block + 4)) - 16, scale);
  });
}

void decodeQ5_1(const uint8_t* source, size_t count, float* target) {
  eachBlock<24>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    const float least = floatOfF16(block + 2);
    const Bytes pairs = loadBytes(block + 8);
    storeScaled(values, signedOf(lowNibbles(pairs) | fifthBits(block + 4)), scale, least);
    storeScaled(values + half, signedOf(highNibbles(pairs) | fifthBits(block + 6)), scale, least);
  });
}

void decodeQ8_0(const uint8_t* source, size_t count, float* target) {
  eachBlock<34>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    storeScaled(values, signedOf(loadBytes(block + 2)), scale);
    storeScaled(values + half, signedOf(loadBytes(block + 2 + half)), scale);
  });
}

void decodeMxfp4(const uint8_t* source, size_t count, float* target) {
  static const HalvesOfE8m0 halves;
  eachBlock<17>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = halves.values[block[0]];
    const Bytes pairs = loadBytes(block + 1);
    storeLookedUp(values, doubledFp4, pairs, scale);
    storeLookedUp(values + half, doubledFp4, pairs >> 4, scale);
  });
}

void decodeMxfp4Split(const uint8_t* source, size_t count, float* target) {
  size_t i = 0;
  for (; i + vectorBytes <= count; i += vectorBytes) storeLookedUp(target + i, fp4, inTurn(source + i / 2), 1.f);
  for (; i < count; ++i) target[i] = fp4[(source[i / 2] >> (4 * (i % 2))) & 15];
}

void decodeFp8(const uint8_t* source, size_t count, float* target) {
  static const E4m3Table table;
  for (size_t i = 0; i < count; ++i) target[i] = table.values[source[i]];
}

void decodeInt4(const uint8_t* source, size_t count, float* target) {
  size_t i = 0;
  for (; i + vectorBytes <= count; i += vectorBytes)
    storeScaled(target + i, signedOf(inTurn(source + i / 2)) - 8, 1.f);
  for (; i < count; ++i) target[i] = static_cast<float>(((source[i / 2] >> (4 * (i % 2))) & 15) - 8);
}

void decodeInt4Awq(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += 8, source += 4) {
    uint32_t word;
    std::memcpy(&word, source, sizeof word);
    for (size_t j = 0; j < 8; ++j)
      target[i + j] = static_cast<float>(static_cast<int>((word >> (4 * awqNibbles[j])) & 15) - 8);
  }
}

void decodeInt8(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; ++i) target[i] = static_cast<float>(static_cast<int8_t>(source[i]));
}

void decodeInt8Packed(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; ++i) target[i] = static_cast<float>(source[i] - 128);
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
