// ggml's K blocks: 256 values whose groups are scaled by a few bits of the block's own scale.
#include "codecs.h"
#include "halves.h"

namespace specoffload {

namespace {

constexpr size_t blockElements = 256;
constexpr size_t groupElements = 32;
constexpr size_t numGroups = blockElements / groupElements;

/** Scales and minima of the groups of Q4_K and Q5_K: six bits each, in twelve bytes. */
struct Groups {
  float scales[numGroups];
  float minima[numGroups];

  explicit Groups(const uint8_t* block) {
    const float scale = floatOfF16(block);
    const float least = floatOfF16(block + 2);
    const uint8_t* packed = block + 4;
    for (size_t i = 0; i < 4; ++i) {
      scales[i] = scale * static_cast<float>(packed[i] & 63);
      minima[i] = least * static_cast<float>(packed[4 + i] & 63);
      scales[4 + i] = scale * static_cast<float>((packed[8 + i] & 15) | ((packed[i] >> 6) << 4));
      minima[4 + i] = least * static_cast<float>((packed[8 + i] >> 4) | ((packed[4 + i] >> 6) << 4));
    }
  }
};

}  // namespace

void decodeQ4_K(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += blockElements, source += 144) {
    const Groups groups(source);
    float* values = target + i;
    for (size_t pair = 0; pair < numGroups / 2; ++pair, values += 2 * groupElements) {
      const uint8_t* nibbles = source + 16 + groupElements * pair;
      const float scale[] = {groups.scales[2 * pair], groups.scales[2 * pair + 1]};
      const float least[] = {groups.minima[2 * pair], groups.minima[2 * pair + 1]};
      for (size_t k = 0; k < groupElements; ++k) values[k] = scale[0] * static_cast<float>(nibbles[k] & 15) - least[0];
      for (size_t k = 0; k < groupElements; ++k)
        values[groupElements + k] = scale[1] * static_cast<float>(nibbles[k] >> 4) - least[1];
    }
  }
}

void decodeQ5_K(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += blockElements, source += 176) {
    const Groups groups(source);
    const uint8_t* high = source + 16;
    for (size_t group = 0; group < numGroups; ++group) {
      const uint8_t* nibbles = source + 48 + groupElements * (group / 2);
      const int shift = group % 2 == 0 ? 0 : 4;
      const float scale = groups.scales[group];
      const float least = groups.minima[group];
      float* values = target + i + groupElements * group;
      for (size_t k = 0; k < groupElements; ++k)
        values[k] =
            scale * static_cast<float>(((nibbles[k] >> shift) & 15) | (((high[k] >> group) & 1) << 4)) - least;
    }
  }
}

void decodeQ6_K(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; i += blockElements, source += 210) {
    const float scale = floatOfF16(source + 208);
    for (size_t group = 0; group < numGroups; ++group) {
      const size_t part = group / 4;  // each half of the block has 64 bytes of nibbles and 32 of upper bits
      const size_t within = group % 4;
      const uint8_t* low = source + 64 * part + groupElements * (within % 2);
      const uint8_t* high = source + 128 + 32 * part;
      const int lowShift = within < 2 ? 0 : 4;
      const int highShift = static_cast<int>(2 * within);
      float* values = target + i + groupElements * group;
      for (size_t side = 0; side < 2; ++side) {
        const float scaled = scale * static_cast<float>(static_cast<int8_t>(source[192 + 2 * group + side]));
        for (size_t k = 16 * side; k < 16 * side + 16; ++k)
          values[k] =
              scaled * static_cast<float>((((low[k] >> lowShift) & 15) | (((high[k] >> highShift) & 3) << 4)) - 32);
      }
    }
  }
}

}  // namespace specoffload
