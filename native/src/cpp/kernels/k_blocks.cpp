// ggml's K blocks: 256 values whose groups are scaled by a few bits of the block's own scale.
#include <cstring>

#include "bytes.h"
#include "codecs.h"
#include "../halves.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t kElements = 256;
constexpr size_t groupElements = 32;
constexpr size_t numGroups = kElements / groupElements;

/** Scales and minima of the groups of Q4_K and Q5_K: six bits each, in twelve bytes, four of them in a word. */
struct Groups {
  float scales[numGroups];
  float minima[numGroups];

  explicit Groups(const uint8_t* block) {
    uint32_t words[3];
    std::memcpy(words, block + 4, sizeof words);
    const uint32_t sixes[4] = {
        words[0] & 0x3f3f3f3fu,
        (words[2] & 0x0f0f0f0fu) | ((words[0] >> 2) & 0x30303030u),
        words[1] & 0x3f3f3f3fu,
        ((words[2] >> 4) & 0x0f0f0f0fu) | ((words[1] >> 2) & 0x30303030u),
    };
    float numbers[2 * numGroups];
    storeScaled(numbers, signedOf(loadBytes(reinterpret_cast<const uint8_t*>(sixes))), 1.f);
    const float scale = floatOfF16(block);
    const float least = floatOfF16(block + 2);
    for (size_t i = 0; i < numGroups; ++i) scales[i] = scale * numbers[i];
    for (size_t i = 0; i < numGroups; ++i) minima[i] = least * numbers[numGroups + i];
  }
};

}  // namespace

void decodeQ4_K(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += kElements, source += 144) {
    const Groups groups(source);
    for (size_t pair = 0; pair < numGroups / 2; ++pair) {
      float* values = target + i + 2 * groupElements * pair;
      for (size_t at = 0; at < groupElements; at += vectorBytes) {
        const Bytes pairs = loadBytes(source + 16 + groupElements * pair + at);
        storeScaled(values + at, signedOf(lowNibbles(pairs)), groups.scales[2 * pair], -groups.minima[2 * pair]);
        storeScaled(values + groupElements + at, signedOf(highNibbles(pairs)), groups.scales[2 * pair + 1],
                    -groups.minima[2 * pair + 1]);
      }
    }
  }
}

void decodeQ5_K(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += kElements, source += 176) {
    const Groups groups(source);
    for (size_t at = 0; at < groupElements; at += vectorBytes) {
      Bytes high = loadBytes(source + 16 + at);
      for (size_t pair = 0; pair < numGroups / 2; ++pair) {
        const Bytes pairs = loadBytes(source + 48 + groupElements * pair + at);
        float* values = target + i + 2 * groupElements * pair + at;
        storeScaled(values, signedOf(lowNibbles(pairs) | ((high & 1) << 4)), groups.scales[2 * pair],
                    -groups.minima[2 * pair]);
        storeScaled(values + groupElements, signedOf(highNibbles(pairs) | ((high & 2) << 3)),
                    groups.scales[2 * pair + 1], -groups.minima[2 * pair + 1]);
        high >>= 2;
      }
    }
  }
}

void decodeQ6_K(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += kElements, source += 210) {
    const float scale = floatOfF16(source + 208);
    // Each half of the block has 64 bytes of nibbles and 32 of upper bits, two of each of its four groups.
    for (size_t part = 0; part < 2; ++part) {
      for (size_t at = 0; at < groupElements; at += vectorBytes) {
        const Bytes nibbles[] = {loadBytes(source + 64 * part + at), loadBytes(source + 64 * part + groupElements + at)};
        Bytes high = loadBytes(source + 128 + 32 * part + at);
        for (size_t group = 0; group < 4; ++group, high >>= 2) {
          const Bytes pairs = nibbles[group % 2];
          const Bytes low = group < 2 ? lowNibbles(pairs) : highNibbles(pairs);
          const size_t first = 128 * part + groupElements * group + at;
          const float scaled = scale * static_cast<float>(static_cast<int8_t>(source[192 + first / 16]));
          storeScaled(target + i + first, signedOf(low | ((high & 3) << 4)) - 32, scaled);
        }
      }
    }
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
