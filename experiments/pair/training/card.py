"""Renders evaluation.json as the tables of MODEL_CARD.md, between its two marks."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from export import write_aside

BEGIN, END = "<!-- numbers: written by training/card.py -->", "<!-- end of numbers -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pair", type=Path, required=True, help="for example experiments/pair")
    pair = parser.parse_args().pair
    report = json.loads((pair / "evaluation.json").read_text())
    card = pair / "MODEL_CARD.md"
    numbers = "\n\n".join([BEGIN, training_table(report), quality_table(report), acceptance_table(report), samples(report), END])
    text = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: numbers, card.read_text(), flags=re.S)
    write_aside(card, text.encode())


def table(header: list[str], rows: list[list]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def training_table(report: dict) -> str:
    rows = []
    for name, progress in report["training"].items():
        total, active = report["parameters"][name]
        seen = f"{progress['tokens'] / 1e6:.2f} M"
        rows.append([name, f"{total:,}", f"{active:,}", seen, progress["step"], f"{progress['seconds'] / 60:.0f} min"])
    header = ["", "parameters", "active per token", "training tokens seen", "steps", "training time"]
    return "### Training\n\n" + table(header, rows)


def quality_table(report: dict) -> str:
    """Perplexities, and how much of the greedy text ends in a loop (which raises acceptance)."""
    rows = [
        [kind, w["perplexity"]["target"], w["perplexity"]["draft"], f"{100 * w['looping']:.0f} %"]
        for kind, w in report["workloads"].items()
    ]
    header = ["", "perplexity of target", "perplexity of draft", "target's texts that end in a loop"]
    return "### Held-out perplexity (per token, windows of 256), and loops in 128 greedy tokens\n\n" + table(header, rows)


def acceptance_table(report: dict) -> str:
    """One row per workload and generation length."""
    rows = []
    for kind, workload in report["workloads"].items():
        for length, a in workload["acceptance"].items():
            positions = " / ".join(f"{share:.2f}" for share in a["byPosition"])
            rows.append([kind, length, a["rounds"], f"{a['rate']:.3f}", f"{a['tokensPerRound']:.2f}", positions])
    header = ["", "new tokens", "rounds", "accepted per candidate", "tokens per round", "accepted at position 1 / 2 / 3 / 4"]
    return "### Acceptance (greedy, 4 candidates)\n\n" + table(header, rows)


def samples(report: dict) -> str:
    parts = ["### Samples (greedy, 64 tokens, target; the prompt comes first, then the mark `>>>`)"]
    for kind, workload in report["workloads"].items():
        text = workload["sample"]["prompt"] + " >>> " + workload["sample"]["target"].lstrip(" ")
        parts.append(f"{kind}:\n\n```text\n{text}\n```")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
