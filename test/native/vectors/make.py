"""Random blocks of every stored format and what the gguf package (0.19) and transformers (5.18) make of them.

    pip install gguf==0.19.0 torch==2.13.0 && python make.py > expected.json

Values are fp32, as base64 of their little-endian bytes.
"""

import base64
import json

import numpy as np
import torch
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


def scaled(codec, stored, scales, values, layout):
    raw = scales.view(torch.uint8) if scales.dtype != torch.uint8 else scales
    cases.append(
        {
            **{"codec": codec, "layout": layout, "stored": text(stored.numpy())},
            **{"scales": text(raw.numpy()), "values": text(values.float().numpy())},
        }
    )


scaled("mxfp4_split", *mxfp4(3, 64))
scaled("fp8", *fp8(6, 10, 4, 4, torch.float32))
scaled("fp8", *fp8(4, 8, 1, 8, torch.bfloat16))
scaled("fp8", *fp8(4, 8, 4, 8, torch.float16))
scaled("int4", *int4(3, 64, 32))
print(json.dumps(cases, indent=1))
