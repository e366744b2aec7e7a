"""Trains the target on the corpus until its time is up; the learning rate reaches zero exactly then.

Resumes from WORK/NAME.pt when that exists. Prints one progress line now and then, and held-out losses at checkpoints.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpus import KINDS
from model import TARGET, VOCAB, Model
from muon import create_optimizers, set_rate
from tokenizer import read_stream

# Shares of the kinds in a batch: dialogue is seen more often than its size suggests.
MIXTURE = {"code": 0.29, "prose": 0.26, "dialogue": 0.17, "reference": 0.28}
BALANCE_COEFFICIENT = 0.01
MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY = 0.02, 0.004, 0.05
WARMUP_SHARE = 0.02
BATCH_TOKENS = 8192
# Short windows first: they cost less attention. Long ones at the end teach the later positions.
SHORT_WINDOW, LONG_WINDOW, LONG_FROM = 256, 512, 0.7
PROGRESS_SECONDS, CHECKPOINT_SECONDS = 20, 300


@dataclass
class Progress:
    """How far the training has come; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0

    def share(self, budget_seconds: float) -> float:
        return min(1.0, self.seconds / budget_seconds)


class Sampler:
    """Draws windows (batch, window + 1) from the kinds' streams, with a random generator of its own."""

    def __init__(self, streams: dict[str, Tensor], seed: int):
        self.streams = [streams[kind] for kind in KINDS]
        self.weights = torch.tensor([MIXTURE[kind] for kind in KINDS])
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, batch: int, window: int) -> Tensor:
        kinds = torch.multinomial(self.weights, batch, replacement=True, generator=self.generator)
        return torch.stack([self.window_of(self.streams[kind], window + 1) for kind in kinds.tolist()])

    def window_of(self, stream: Tensor, length: int) -> Tensor:
        start = int(torch.randint(len(stream) - length, (), generator=self.generator))
        return stream[start : start + length]


def main() -> None:
    flags = parse_flags()
    torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    model = Model(TARGET)
    optimizers = create_optimizers(model, MATRIX_RATE, OTHER_RATE, WEIGHT_DECAY)
    sampler = Sampler({kind: read_stream(flags.work, kind, "train") for kind in KINDS}, flags.seed)
    path = flags.work / f"{flags.name}.pt"
    progress = restore(path, model, optimizers, sampler)
    print(f"seed {flags.seed}, {flags.minutes:g} minutes, {flags.threads} threads, from step {progress.step}", flush=True)
    train(model, optimizers, sampler, progress, flags.minutes * 60, path, flags.work)


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--name", default="target", help="name of the checkpoint")
    parser.add_argument("--minutes", type=float, default=70.0, help="training time, over all resumed runs together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def train(model, optimizers, sampler, progress: Progress, budget: float, path: Path, work: Path) -> None:
    """Steps until the budget (seconds) is spent; mutates everything it is given."""
    heldout = {kind: read_stream(work, kind, "heldout") for kind in KINDS}
    last = reported = saved = time.monotonic()
    losses: list[float] = []
    while progress.seconds < budget:
        losses.append(step(model, optimizers, sampler, progress, progress.share(budget)))
        now = time.monotonic()
        progress.seconds, last = progress.seconds + now - last, now
        if now - reported > PROGRESS_SECONDS:
            report(losses, progress, budget)
            losses, reported = [], now
        if now - saved > CHECKPOINT_SECONDS:
            save(path, model, optimizers, sampler, progress)
            print("held out:", heldout_losses(model, heldout), flush=True)
            saved = time.monotonic()
    save(path, model, optimizers, sampler, progress)
    print("held out:", heldout_losses(model, heldout), flush=True)


def step(model: Model, optimizers, sampler: Sampler, progress: Progress, share: float) -> float:
    """One optimiser step; returns the mean cross-entropy in nats per token."""
    window = SHORT_WINDOW if share < LONG_FROM else LONG_WINDOW
    tokens = sampler.draw(BATCH_TOKENS // window, window)
    hidden, balance = model(tokens[:, :-1])
    loss = F.cross_entropy(model.logits(hidden).view(-1, VOCAB), tokens[:, 1:].reshape(-1))
    (loss + BALANCE_COEFFICIENT * balance).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    set_rate(optimizers, rate_factor(share))
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    progress.step, progress.tokens = progress.step + 1, progress.tokens + BATCH_TOKENS
    return loss.item()


def rate_factor(share: float) -> float:
    """Linear warm-up, then linear decay to zero at share 1."""
    return min((share + 1e-3) / WARMUP_SHARE, (1 - share) / (1 - WARMUP_SHARE), 1.0)


@torch.no_grad()
def heldout_losses(model: Model, streams: dict[str, Tensor], windows: int = 16) -> str:
    """Cross-entropy of each kind over the first `windows` windows, as one line."""
    parts = []
    for kind, stream in streams.items():
        tokens = stream[: windows * SHORT_WINDOW + 1]
        hidden, _ = model(tokens[:-1].view(windows, SHORT_WINDOW))
        loss = F.cross_entropy(model.logits(hidden).view(-1, VOCAB), tokens[1:])
        parts.append(f"{kind} {loss.item():.3f}")
    return ", ".join(parts)


def report(losses: list[float], progress: Progress, budget: float) -> None:
    left = (budget - progress.seconds) / 60
    mean = sum(losses) / len(losses)
    rate = progress.tokens / progress.seconds
    print(f"step {progress.step}  loss {mean:.3f}  {progress.tokens / 1e6:.2f} M tokens  {rate:.0f}/s  {left:.1f} min left", flush=True)


def save(path: Path, model, optimizers, sampler: Sampler, progress: Progress) -> None:
    """Writes a checkpoint aside and renames it, so that a stopped write leaves the last one whole."""
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "generator": sampler.generator.get_state(),
        "progress": vars(progress),
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def restore(path: Path, model, optimizers, sampler: Sampler) -> Progress:
    if not path.exists():
        return Progress()
    state = torch.load(path)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"]):
        optimizer.load_state_dict(saved)
    sampler.generator.set_state(state["generator"])
    return Progress(**state["progress"])


if __name__ == "__main__":
    main()
