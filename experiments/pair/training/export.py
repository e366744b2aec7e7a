"""Writes a checkpoint as a Hugging Face directory: bf16 safetensors, configuration, tokenizer.

Tensors lie layer by layer in the file: the attention group first, then one expert after the other, so that what a
weight offloader moves together is contiguous.
"""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path
from typing import Iterator

import torch
from torch import Tensor

from model import DRAFT, TARGET, Model, ModelConfig
from tokenizer import END, END_ID

CONFIGS = {"target": TARGET, "draft": DRAFT}
ATTENTION_GROUP = (
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "post_attention_layernorm",
)


def named_tensors(model: Model) -> Iterator[tuple[str, Tensor]]:
    """All tensors under their Hugging Face names, in the order of the file."""
    yield "model.embed_tokens.weight", model.embed_tokens.weight
    for i, layer in enumerate(model.layers):
        state = layer.state_dict()
        for part in ATTENTION_GROUP:
            yield f"model.layers.{i}.{part}.weight", state[f"{part}.weight"]
        yield from sparse_tensors(i, state, model.config) if model.config.is_sparse else dense_tensors(i, state)
    yield "model.norm.weight", model.norm.weight


def sparse_tensors(i: int, state: dict[str, Tensor], config: ModelConfig) -> Iterator[tuple[str, Tensor]]:
    yield f"model.layers.{i}.block_sparse_moe.gate.weight", state["ffn.gate.weight"]
    for e in range(config.experts):
        for w in ("w1", "w2", "w3"):
            yield f"model.layers.{i}.block_sparse_moe.experts.{e}.{w}.weight", state[f"ffn.{w}"][e]


def dense_tensors(i: int, state: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for part in ("gate_proj", "up_proj", "down_proj"):
        yield f"model.layers.{i}.mlp.{part}.weight", state[f"ffn.{part}.weight"]


def load_exported(path: Path, config: ModelConfig) -> Model:
    """A model from an exported model.safetensors, widened to fp32; shares nothing with the writer but the names."""
    raw = path.read_bytes()
    header_bytes = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + header_bytes])
    model = Model(config)
    with torch.no_grad():
        for name, tensor in named_tensors(model):
            start, end = (8 + header_bytes + offset for offset in header[name]["data_offsets"])
            stored = torch.frombuffer(bytearray(raw[start:end]), dtype=torch.bfloat16)
            tensor.copy_(stored.view(header[name]["shape"]))
    return model


def write_aside(path: Path, content: bytes) -> None:
    """Writes a file aside and renames it, so that readers see the old or the new one, whole."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_bytes(content)
    aside.rename(path)


def write_json(path: Path, content: dict) -> None:
    write_aside(path, (json.dumps(content, indent=2) + "\n").encode())


def safetensors_bytes(tensors: list[tuple[str, Tensor]]) -> bytes:
    """The file's content in the order given; the header is padded to a multiple of 8 bytes, as the format asks."""
    header: dict = {"__metadata__": {"format": "pt"}}
    data = bytearray()
    for name, tensor in tensors:
        stored = tensor.detach().bfloat16().contiguous().view(torch.uint8).numpy().tobytes()
        offsets = [len(data), len(data) + len(stored)]
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": offsets}
        data += stored
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(data)


def describe(config: ModelConfig) -> dict:
    """The content of config.json."""
    common = {
        "vocab_size": config.vocab,
        "hidden_size": config.hidden,
        "intermediate_size": config.ffn,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "sliding_window": None,
        "attention_dropout": 0.0,
        "initializer_range": config.init_std,
        "tie_word_embeddings": True,
        "use_cache": True,
        "bos_token_id": END_ID,
        "eos_token_id": END_ID,
        "pad_token_id": END_ID,
        "torch_dtype": "bfloat16",
    }
    if not config.is_sparse:
        return {"architectures": ["MistralForCausalLM"], "model_type": "mistral", **common}
    sparse = {
        "num_local_experts": config.experts,
        "num_experts_per_tok": config.experts_per_token,
        "router_aux_loss_coef": 0.01,
        "router_jitter_noise": 0.0,
        "output_router_logits": False,
    }
    return {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral", **common, **sparse}


def write_tokenizer(folder: Path, trained: Path, config: ModelConfig) -> None:
    write_aside(folder / "tokenizer.json", trained.read_bytes())
    special = {"content": END, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": {str(END_ID): special},
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "bos_token": END,
        "eos_token": END,
        "pad_token": END,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.max_positions,
    }
    write_json(folder / "tokenizer_config.json", settings)


def export(model: Model, folder: Path, tokenizer: Path) -> None:
    """Writes the whole directory and checks the weights by reading them back."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", describe(model.config))
    ids = {"bos_token_id": END_ID, "eos_token_id": END_ID, "pad_token_id": END_ID}
    write_json(folder / "generation_config.json", {**ids, "do_sample": False})
    write_tokenizer(folder, tokenizer, model.config)
    write_aside(folder / "model.safetensors", safetensors_bytes(list(named_tensors(model))))
    verify(model, folder)


@torch.no_grad()
def verify(model: Model, folder: Path) -> None:
    """Every weight is the bf16 rounding of the trained one; prints what that does to the logits.

    A router near a tie may choose another expert after rounding, so the largest difference says little.
    """
    loaded = load_exported(folder / "model.safetensors", model.config)
    for (name, ours), (_, theirs) in zip(named_tensors(model), named_tensors(loaded), strict=True):
        assert torch.equal(ours.bfloat16().float(), theirs), f"{name} is not the rounding of the trained tensor"
    tokens = torch.arange(64)[None] * 7 % model.config.vocab
    difference = (model.logits(model(tokens)[0]) - loaded.logits(loaded(tokens)[0])).abs()
    size = (folder / "model.safetensors").stat().st_size
    print(f"{folder}: {size} bytes, logits differ by {difference.mean():.3f} on average, {difference.max():.3f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=CONFIGS)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--into", type=Path, required=True, help="for example experiments/pair/target")
    parser.add_argument("--untrained", action="store_true", help="export random weights of the right shapes")
    flags = parser.parse_args()
    torch.manual_seed(1)
    model = Model(CONFIGS[flags.model])
    if not flags.untrained:
        model.load_state_dict(torch.load(flags.work / f"{flags.model}.pt")["model"])
    export(model, flags.into, flags.work / "tokenizer.json")


if __name__ == "__main__":
    main()
