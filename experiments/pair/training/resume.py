"""Writes the checkpoints that training left (WORK/target.pt, WORK/draft.pt) back from an exported pair, and the corpus in
its tokens, so that the other scripts go on from what is shipped. Optimisers begin anew: only weights are exported.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch

from export import CONFIGS, load_exported
from tokenizer import Tokenizer, tokenize_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder with the corpus, for the checkpoints")
    parser.add_argument("--pair", type=Path, required=True, help="for example experiments/pair")
    flags = parser.parse_args()
    training = json.loads((flags.pair / "evaluation.json").read_text())["training"]
    for name, config in CONFIGS.items():
        model = load_exported(flags.pair / name / "model.safetensors", config)
        torch.save({"model": model.state_dict(), "progress": training[name]}, flags.work / f"{name}.pt")
    shutil.copyfile(flags.pair / "target" / "tokenizer.json", flags.work / "tokenizer.json")
    tokenize_corpus(Tokenizer.load(flags.work / "tokenizer.json"), flags.work)


if __name__ == "__main__":
    main()
