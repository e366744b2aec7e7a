"""Continues many prompts at once with a key/value cache; as a script, writes the target's own text for distillation."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from corpus import KINDS, read_documents
from model import TARGET, Cache, Model
from tokenizer import END_ID, Tokenizer
from workloads import choose_prompts

NEW_TOKENS = 128
# Greedy text is what the draft will be measured on; a little temperature shows it the roads beside.
TEMPERATURES = (0.0, 0.0, 0.5)
ROWS = 96  # sequences per batch


@torch.inference_mode()
def generate(model: Model, prompts: list[list[int]], new_tokens: int, temperature: float, generator=None) -> Tensor:
    """New tokens (prompt, new_tokens) after each prompt; temperature 0 is greedy. Nothing stops at END."""
    longest = max(map(len, prompts))
    padding = torch.tensor([longest - len(prompt) for prompt in prompts])
    tokens = torch.tensor([[END_ID] * (longest - len(prompt)) + prompt for prompt in prompts])
    cache = Cache(model.config, padding, longest + new_tokens)
    chosen = []
    for _ in range(new_tokens):
        hidden, _ = model(tokens, cache)
        tokens = choose(model.logits(hidden[:, -1]), temperature, generator)
        chosen.append(tokens)
    return torch.cat(chosen, dim=1)


def choose(logits: Tensor, temperature: float, generator) -> Tensor:
    """One token per row (row, 1) from logits (row, vocab)."""
    if temperature == 0:
        return logits.argmax(dim=-1, keepdim=True)
    return torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=generator)


def until_end(tokens: list[int]) -> list[int]:
    """The tokens up to and including the first END."""
    return tokens[: tokens.index(END_ID) + 1] if END_ID in tokens else tokens


def training_prompts(work: Path, per_kind: int, seed: int) -> list[list[int]]:
    """Prompts cut from training documents as the workloads are cut from held-out ones, the kinds interleaved."""
    tokenizer = Tokenizer.load(work / "tokenizer.json")
    by_kind = [choose_prompts(kind, read_documents(work, kind, "train"), tokenizer, seed, per_kind) for kind in KINDS]
    return [tokenizer.encode(prompt) for together in zip(*by_kind) for prompt in together]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--minutes", type=float, default=4.5, help="stop after this long, whatever is left")
    parser.add_argument("--per-kind", type=int, default=2400, help="prompts per kind at most")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    model = Model(TARGET)
    model.load_state_dict(torch.load(flags.work / "target.pt")["model"])
    prompts = training_prompts(flags.work, flags.per_kind, flags.seed)
    coins = torch.Generator().manual_seed(flags.seed)
    start, sequences = time.monotonic(), []
    for first in range(0, len(prompts), ROWS):
        batch = prompts[first : first + ROWS]
        temperature = TEMPERATURES[first // ROWS % len(TEMPERATURES)]
        new = generate(model, batch, NEW_TOKENS, temperature, coins).tolist()
        sequences += [prompt + until_end(continuation) for prompt, continuation in zip(batch, new)]
        seconds = time.monotonic() - start
        rate = (first + len(batch)) * NEW_TOKENS / seconds
        print(f"{len(sequences)} sequences, {rate:.0f} tokens/s, {flags.minutes - seconds / 60:.1f} min left", flush=True)
        if seconds > flags.minutes * 60:
            break
    torch.save(sequences, flags.work / "generated.pt")


if __name__ == "__main__":
    main()
