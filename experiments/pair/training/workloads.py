"""Cuts 64 prompts per kind out of held-out documents and writes them as KIND.jsonl.

Prompts begin where a reader would begin (a definition, a paragraph, a turn, an entry), have ragged lengths of
24 to 160 tokens and end at the end of a word.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from corpus import KINDS, read_documents
from export import write_aside
from tokenizer import WORD, Tokenizer

PROMPTS = 64
SHORTEST, LONGEST = 24, 160  # tokens
# Where a prompt of each kind may begin.
BEGINNINGS = {
    "code": re.compile(r"(?m)^(?=(def|class|    def) \w)"),
    "prose": re.compile(r"(?m)^(?=[A-Z])"),
    "dialogue": re.compile(r"(?m)^(?=- )"),
    "reference": re.compile(r"(?m)^(?=\w[^\n]* \((noun|verb|adjective|adverb)\): )"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--into", type=Path, required=True, help="for example experiments/pair/workloads")
    parser.add_argument("--seed", type=int, default=1)
    flags = parser.parse_args()
    flags.into.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.load(flags.work / "tokenizer.json")
    for kind in KINDS:
        prompts = choose_prompts(kind, read_documents(flags.work, kind, "heldout"), tokenizer, flags.seed, PROMPTS)
        lines = [json.dumps({"prompt": prompt}) + "\n" for prompt in prompts]
        write_aside(flags.into / f"{kind}.jsonl", "".join(lines).encode())
        lengths = sorted(len(tokenizer.encode(prompt)) for prompt in prompts)
        print(f"{kind:10} {len(prompts)} prompts, {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}")


def choose_prompts(kind: str, documents: list[tuple[str, str]], tokenizer: Tokenizer, seed: int, wanted: int) -> list[str]:
    """Goes round the documents, so that each gives about as many prompts; no stretch of text is used twice."""
    coins = random.Random(f"{seed}/{kind}")
    starts = [shuffled([m.start() for m in BEGINNINGS[kind].finditer(text)], coins) for _, text in documents]
    used: list[list[tuple[int, int]]] = [[] for _ in documents]
    prompts: list[str] = []
    while len(prompts) < wanted and any(starts):
        for document in shuffled(range(len(documents)), coins):
            if starts[document] and len(prompts) < wanted:
                start = starts[document].pop()
                prompt = cut(documents[document][1][start:], coins.randint(SHORTEST, LONGEST), tokenizer)
                span = (start, start + len(prompt or ""))
                if prompt and not any(a < span[1] and span[0] < b for a, b in used[document]):
                    prompts.append(prompt)
                    used[document].append(span)
    return prompts


def shuffled(items, coins: random.Random) -> list:
    return coins.sample(list(items), len(items))


def cut(text: str, wanted: int, tokenizer: Tokenizer) -> str | None:
    """The first words of a text, at most `wanted` tokens; nothing when the text is too short."""
    words, tokens = [], 0
    for word in WORD.findall(text):
        tokens += len(tokenizer.encode_word(word))
        if tokens > wanted:
            break
        words.append(word)
    prompt = "".join(words).rstrip()
    return prompt if len(tokenizer.encode(prompt)) >= SHORTEST else None


if __name__ == "__main__":
    main()
