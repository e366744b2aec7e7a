"""Distils the target into the draft: on text the target wrote itself and on corpus text.

The target runs once over all text; its final hidden states are kept (fp16) and its probabilities recomputed from them,
so every epoch after that costs the draft alone.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpus import KINDS
from model import DRAFT, TARGET, Model
from muon import create_optimizers, set_rate
from tokenizer import END_ID, read_stream
from train import MIXTURE, Progress, rate_factor

WINDOW = 256
BATCH_TOKENS = 4096
MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY = 0.02, 0.004, 0.0
# Half of the loss follows the target's distribution (what sampling needs), half its first choice (what greedy needs).
FIRST_CHOICE_WEIGHT = 0.5
PROGRESS_SECONDS = 20


@dataclass(frozen=True)
class Batch:
    """Text with what the target thinks of it."""

    tokens: Tensor  # (row, seq), right-padded with END
    hidden: Tensor  # (row, seq, hidden of the target), fp16
    real: Tensor  # (row, seq), False in the padding


def main() -> None:
    flags = parse_flags()
    torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    target, draft = Model(TARGET), Model(DRAFT)
    target.load_state_dict(torch.load(flags.work / "target.pt")["model"])
    if flags.go_on:
        draft.load_state_dict(torch.load(flags.work / "draft.pt")["model"])
    else:
        start_from_target(draft, target)
    batches = [ask(target, tokens, real) for tokens, real in collect(flags)]
    print(f"seed {flags.seed}, {len(batches)} batches, {sum(int(b.real.sum()) for b in batches)} tokens", flush=True)
    progress = distil(draft, target.embed_tokens.weight.detach(), batches, flags)
    torch.save({"model": draft.state_dict(), "progress": vars(progress)}, flags.work / "draft.pt")


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--minutes", type=float, default=15.0, help="training time of the draft")
    parser.add_argument("--go-on", action="store_true", help="from WORK/draft.pt, which followed another target")
    parser.add_argument("--corpus-tokens", type=int, default=700_000, help="corpus text beside the generated text")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@torch.no_grad()
def start_from_target(draft: Model, target: Model) -> None:
    """The draft's embedding starts as the best low-rank view of the target's (mutates draft)."""
    embedding = target.embed_tokens.weight
    _, _, axes = torch.linalg.svd(embedding, full_matrices=False)
    draft.embed_tokens.weight.copy_(embedding @ axes[: draft.config.hidden].T)


def collect(flags: argparse.Namespace) -> list[tuple[Tensor, Tensor]]:
    """(tokens, real) batches of the generated sequences and of corpus windows."""
    return [*generated_batches(flags.work), *corpus_batches(flags.work, flags.corpus_tokens, flags.seed)]


def generated_batches(work: Path) -> list[tuple[Tensor, Tensor]]:
    """Sequences of about one length share a batch, so that little is padding."""
    sequences = sorted(torch.load(work / "generated.pt"), key=len)
    rows = BATCH_TOKENS // WINDOW
    return [pad(sequences[i : i + rows]) for i in range(0, len(sequences), rows)]


def pad(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, sequences))
    tokens = torch.tensor([s + [END_ID] * (longest - len(s)) for s in sequences])
    real = torch.arange(longest)[None] < torch.tensor([len(s) for s in sequences])[:, None]
    return tokens, real


def corpus_batches(work: Path, wanted: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Windows of the training streams in the mixture of the target's training, shuffled."""
    coins = torch.Generator().manual_seed(seed)
    windows = []
    for kind in KINDS:
        all_windows = read_stream(work, kind, "train").unfold(0, WINDOW, WINDOW)
        count = int(wanted * MIXTURE[kind]) // WINDOW
        windows.append(all_windows[torch.randperm(len(all_windows), generator=coins)[:count]])
    mixed = torch.cat(windows)
    mixed = mixed[torch.randperm(len(mixed), generator=coins)]
    return [(tokens, torch.ones_like(tokens, dtype=torch.bool)) for tokens in mixed.split(BATCH_TOKENS // WINDOW)]


@torch.no_grad()
def ask(target: Model, tokens: Tensor, real: Tensor) -> Batch:
    hidden, _ = target(tokens)
    return Batch(tokens, hidden.half(), real)


def distil(draft: Model, embedding: Tensor, batches: list[Batch], flags: argparse.Namespace) -> Progress:
    """Steps over the batches in random order until the time is up (mutates draft)."""
    optimizers = create_optimizers(draft, MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY)
    progress, budget, start = Progress(), flags.minutes * 60, time.monotonic()
    reported, scores = start, []
    for batch in endless(batches, flags.seed):
        scores.append(step(draft, embedding, batch, optimizers, progress.share(budget)))
        now = time.monotonic()
        progress.step, progress.seconds = progress.step + 1, now - start
        progress.tokens += int(batch.real.sum())
        if now - reported > PROGRESS_SECONDS:
            report(scores, progress, budget)
            reported, scores = now, []
        if progress.seconds >= budget:
            return progress


def endless(batches: list[Batch], seed: int) -> Iterator[Batch]:
    """The batches in a new random order each epoch."""
    coins = torch.Generator().manual_seed(seed)
    while True:
        for i in torch.randperm(len(batches), generator=coins).tolist():
            yield batches[i]


def report(scores: list[tuple[float, float]], progress: Progress, budget: float) -> None:
    loss, agreement = (sum(column) / len(scores) for column in zip(*scores))
    left = (budget - progress.seconds) / 60
    print(
        f"step {progress.step}  loss {loss:.3f}  agreement {agreement:.3f}  {progress.tokens / 1e6:.2f} M tokens"
        f"  {progress.tokens / progress.seconds:.0f}/s  {left:.1f} min left",
        flush=True,
    )


def step(draft: Model, embedding: Tensor, batch: Batch, optimizers, share: float) -> tuple[float, float]:
    """One optimiser step; returns the loss and how often the draft's first choice is the target's."""
    logits = draft.logits(draft(batch.tokens)[0][batch.real])  # (token, vocab)
    wanted = F.linear(batch.hidden[batch.real].float(), embedding)  # (token, vocab)
    first = wanted.argmax(dim=-1)
    log_probability = logits.log_softmax(dim=-1)
    distribution_loss = F.kl_div(log_probability, wanted.log_softmax(dim=-1), log_target=True, reduction="batchmean")
    loss = torch.lerp(distribution_loss, F.nll_loss(log_probability, first), FIRST_CHOICE_WEIGHT)
    loss.backward()
    nn.utils.clip_grad_norm_(draft.parameters(), 1.0)
    set_rate(optimizers, rate_factor(share))
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item(), (logits.argmax(dim=-1) == first).float().mean().item()


if __name__ == "__main__":
    main()
