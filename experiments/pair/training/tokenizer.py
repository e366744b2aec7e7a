"""Trains a byte-level BPE on the corpus and writes it as a Hugging Face tokenizer.json.

Also the encoder and decoder the training scripts use; they assume ASCII text, where Python's `re` classes and the
tokenizer's Unicode classes agree.
"""

from __future__ import annotations

import argparse
import heapq
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import torch
from torch import Tensor

from corpus import KINDS, read_documents
from model import VOCAB

END = "<|end|>"
END_ID = 0
# GPT-2's pattern, as the ByteLevel pre-tokenizer applies it.
WORD = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")
Pair = tuple[str, str]


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each byte value, (256)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


ALPHABET = byte_alphabet()
BYTE_OF = {symbol: byte for byte, symbol in enumerate(ALPHABET)}


def to_symbols(word: str) -> list[str]:
    return [ALPHABET[byte] for byte in word.encode()]


class Tokenizer:
    """Encodes and decodes with merges in order of priority; END has id 0, bytes come next, then the merges."""

    def __init__(self, merges: list[Pair]):
        self.merges = merges
        self.rank = {pair: i for i, pair in enumerate(merges)}
        pieces = [END, *ALPHABET, *(left + right for left, right in merges)]
        self.id_of = {piece: i for i, piece in enumerate(pieces)}
        self.piece_of = pieces
        self.cache: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        return [token for word in WORD.findall(text) for token in self.encode_word(word)]

    def encode_word(self, word: str) -> list[int]:
        if word not in self.cache:
            self.cache[word] = [self.id_of[piece] for piece in self.merge(to_symbols(word))]
        return self.cache[word]

    def merge(self, pieces: list[str]) -> list[str]:
        """Applies the best-ranked merge until none applies."""
        while len(pieces) > 1:
            rank, i = min((self.rank.get(pair, len(self.rank)), i) for i, pair in enumerate(zip(pieces, pieces[1:])))
            if rank == len(self.rank):
                break
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        return pieces

    def decode(self, tokens: list[int]) -> str:
        """Text of the tokens, END left out; broken UTF-8 is replaced."""
        symbols = "".join(self.piece_of[token] for token in tokens if token != END_ID)
        return bytes(BYTE_OF[symbol] for symbol in symbols).decode(errors="replace")

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        merges = json.loads(path.read_text())["model"]["merges"]
        return cls([tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in merges])

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.describe(), ensure_ascii=False, indent=1) + "\n")

    def describe(self) -> dict:
        """The content of tokenizer.json."""
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        special = {"id": END_ID, "content": END, "single_word": False, "lstrip": False, "rstrip": False}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{**special, "normalized": False, "special": True}],
            "normalizer": None,
            "pre_tokenizer": byte_level,
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": self.id_of,
                "merges": [" ".join(pair) for pair in self.merges],
            },
        }


def train_bpe(count_of: Counter[str], merges_wanted: int) -> list[Pair]:
    """Greedy BPE over word counts; ties go to the alphabetically first pair. A heap holds stale counts, checked late."""
    words = [to_symbols(word) for word in count_of]
    weights = list(count_of.values())
    pair_count: Counter[Pair] = Counter()
    words_with: dict[Pair, set[int]] = defaultdict(set)
    for w, symbols in enumerate(words):
        for pair in zip(symbols, symbols[1:]):
            pair_count[pair] += weights[w]
            words_with[pair].add(w)
    heap = [(-count, pair) for pair, count in pair_count.items()]
    heapq.heapify(heap)
    merges: list[Pair] = []
    while len(merges) < merges_wanted:
        count, best = heapq.heappop(heap)
        if -count != pair_count[best]:
            continue
        merges.append(best)
        for pair in apply_merge(best, words, weights, pair_count, words_with):
            heapq.heappush(heap, (-pair_count[pair], pair))
    return merges


def apply_merge(best: Pair, words, weights, pair_count, words_with) -> set[Pair]:
    """Merges `best` in every word that has it (mutates all four tables); returns the pairs whose count changed."""
    changed: set[Pair] = set()
    for w in words_with.pop(best):
        before, after = words[w], merge_pair(words[w], best)
        for pair in zip(before, before[1:]):
            pair_count[pair] -= weights[w]
            changed.add(pair)
        for pair in zip(after, after[1:]):
            pair_count[pair] += weights[w]
            words_with[pair].add(w)
            changed.add(pair)
        words[w] = after
    changed.discard(best)
    pair_count[best] = 0
    return {pair for pair in changed if pair_count[pair] > 0}


def merge_pair(symbols: list[str], pair: Pair) -> list[str]:
    merged, i = [], 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            merged.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            merged.append(symbols[i])
            i += 1
    return merged


def tokenize_corpus(tokenizer: Tokenizer, work: Path) -> None:
    """Writes KIND.HALF.pt: all documents of a half as one stream (int16), each followed by END."""
    for kind in KINDS:
        for half in ("train", "heldout"):
            stream: list[int] = []
            for _, text in read_documents(work, kind, half):
                stream += tokenizer.encode(text) + [END_ID]
            torch.save(torch.tensor(stream, dtype=torch.int16), work / "corpus" / f"{kind}.{half}.pt")
            print(f"{kind:10} {half:8} {len(stream):9} tokens")


def read_stream(work: Path, kind: str, half: str) -> Tensor:
    """A half of a kind as one stream of token ids (token), int64."""
    return torch.load(work / "corpus" / f"{kind}.{half}.pt").long()


def count_words(work: Path) -> Counter[str]:
    """Word counts over the training halves, each kind weighed to count as much as the largest."""
    counts = {k: Counter(w for _, text in read_documents(work, k, "train") for w in WORD.findall(text)) for k in KINDS}
    largest = max(counter.total() for counter in counts.values())
    total: Counter[str] = Counter()
    for counter in counts.values():
        scale = max(1, round(largest / counter.total()))
        total.update({word: count * scale for word, count in counter.items()})
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    work = parser.parse_args().work
    tokenizer = Tokenizer(train_bpe(count_words(work), VOCAB - 1 - len(ALPHABET)))
    tokenizer.save(work / "tokenizer.json")
    tokenize_corpus(tokenizer, work)


if __name__ == "__main__":
    main()
