// Rows become columns by exchanging halves of ever smaller squares, in registers.
#include "panel.h"

#include <cstring>

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t lanesOf = lanes;

/** Lanes of a whose number lacks bit `half`, then b's lanes of the same numbers in place of those that have it. */
template <int half, int... lane>
inline IntVec lowerOf(IntVec a, IntVec b, std::integer_sequence<int, lane...>) {
#if defined(__has_builtin) && (defined(__clang__) || __GNUC__ >= 12)
  return __builtin_shufflevector(a, b, (lane & half ? lanes + lane - half : lane)...);
#else
  return IntVec{(lane & half ? b[lane & ~half] : a[lane])...};
#endif
}

/** The lanes that `lowerOf` leaves out. */
template <int half, int... lane>
inline IntVec upperOf(IntVec a, IntVec b, std::integer_sequence<int, lane...>) {
#if defined(__has_builtin) && (defined(__clang__) || __GNUC__ >= 12)
  return __builtin_shufflevector(a, b, (lane & half ? lanes + lane : lane + half)...);
#else
  return IntVec{(lane & half ? b[lane] : a[lane | half])...};
#endif
}

template <int half>
inline void exchange(IntVec (&rows)[lanes]) {
  constexpr auto all = std::make_integer_sequence<int, lanes>{};
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if ((i & half) != 0) continue;
    const IntVec lower = lowerOf<half>(rows[i], rows[i + half], all);
    rows[i + half] = upperOf<half>(rows[i], rows[i + half], all);
    rows[i] = lower;
  }
  if constexpr (half > 1) exchange<half / 2>(rows);
}

/** Lane j of row i and lane i of row j change places. */
inline void transpose(IntVec (&rows)[lanes]) { exchange<lanes / 2>(rows); }

/** At most one vector of words; zeros behind the last. */
inline IntVec wordsAt(const uint8_t* source, size_t bytes) {
  IntVec words = {};
  if (bytes >= sizeof words) std::memcpy(&words, source, sizeof words);
  else std::memcpy(&words, source, bytes);
  return words;
}

inline void storeWords(float* target, IntVec words) { std::memcpy(target, &words, sizeof words); }

/** Rows of words, each of which holds `each` neighbouring values, that `spread(word vector, place)` takes out of it. */
template <size_t each, typename Spread>
inline void packWords(const uint8_t* const (&from)[lanes], size_t depth, float* panel, Spread spread) {
  constexpr size_t wordBytes = 4;
  for (size_t k = 0; k < depth; k += each * lanesOf) {
    const size_t count = depth - k < each * lanesOf ? depth - k : each * lanesOf;
    IntVec rows[lanes];
    const size_t bytes = (count * wordBytes + each - 1) / each;
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) rows[i] = wordsAt(from[i] + k * wordBytes / each, bytes);
    transpose(rows);
    float* out = panel + k * panelOuts;
    if (count == each * lanesOf) {
#pragma GCC unroll 16
      for (size_t j = 0; j < lanesOf; ++j)
        for (size_t place = 0; place < each; ++place, out += panelOuts) storeWords(out, spread(rows[j], place));
    } else {
      for (size_t j = 0; j < count; ++j, out += panelOuts) storeWords(out, spread(rows[j / each], j % each));
    }
  }
}

inline IntVec widenedBf16(IntVec words, size_t place) {
  return place == 0 ? words << 16 : words & static_cast<int>(0xffff0000u);
}

bool isBf16(const Codec& codec) { return codec.name[0] == 'b'; }

}  // namespace

void packPanel(const ProductCall& call, size_t firstOut, size_t numOut, size_t k, size_t depth, float* panel, float* room) {
  const Codec& codec = *call.codec;
  const size_t rowBytes = codec.bytes(call.depth);
  const bool takesWords = isBf16(codec);
  for (size_t first = 0; first < numOut; first += lanesOf, panel += lanesOf) {
    const uint8_t* from[lanes];
    for (size_t i = 0; i < lanesOf; ++i) {
      const size_t out = first + i < numOut ? first + i : numOut - 1;
      from[i] = call.weights + call.step * pairedRow(call.paired, firstOut + out) * rowBytes + codec.bytes(k);
      if (takesWords) continue;
      float* const row = room + i * stretchDepth;
      codec.decode(from[i], depth, row);
      from[i] = reinterpret_cast<const uint8_t*>(row);
    }
    if (takesWords) packWords<2>(from, depth, panel, widenedBf16);
    else packWords<1>(from, depth, panel, [](IntVec words, size_t) { return words; });
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
