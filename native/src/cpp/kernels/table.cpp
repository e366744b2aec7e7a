// The kernels of one level: this folder is compiled once for each, with its instructions and in its namespace.
//
// What these files share with others may be compiled for others' sake with instructions that a processor lacks: nothing
// here calls a function that the linker could take from another file, such as members of containers that grow.
#include "../kernels.h"

#include "codecs.h"
#include "compute.h"

#define SPECOFFLOAD_TEXT_OF(name) #name
#define SPECOFFLOAD_NAME_OF(name) SPECOFFLOAD_TEXT_OF(name)

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr Codec codecs[] = {
    {"bf16", 1, 2, widenBf16},
    {"f16", 1, 2, widenF16},
    {"f32", 1, 4, copyF32},
    {"bf16_packed", 64, 100, decodeBf16Packed},
    {"q8_0", 32, 34, decodeQ8_0},
    {"q4_0", 32, 18, decodeQ4_0},
    {"q4_1", 32, 20, decodeQ4_1},
    {"q5_0", 32, 22, decodeQ5_0},
    {"q5_1", 32, 24, decodeQ5_1},
    {"q4_k", 256, 144, decodeQ4_K},
    {"q5_k", 256, 176, decodeQ5_K},
    {"q6_k", 256, 210, decodeQ6_K},
    {"mxfp4", 32, 17, decodeMxfp4},
    {"mxfp4_split", 2, 1, decodeMxfp4Split},
    {"fp8", 1, 1, decodeFp8},
    {"int4", 8, 4, decodeInt4, false, decodeInt4Rows},
    {"int4_awq", 8, 4, decodeInt4Awq, true, decodeInt4AwqRows},
    {"int8", 1, 1, decodeInt8},
    {"int8_packed", 4, 4, decodeInt8Packed, false, decodeInt8PackedRows},
};

/** Products one by one are as fast. */
bool feedForward(const FeedForwardCall&, Workers&) { return false; }

}  // namespace

extern const Kernels table = {
    SPECOFFLOAD_NAME_OF(SPECOFFLOAD_LEVEL), codecs, sizeof codecs / sizeof *codecs, packBf16, unpackBf16, multiply, normalise, activate, attend, feedForward,
};

}  // namespace specoffload::SPECOFFLOAD_LEVEL
