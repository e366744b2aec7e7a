"""Random blocks of every stored format and what the gguf package (0.19), transformers (5.18), compressed-tensors
(0.20), GPTQModel and AutoAWQ make of them.

    pip install gguf==0.19.0 torch==2.13.0 compressed-tensors==0.20.1 && python make.py > expected.json

Values are fp32, as base64 of their little-endian bytes.
"""

import base64
import json

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize as dequantize_compressed
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

random = np.random.default_rng(14)
blocks = 3


def text(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def scale(count):
    """fp16 scales of both signs, a denormal one among them."""
    values = random.normal(0, 0.02, count).astype(np.float16)
    values[0] = 3e-6
    return values.view(np.uint8).reshape(count, 2)


# Where a block has fp16 numbers; everything else may be any byte.
halves = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0]}
halves |= {"Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "MXFP4": []}

cases = []
for name, places in halves.items():
    elements, size = GGML_QUANT_SIZES[Type[name]]
    stored = random.integers(0, 256, (blocks, size), dtype=np.uint8)
    for place in places:
        stored[:, place : place + 2] = scale(blocks)
    if name == "MXFP4":
        stored[:, 0] = [0, 1, 126]
    values = dequantize(stored, Type[name]).astype(np.float32)
    cases.append({"codec": name.lower(), "stored": text(stored), "values": text(values)})


def fp4_table():
    """FP4_VALUES of transformers' integrations/mxfp4.py."""
    return torch.tensor([0.0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=torch.bfloat16)


def mxfp4(rows, columns):
    """As convert_moe_packed_tensors of transformers 5.18."""
    packed = torch.from_numpy(random.integers(0, 256, (rows, columns // 32, 16), dtype=np.uint8))
    scales = torch.from_numpy(random.integers(100, 140, (rows, columns // 32), dtype=np.uint8))
    table = fp4_table()
    out = torch.stack([table[(packed & 15).long()], table[(packed >> 4).long()]], dim=-1)
    out = torch.ldexp(out.reshape(rows, columns // 32, 32), scales.int().unsqueeze(-1) - 127)
    layout = {"rows": rows, "columns": columns, "scales": {"dtype": "e8m0", "rows": 1, "columns": 32}}
    return packed, scales, out.reshape(rows, columns), layout


def fp8(rows, columns, grid_rows, grid_columns, dtype):
    """fp32 of the FP8 numbers times fp32 of their scales, as transformers' Fp8Dequantize."""
    stored = torch.from_numpy(random.integers(0, 256, (rows, columns), dtype=np.uint8))
    stored[(stored & 0x7F) == 0x7F] = 1  # NaN
    shape = (-(-rows // grid_rows), -(-columns // grid_columns))
    scales = torch.from_numpy(random.lognormal(-6, 1, shape)).to(dtype)
    factor = scales.float().repeat_interleave(grid_rows, 0)[:rows]
    factor = factor.repeat_interleave(grid_columns, 1)[:, :columns]
    values = stored.view(torch.float8_e4m3fn).float() * factor
    name = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}[dtype]
    grid = {"dtype": name, "rows": grid_rows, "columns": grid_columns}
    return stored, scales, values, {"rows": rows, "columns": columns, "scales": grid}


def int4(rows, columns, group):
    """As unpack_from_int32 and dequantize of compressed-tensors 0.12."""
    numbers = random.integers(-8, 8, (rows, columns), dtype=np.int64)
    words = ((numbers + 8).reshape(rows, -1, 8) << (4 * np.arange(8))).sum(-1).astype(np.uint32)
    scales = torch.from_numpy(random.lognormal(-6, 1, (rows, columns // group))).to(torch.bfloat16)
    factor = scales.float().repeat_interleave(group, 1)
    values = torch.from_numpy(numbers).float() * factor
    grid = {"dtype": "bf16", "rows": 1, "columns": group}
    return torch.from_numpy(words.view(np.uint8)), scales, values, {"rows": rows, "columns": columns, "scales": grid}


def raw(tensor):
    return text(tensor.contiguous().view(torch.uint8).numpy())


def scaled(codec, stored, scales, values, layout, zeros=None, group_of_column=None):
    cases.append(
        {
            **{"codec": codec, "layout": layout, "stored": raw(stored), "scales": raw(scales)},
            **({"zeros": raw(zeros)} if zeros is not None else {}),
            **({"groupOfColumn": raw(group_of_column)} if group_of_column is not None else {}),
            "values": text(values.float().contiguous().numpy()),
        }
    )


def words(*shape):
    return torch.from_numpy(random.integers(-(2**31), 2**31, shape).astype(np.int32))


def shared(*shape, dtype=torch.float16):
    return torch.from_numpy(random.lognormal(-6, 1, shape)).to(dtype)


def gptq(rows, columns, group, bits, v1, act_order=False):
    """As convert_gptq_v1_to_v2_format_module and TorchLinear.dequantize_weight of GPTQModel, in fp32."""
    packed = 32 // bits
    qweight, qzeros = words(columns // packed, rows), words(columns // group, rows // packed)
    scales = shared(columns // group, rows)
    g_idx = torch.arange(columns, dtype=torch.int32) // group
    if act_order:
        g_idx = g_idx[torch.from_numpy(random.permutation(columns))]
    ones = 0x11111111 if bits == 4 else 0x01010101
    zeros = qzeros + ones if v1 else qzeros
    shifts = torch.arange(0, 32, bits, dtype=torch.int32)
    zeros = (zeros.unsqueeze(2) >> shifts & (2**bits - 1)).reshape(scales.shape)
    weight = (qweight.unsqueeze(1) >> shifts.reshape(1, -1, 1) & (2**bits - 1)).reshape(columns, rows)
    values = scales.float()[g_idx.long()] * (weight - zeros[g_idx.long()])
    codec = "int4" if bits == 4 else "int8_packed"
    points = {"codec": codec, "groupStride": rows, "isLessOne": v1}
    grid = {"dtype": "f16", "rows": 1, "columns": group, "groupStride": rows, "zeros": points}
    layout = {"rows": rows, "columns": columns, "across": rows, "scales": grid}
    return codec, qweight, scales, values.T, layout, qzeros, g_idx if act_order else None


def awq(rows, columns, group):
    """As unpack_awq, reverse_awq_order and dequantize_gemm of AutoAWQ's packing_utils.py, in fp32."""
    qweight, qzeros = words(columns, rows // 8), words(columns // group, rows // 8)
    scales = shared(columns // group, rows)
    shifts = torch.arange(0, 32, 4)
    order = torch.arange(rows).view(-1, 8)[:, [0, 4, 1, 5, 2, 6, 3, 7]].view(-1)
    unpack = lambda packed: (packed[:, :, None] >> shifts).reshape(packed.shape[0], -1)[:, order] & 15
    each = lambda one: one.repeat_interleave(group, dim=0)
    values = (unpack(qweight) - each(unpack(qzeros))) * each(scales.float())
    points = {"codec": "int4_awq", "groupStride": rows, "isLessOne": False}
    grid = {"dtype": "f16", "rows": 1, "columns": group, "groupStride": rows, "zeros": points}
    return "int4_awq", qweight, scales, values.T, {"rows": rows, "columns": columns, "across": rows, "scales": grid}, qzeros


def compressed(rows, columns, group, bits, packs):
    """compressed-tensors' own: numbers and zero points packed, or as bytes, scales in fp32 for its arithmetic."""
    numbers = torch.from_numpy(random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (rows, columns), dtype=np.int8))
    points = torch.from_numpy(random.integers(-8, 8, (rows, columns // group), dtype=np.int8))
    scales = shared(rows, columns // group, dtype=torch.bfloat16)
    strategy = {"strategy": "channel"} if group == columns else {"strategy": "group", "group_size": group}
    args = QuantizationArgs(num_bits=bits, symmetric=False, **strategy)
    values = dequantize_compressed(numbers, scales.float(), points, args)
    stored = pack_to_int32(numbers, bits) if packs else numbers
    zeros = pack_to_int32(points, bits, packed_dim=0) if packs else points
    assert not packs or torch.equal(unpack_from_int32(zeros, bits, points.shape, packed_dim=0), points)
    codec = {4: "int4", 8: "int8_packed"}[bits] if packs else "int8"
    grid = {"dtype": "bf16", "rows": 1, "columns": group, "zeros": {"codec": codec, "groupStride": 0, "isLessOne": False}}
    return codec, stored, scales, values, {"rows": rows, "columns": columns, "scales": grid}, zeros


scaled("mxfp4_split", *mxfp4(3, 64))
scaled("fp8", *fp8(6, 10, 4, 4, torch.float32))
scaled("fp8", *fp8(4, 8, 1, 8, torch.bfloat16))
scaled("fp8", *fp8(4, 8, 4, 8, torch.float16))
scaled("int4", *int4(3, 64, 32))
scaled(*gptq(72, 32, 16, 4, v1=True))
scaled(*gptq(16, 32, 8, 4, v1=False, act_order=True))
scaled(*gptq(8, 16, 8, 8, v1=True, act_order=True))
scaled(*awq(72, 12, 4))
scaled(*compressed(16, 32, 8, 4, packs=True))
scaled(*compressed(8, 16, 8, 8, packs=True))
scaled(*compressed(3, 16, 16, 8, packs=False))
print(json.dumps(cases, indent=1))
