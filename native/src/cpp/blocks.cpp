// Blocks of ggml with 32 values, and small numbers scaled apart. Plain loops, written so that compilers vectorise them.
#include "codecs.h"
#include "halves.h"

namespace specoffload {

namespace {

constexpr size_t blockElements = 32;
constexpr size_t half = blockElements / 2;

/** Runs `decode(block, target)` over whole blocks. */
template <size_t blockBytes, typename Decode>
void eachBlock(const uint8_t* source, size_t count, float* target, Decode decode) {
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) decode(source, target + i);
}

/** The fifth bits of a block, one byte each. */
void fifthBits(const uint8_t* source, uint8_t* bits) {
  uint32_t word;
  std::memcpy(&word, source, sizeof word);
  for (uint32_t i = 0; i < blockElements; ++i) bits[i] = static_cast<uint8_t>(((word >> i) & 1u) << 4);
}

struct Nibbles {
  /** Values of a block, low nibbles first. */
  uint8_t values[blockElements];

  explicit Nibbles(const uint8_t* source) {
    for (size_t i = 0; i < half; ++i) {
      values[i] = source[i] & 15;
      values[half + i] = source[i] >> 4;
    }
  }
};

/** E2M1 doubled; a negative zero is none. */
constexpr int8_t doubledFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

constexpr float fp4[16] = {0.f,  0.5f,  1.f,  1.5f,  2.f,  3.f,  4.f,  6.f,
                           -0.f, -0.5f, -1.f, -1.5f, -2.f, -3.f, -4.f, -6.f};

/** Half the power of two that an exponent byte means. */
float halfOfE8m0(uint8_t exponent) {
  return floatOfBits(exponent < 2 ? 0x00200000u << exponent : static_cast<uint32_t>(exponent - 1) << 23);
}

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
    const Nibbles nibbles(block + 2);
    for (size_t i = 0; i < blockElements; ++i) values[i] = scale * static_cast<float>(nibbles.values[i] - 8);
  });
}

void decodeQ4_1(const uint8_t* source, size_t count, float* target) {
  eachBlock<20>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    const float least = floatOfF16(block + 2);
    const Nibbles nibbles(block + 4);
    for (size_t i = 0; i < blockElements; ++i) values[i] = scale * static_cast<float>(nibbles.values[i]) + least;
  });
}

void decodeQ5_0(const uint8_t* source, size_t count, float* target) {
  eachBlock<22>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    uint8_t high[blockElements];
    fifthBits(block + 2, high);
    const Nibbles nibbles(block + 6);
    for (size_t i = 0; i < blockElements; ++i)
      values[i] = scale * static_cast<float>((nibbles.values[i] | high[i]) - 16);
  });
}

void decodeQ5_1(const uint8_t* source, size_t count, float* target) {
  eachBlock<24>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    const float least = floatOfF16(block + 2);
    uint8_t high[blockElements];
    fifthBits(block + 4, high);
    const Nibbles nibbles(block + 8);
    for (size_t i = 0; i < blockElements; ++i)
      values[i] = scale * static_cast<float>(nibbles.values[i] | high[i]) + least;
  });
}

void decodeQ8_0(const uint8_t* source, size_t count, float* target) {
  eachBlock<34>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = floatOfF16(block);
    for (size_t i = 0; i < blockElements; ++i)
      values[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
  });
}

void decodeMxfp4(const uint8_t* source, size_t count, float* target) {
  eachBlock<17>(source, count, target, [](const uint8_t* block, float* values) {
    const float scale = halfOfE8m0(block[0]);
    const Nibbles nibbles(block + 1);
    for (size_t i = 0; i < blockElements; ++i) values[i] = scale * static_cast<float>(doubledFp4[nibbles.values[i]]);
  });
}

void decodeMxfp4Split(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += 2) {
    target[i] = fp4[source[i / 2] & 15];
    target[i + 1] = fp4[source[i / 2] >> 4];
  }
}

void decodeFp8(const uint8_t* source, size_t count, float* target) {
  static const E4m3Table table;
  for (size_t i = 0; i < count; ++i) target[i] = table.values[source[i]];
}

void decodeInt4(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += 2) {
    target[i] = static_cast<float>((source[i / 2] & 15) - 8);
    target[i + 1] = static_cast<float>((source[i / 2] >> 4) - 8);
  }
}

}  // namespace specoffload
