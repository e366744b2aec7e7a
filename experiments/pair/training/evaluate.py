"""Measures the exported pair: held-out perplexity, acceptance of greedy speculation, samples of text.

Prints one JSON document, which also goes to the file named by --into.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from corpus import KINDS
from export import load_exported, write_aside
from generate import generate, until_end
from model import DRAFT, TARGET, VOCAB, Model, count_parameters
from tokenizer import END_ID, Tokenizer, read_stream

CANDIDATES = 4
NEW_TOKENS = 128
PERPLEXITY_WINDOW = 256
LOOP_TAIL, LONGEST_PERIOD = 32, 16  # tokens
SAMPLE = 5  # which prompt of a workload is shown


def main() -> None:
    flags = parse_flags()
    torch.set_num_threads(flags.threads)
    tokenizer = Tokenizer.load(flags.pair / "target" / "tokenizer.json")
    target = load_exported(flags.pair / "target" / "model.safetensors", TARGET)
    draft = load_exported(flags.pair / "draft" / "model.safetensors", DRAFT)
    report = {
        "parameters": {"target": count_parameters(TARGET), "draft": count_parameters(DRAFT)},
        "training": {name: torch.load(flags.work / f"{name}.pt")["progress"] for name in ("target", "draft")},
        "workloads": {kind: measure(kind, target, draft, tokenizer, flags) for kind in KINDS},
    }
    text = json.dumps(report, indent=2) + "\n"
    write_aside(flags.into, text.encode())
    print(text)


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--pair", type=Path, required=True, help="for example experiments/pair")
    parser.add_argument("--into", type=Path, required=True, help="for example experiments/pair/evaluation.json")
    parser.add_argument("--perplexity-tokens", type=int, default=32768, help="held-out tokens per kind")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


@torch.inference_mode()
def measure(kind: str, target: Model, draft: Model, tokenizer: Tokenizer, flags: argparse.Namespace) -> dict:
    heldout = read_stream(flags.work, kind, "heldout")[: flags.perplexity_tokens + 1]
    lines = (flags.pair / "workloads" / f"{kind}.jsonl").read_text().splitlines()
    prompts = [json.loads(line)["prompt"] for line in lines]
    encoded = [tokenizer.encode(prompt) for prompt in prompts]
    written = [until_end(row) for row in generate(target, encoded, NEW_TOKENS, temperature=0.0).tolist()]
    matches = [agreement(draft, prompt, new) for prompt, new in zip(encoded, written)]
    return {
        "perplexity": {"target": perplexity(target, heldout), "draft": perplexity(draft, heldout)},
        "promptTokens": sum(map(len, encoded)),
        "newTokens": sum(map(len, written)),
        "acceptance": {str(length): acceptance([m[:length] for m in matches]) for length in (32, NEW_TOKENS)},
        "looping": round(sum(map(loops, written)) / len(written), 3),
        "sample": {"prompt": prompts[SAMPLE], "target": tokenizer.decode(written[SAMPLE][:64])},
    }


def perplexity(model: Model, stream: Tensor) -> float:
    """exp of the mean cross-entropy per token, over windows that do not see each other."""
    inputs = stream[:-1].view(-1, PERPLEXITY_WINDOW)
    wanted = stream[1:].view(-1, PERPLEXITY_WINDOW)
    total = 0.0
    for rows, goals in zip(inputs.split(16), wanted.split(16)):
        logits = model.logits(model(rows)[0]).view(-1, VOCAB)
        total += F.cross_entropy(logits, goals.flatten(), reduction="sum").item()
    return round(float(torch.tensor(total / wanted.numel()).exp()), 2)


def agreement(draft: Model, prompt: list[int], new: list[int]) -> list[bool]:
    """For each of the target's new tokens, whether the draft proposes it after the target's text up to there.

    A candidate counts only when all before it were accepted, so the draft's context is always the target's own text,
    and one pass over that text tells the outcome of every possible round.
    """
    hidden, _ = draft(torch.tensor([prompt + new[:-1]]))
    proposed = draft.logits(hidden[0, len(prompt) - 1 :]).argmax(dim=-1)
    return (proposed == torch.tensor(new)).tolist()


def loops(new: list[int]) -> bool:
    """Whether a text ends in a loop: its last LOOP_TAIL tokens repeat with a period of at most LONGEST_PERIOD.

    A shorter text has to show its period twice.
    """
    tail = new[-LOOP_TAIL:]
    return any(tail[period:] == tail[:-period] for period in range(1, min(LONGEST_PERIOD, len(tail) // 2) + 1))


def acceptance(matches: list[list[bool]]) -> dict:
    """Plays the rounds: each proposes CANDIDATES tokens and yields the accepted ones and one of the target's own.

    The first new token comes from prefill. Rounds that would propose beyond the text are left out.
    """
    rounds, accepted_at = 0, [0] * CANDIDATES
    for match in matches:
        position = 1
        while position + CANDIDATES < len(match):
            run = match[position : position + CANDIDATES]
            accepted = run.index(False) if False in run else CANDIDATES
            for i in range(accepted):
                accepted_at[i] += 1
            rounds, position = rounds + 1, position + accepted + 1
    if rounds == 0:
        return {"rounds": 0}
    return {
        "rounds": rounds,
        "rate": round(sum(accepted_at) / (rounds * CANDIDATES), 3),
        "tokensPerRound": round(1 + sum(accepted_at) / rounds, 2),
        "byPosition": [round(count / rounds, 3) for count in accepted_at],
    }


if __name__ == "__main__":
    main()
