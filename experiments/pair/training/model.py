"""The two architectures of the pair, Mixtral (target) and Mistral (draft), as Hugging Face computes them.

One class serves both: a model with `experts == 1` has a plain gated FFN and no router.
Expert weights are stacked (expert, out, in), so that one tensor feeds the optimiser's batched steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ModelConfig:
    """Dimensions of a model. Widths are counted in channels, lengths in tokens."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    experts: int = 1
    experts_per_token: int = 1
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    max_positions: int = 512
    init_std: float = 0.02

    @property
    def is_sparse(self) -> bool:
        return self.experts > 1


VOCAB = 3072

TARGET = ModelConfig(
    vocab=VOCAB, hidden=256, layers=8, heads=4, kv_heads=2, head_dim=64, ffn=320, experts=8, experts_per_token=2
)
DRAFT = ModelConfig(vocab=VOCAB, hidden=128, layers=2, heads=4, kv_heads=2, head_dim=32, ffn=160)


def count_parameters(config: ModelConfig) -> tuple[int, int]:
    """(total, active per token), the tied embedding counted once in both."""
    attention = config.hidden * config.head_dim * (2 * config.heads + 2 * config.kv_heads)
    expert = 3 * config.hidden * config.ffn
    router = config.hidden * config.experts if config.is_sparse else 0
    shared = attention + router + 2 * config.hidden
    outside = config.vocab * config.hidden + config.hidden
    total = outside + config.layers * (shared + config.experts * expert)
    active = outside + config.layers * (shared + config.experts_per_token * expert)
    return total, active


def rope_tables(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """cos and sin, each (position, headDim), the two halves of headDim equal (rotate_half convention)."""
    exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequency = config.rope_theta**-exponent
    angle = torch.outer(torch.arange(config.max_positions, dtype=torch.float32), frequency)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x (batch, head, seq, headDim) with tables that broadcast to it."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class RMSNorm(nn.Module):
    """x / rms(x) * weight, in fp32 whatever the surrounding precision."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


class Cache:
    """Keys and values of every layer, (batch, kvHead, seqLen, headDim), for left-padded batches.

    `length` is the number of filled slots; `padding` (batch) the number of leading slots that hold nothing.
    """

    def __init__(self, config: ModelConfig, padding: Tensor, capacity: int):
        shape = (config.layers, padding.shape[0], config.kv_heads, capacity, config.head_dim)
        self.keys = torch.zeros(shape)
        self.values = torch.zeros(shape)
        self.padding = padding
        self.length = 0

    def positions(self, new: int) -> Tensor:
        """Positions (batch, new) of the next `new` tokens; padding slots are clamped to 0."""
        slots = torch.arange(self.length, self.length + new)
        return (slots[None] - self.padding[:, None]).clamp(min=0)

    def mask(self, new: int) -> Tensor:
        """True where a new token (batch, 1, new, seqLen) may look; padding rows see themselves, never nothing."""
        seen = torch.arange(self.length + new)
        asking = torch.arange(self.length, self.length + new)
        causal = seen[None, :] <= asking[:, None]
        real = seen[None, None, :] >= self.padding[:, None, None]
        itself = seen[None, :] == asking[:, None]
        return ((causal & real) | itself)[:, None]

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Stores new keys and values of one layer (mutates the cache) and returns all of them."""
        end = self.length + key.shape[2]
        self.keys[layer, :, :, self.length : end] = key
        self.values[layer, :, :, self.length : end] = value
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class Attention(nn.Module):
    """Causal grouped-query attention with rotary positions and no biases."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        query, kv = config.heads * config.head_dim, config.kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden, query, bias=False)
        self.k_proj = nn.Linear(config.hidden, kv, bias=False)
        self.v_proj = nn.Linear(config.hidden, kv, bias=False)
        self.o_proj = nn.Linear(query, config.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, layer: int, cache: Cache | None, mask: Tensor | None) -> Tensor:
        batch, seq, _ = x.shape
        query = rotate(self.split(self.q_proj(x), self.config.heads), cos, sin)
        key = rotate(self.split(self.k_proj(x), self.config.kv_heads), cos, sin)
        value = self.split(self.v_proj(x), self.config.kv_heads)
        if cache is not None:
            key, value = cache.append(layer, key, value)
        mixed = self.attend(query, key, value, mask)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, seq, -1))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """(batch, head, seq, headDim); without a mask causal, else mask (batch, 1, seq, seqLen) says who sees whom."""
        group = self.config.heads // self.config.kv_heads
        if mask is None:
            key, value = (t.repeat_interleave(group, dim=1) for t in (key, value))
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)
        # The heads of a group become rows of one query, so that a long cache is not copied per head.
        batch, heads, seq, width = query.shape
        rows = query.reshape(batch, self.config.kv_heads, group * seq, width)
        mixed = F.scaled_dot_product_attention(rows, key, value, attn_mask=mask.repeat(1, 1, group, 1))
        return mixed.reshape(batch, heads, seq, width)

    def split(self, x: Tensor, heads: int) -> Tensor:
        """(batch, seq, head * headDim) -> (batch, head, seq, headDim)."""
        return x.unflatten(-1, (heads, self.config.head_dim)).transpose(1, 2)


class GatedFFN(nn.Module):
    """down(silu(gate x) * up x)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.up_proj = nn.Linear(config.hidden, config.ffn, bias=False)
        self.down_proj = nn.Linear(config.ffn, config.hidden, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x)), x.new_zeros(())


class SparseFFN(nn.Module):
    """Mixtral's block-sparse mixture: each token goes to its best experts, weighed by renormalised probabilities."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.gate = nn.Linear(config.hidden, config.experts, bias=False)
        self.w1 = nn.Parameter(torch.empty(config.experts, config.ffn, config.hidden))
        self.w3 = nn.Parameter(torch.empty(config.experts, config.ffn, config.hidden))
        self.w2 = nn.Parameter(torch.empty(config.experts, config.hidden, config.ffn))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mixture, shaped as x (batch, seq, hidden), and the load-balancing loss (a scalar)."""
        tokens = x.reshape(-1, x.shape[-1])
        chosen, weight, balance = self.route(tokens)
        return self.mix(tokens, chosen, weight).view_as(x), balance

    def route(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Chosen experts and their weights, both (token, expertsPerToken), and the load-balancing loss."""
        probability = self.gate(tokens).float().softmax(dim=-1)
        weight, chosen = probability.topk(self.config.experts_per_token, dim=-1)
        weight = weight / weight.sum(dim=-1, keepdim=True)
        return chosen, weight, self.balance_loss(probability, chosen)

    def balance_loss(self, probability: Tensor, chosen: Tensor) -> Tensor:
        """experts * sum(share of choices * mean probability): 1 when balanced (Switch Transformer, eq. 4)."""
        share = torch.bincount(chosen.flatten(), minlength=self.config.experts) / chosen.numel()
        return self.config.experts * (share * probability.mean(dim=0)).sum()

    def mix(self, tokens: Tensor, chosen: Tensor, weight: Tensor) -> Tensor:
        """Sorts the (token, choice) pairs by expert, so that each expert is one dense product over its own rows."""
        order = chosen.flatten().argsort(stable=True)
        row = order // self.config.experts_per_token
        counts = torch.bincount(chosen.flatten(), minlength=self.config.experts).tolist()
        pieces = tokens[row].split(counts)
        # Unbound once: indexing w1[e] would make the backward pass fill a full stack of zeros per expert.
        experts = zip(self.w1.unbind(), self.w3.unbind(), self.w2.unbind())
        outputs = [gated(piece, *expert) for piece, expert in zip(pieces, experts)]
        weighted = torch.cat(outputs).float() * weight.flatten()[order, None]
        return torch.zeros_like(tokens, dtype=torch.float32).index_add(0, row, weighted).to(tokens.dtype)


def gated(x: Tensor, w1: Tensor, w3: Tensor, w2: Tensor) -> Tensor:
    """w2(silu(w1 x) * w3 x) for rows x (row, hidden)."""
    return F.linear(F.silu(F.linear(x, w1)) * F.linear(x, w3), w2)


class Block(nn.Module):
    """One decoder layer: attention and FFN, each behind a norm and added to the stream."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden, config.norm_eps)
        self.ffn = SparseFFN(config) if config.is_sparse else GatedFFN(config)

    def forward(self, x: Tensor, *context) -> tuple[Tensor, Tensor]:
        x = x + self.self_attn(self.input_layernorm(x), *context)
        mixed, balance = self.ffn(self.post_attention_layernorm(x))
        return x + mixed, balance


class Model(nn.Module):
    """A causal language model with tied embeddings."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab, config.hidden)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.hidden, config.norm_eps)
        cos, sin = rope_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.initialise()

    def initialise(self) -> None:
        """Normal weights; projections back into the stream are scaled down by depth (GPT-2)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            into_stream = name.endswith(("o_proj.weight", "down_proj.weight", "w2"))
            std = self.config.init_std / (2 * self.config.layers) ** 0.5 if into_stream else self.config.init_std
            nn.init.normal_(parameter, std=std)

    def forward(self, tokens: Tensor, cache: Cache | None = None) -> tuple[Tensor, Tensor]:
        """tokens (batch, seq) -> hidden states (batch, seq, hidden) and the mean load-balancing loss."""
        cos, sin, mask = self.positions(tokens.shape[1], cache)
        x, balance = self.embed_tokens(tokens), torch.zeros(())
        for i, layer in enumerate(self.layers):
            x, layer_balance = layer(x, cos, sin, i, cache, mask)
            balance = balance + layer_balance / len(self.layers)
        if cache is not None:
            cache.length += tokens.shape[1]
        return self.norm(x), balance

    def positions(self, new: int, cache: Cache | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Rotary tables and mask for `new` tokens; without a cache the plain causal pattern (mask None)."""
        if cache is None:
            return self.cos[:new], self.sin[:new], None
        where = cache.positions(new)
        return self.cos[where][:, None], self.sin[where][:, None], cache.mask(new)

    def logits(self, hidden: Tensor) -> Tensor:
        """(…, hidden) -> (…, vocab), through the tied embedding."""
        return F.linear(hidden, self.embed_tokens.weight)
