"""Teaches the trained target not to repeat itself: unlikelihood training (Welleck et al., 2019, arXiv 1908.04319).

In rounds, the target writes greedy continuations of training prompts, in which tokens are marked that end an n-gram which
stood before; then these are made less likely (sequence level), and so are tokens of the corpus that would only repeat
one (token level). A token that has become unlikely may still be the most likely one, which is all that greedy text
heeds; so the sequence level also asks for a lead of the best token that repeats nothing, a contrast as in Jiang et al.,
2022 (arXiv 2205.02517).

On the corpus the target keeps to what it said before (Kullback-Leibler): as few tokens as this sees would teach it little,
and their noise would cost more perplexity than unlikelihood does. Only the last layers are trained, so the others are
those of before. Goes on from WORK/target.pt, once.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections import defaultdict
from dataclasses import dataclass
from math import log
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from corpus import KINDS
from distill import pad
from evaluate import loops
from generate import NEW_TOKENS, generate, training_prompts, until_end
from model import TARGET, Model
from tokenizer import END_ID, read_stream
from train import LONG_WINDOW, Progress, Sampler, heldout_losses

NGRAM = 5  # tokens that have to stand a second time before they count as repeated
KEEPING_WEIGHT, TOKEN_WEIGHT, SEQUENCE_WEIGHT, END_WEIGHT = 2.0, 0.5, 1.0, 1.0
# What leaves a loop is more text, not its end: END is to stay as unlikely as it was, where it was unlikelier than this.
END_FLOOR = 0.01
LEAD = 1.0  # of the best token that repeats nothing over the one that was chosen, in logits
# Of each text the first so many repetitions: where a loop begins is where it can be left.
REPETITIONS = 16
TRAINED_LAYERS = 2
RATE, WARMUP_STEPS = 3e-4, 10
# Texts and windows of a round, and the parts that they are trained in, each part twice.
OWN_ROWS, CORPUS_WINDOWS, PARTS, PASSES = 48, 12, 4, 2
PROMPTS_PER_KIND = 1200
HELDOUT_ROUNDS = 5  # between looks at perplexity


def main() -> None:
    flags = parse_flags()
    torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    path = flags.work / "target.pt"
    state = torch.load(path)
    model = Model(TARGET)
    model.load_state_dict(state["model"])
    progress = refine(model, Progress(**state["progress"]), flags)
    save(model, progress, path)


def refine(model: Model, progress: Progress, flags: argparse.Namespace) -> Progress:
    """All rounds; the rate reaches zero with the last (mutates model). @returns progress in all"""
    before = copy.deepcopy(last_of(model))
    optimizer = torch.optim.AdamW(trained_of(model), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    sampler = Sampler({kind: read_stream(flags.work, kind, "train") for kind in KINDS}, flags.seed)
    heldout = {kind: read_stream(flags.work, kind, "heldout") for kind in KINDS}
    prompts, coins = training_prompts(flags.work, PROMPTS_PER_KIND, flags.seed), Random(flags.seed)
    start, steps = time.monotonic(), 0
    wanted = flags.rounds * PASSES * PARTS
    print("held out:", heldout_losses(model, heldout), flush=True)
    while steps < wanted:
        own, looping = write_own(model, coins.sample(prompts, OWN_ROWS))
        windows = sampler.draw(CORPUS_WINDOWS, LONG_WINDOW)
        losses = []
        for part in PASSES * list(range(PARTS)):
            optimizer.param_groups[0]["lr"] = RATE * min(1 - steps / wanted, (steps + 1) / WARMUP_STEPS)
            losses.append(step(model, before, optimizer, windows[part::PARTS], own[part::PARTS]))
            steps += 1
        progress.tokens += windows.numel()
        report(losses, looping, steps, wanted)
        if steps % (HELDOUT_ROUNDS * len(losses)) == 0:
            print("held out:", heldout_losses(model, heldout), flush=True)
    print("held out:", heldout_losses(model, heldout), flush=True)
    return Progress(progress.step + steps, progress.tokens, progress.seconds + time.monotonic() - start)


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--rounds", type=int, default=12, help="rounds of writing and training")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@dataclass(frozen=True)
class Own:
    """A text of the target up to its end or its last marked token: the prompt's tokens come first."""

    tokens: list[int]
    places: list[tuple[int, list[int]]]  # (where in tokens, what would have repeated an n-gram there)
    prompt_length: int


def write_own(model: Model, prompts: list[list[int]]) -> tuple[list[Own | None], float]:
    """Greedy continuations, None where nothing repeats or ends; and the share of them that end in a loop."""
    written = [until_end(row) for row in generate(model, prompts, NEW_TOKENS, temperature=0.0).tolist()]
    own: list[Own | None] = []
    for prompt, new in zip(prompts, written):
        places = [(len(prompt) + at, known) for at, known in repetitions(new)[:REPETITIONS]]
        length = len(prompt + new) if new[-1] == END_ID else places[-1][0] + 1 if places else 0
        own.append(Own((prompt + new)[:length], places, len(prompt)) if length else None)
    return own, sum(map(loops, written)) / len(written)


def step(model: Model, before: list, optimizer, windows: Tensor, own: list[Own | None]) -> tuple[float, ...]:
    """One optimiser step (mutates model); returns the three losses."""
    keeping, repeating = corpus_losses(model, before, windows)
    repeated, ending = own_losses(model, before, own)
    loss = KEEPING_WEIGHT * keeping + TOKEN_WEIGHT * repeating + SEQUENCE_WEIGHT * repeated + END_WEIGHT * ending
    loss.backward()
    nn.utils.clip_grad_norm_(trained_of(model), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return keeping.item(), repeating.item(), repeated.item(), ending.item()


@torch.no_grad()
def below_trained(model: Model, tokens: Tensor) -> Tensor:
    """What goes into the first of the layers that are trained."""
    cos, sin, mask = model.positions(tokens.shape[1], None)
    x = model.embed_tokens(tokens)
    for layer in model.layers[:-TRAINED_LAYERS]:
        x, _ = layer(x, cos, sin, 0, None, mask)
    return x


def log_probability_of(model: Model, last: list, x: Tensor, rows=...) -> Tensor:
    """Of the next token, by the last layers and the norm behind them; of some (row, position) alone, or of all."""
    *layers, norm = last
    cos, sin, mask = model.positions(x.shape[1], None)
    for layer in layers:
        x, _ = layer(x, cos, sin, 0, None, mask)
    return F.linear(norm(x)[rows], model.embed_tokens.weight.detach()).log_softmax(dim=-1)


def last_of(model: Model) -> list[nn.Module]:
    return [*model.layers[-TRAINED_LAYERS:], model.norm]


def trained_of(model: Model) -> list[nn.Parameter]:
    return [p for module in last_of(model) for p in module.parameters()]


def corpus_losses(model: Model, before: list, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """How far the target is from what it was, and token-level unlikelihood, in windows (row, seq + 1)."""
    x = below_trained(model, tokens[:, :-1])
    with torch.no_grad():
        wanted = log_probability_of(model, before, x)
    log_probability = log_probability_of(model, last_of(model), x)  # (row, seq, vocab)
    keeping = F.kl_div(log_probability, wanted, log_target=True, reduction="sum") / tokens[:, 1:].numel()
    row, position, token = repeating_candidates(tokens.tolist())
    repeating = unlikelihood(log_probability[row, position, token]).sum() / tokens[:, 1:].numel()
    return keeping, repeating


def repeating_candidates(rows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    """(row, position, token): what followed the last NGRAM - 1 tokens earlier in the window, and does not now."""
    found = []
    for r, row in enumerate(rows):
        followers: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for position in range(NGRAM - 2, len(row) - 1):
            last, following = tuple(row[position - NGRAM + 2 : position + 1]), row[position + 1]
            found += [(r, position, token) for token in sorted(followers[last] - {following})]
            followers[last].add(following)
    return tuple(torch.tensor(found, dtype=torch.long).reshape(-1, 3).T)


def own_losses(model: Model, before: list, own: list[Own | None]) -> tuple[Tensor, Tensor]:
    """Of the target's own texts: what its repetitions cost, and how much likelier than before it is to end."""
    found = [text for text in own if text]
    if not found:
        return torch.zeros(()), torch.zeros(())
    tokens, _ = pad([text.tokens for text in found])
    x = below_trained(model, tokens[:, :-1])
    count = len(own) * REPETITIONS
    return repeated_loss(model, x, tokens, found) / count, ending_loss(model, before, x, found) / count


def repeated_loss(model: Model, x: Tensor, tokens: Tensor, found: list[Own]) -> Tensor:
    """Sequence level: unlikelihood of written tokens that end a repeated n-gram, and the lead of what would not."""
    marked = [(r, at, known) for r, text in enumerate(found) for at, known in text.places]
    if not marked:
        return torch.zeros(())
    row, position = torch.tensor([(r, at) for r, at, _ in marked]).T
    log_probability = log_probability_of(model, last_of(model), x, (row, position - 1))  # (repeated token, vocab)
    chosen = log_probability.gather(1, tokens[row, position][:, None])[:, 0]
    others = log_probability.clone()
    for i, (_, _, known) in enumerate(marked):
        # To end the text would repeat nothing either, and would soon be all that it does.
        others[i, [*known, END_ID]] = float("-inf")
    lacking = F.relu(chosen - others.max(dim=-1).values + LEAD)
    return (unlikelihood(chosen) + lacking).sum()


def ending_loss(model: Model, before: list, x: Tensor, found: list[Own]) -> Tensor:
    """How many nats END has become likelier, over every token that was written."""
    row, position = torch.tensor(
        [(r, at) for r, text in enumerate(found) for at in range(text.prompt_length, len(text.tokens))]
    ).T
    rows = (row, position - 1)
    with torch.no_grad():
        was = log_probability_of(model, before, x, rows)[:, END_ID].clamp(min=log(END_FLOOR))
    return F.relu(log_probability_of(model, last_of(model), x, rows)[:, END_ID] - was).sum()


def repetitions(written: list[int]) -> list[tuple[int, list[int]]]:
    """(where, tokens): where an n-gram ends that stood before, and the tokens that would have ended such a one there."""
    followers: dict[tuple[int, ...], set[int]] = defaultdict(set)
    places = []
    for at in range(NGRAM - 1, len(written)):
        known = followers[tuple(written[at - NGRAM + 1 : at])]
        if written[at] in known:
            places.append((at, sorted(known)))
        known.add(written[at])
    return places


def unlikelihood(log_probability: Tensor) -> Tensor:
    """-log(1 - p)."""
    return -torch.log1p(-log_probability.exp().clamp(max=1 - 1e-5))


def report(rows: list[tuple[float, ...]], looping: float, steps: int, wanted: int) -> None:
    keeping, repeating, repeated, ending = (sum(column) / len(rows) for column in zip(*rows))
    print(
        f"step {steps} of {wanted}  keeping {keeping:.4f}  repeating {repeating:.4f}  repeated {repeated:.3f}  ending {ending:.4f}"
        f"  looping {100 * looping:.0f} %",
        flush=True,
    )


def save(model: Model, progress: Progress, path: Path) -> None:
    """Writes aside and renames, so that a stopped write leaves the last checkpoint whole."""
    torch.save({"model": model.state_dict(), "progress": vars(progress)}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


if __name__ == "__main__":
    main()
