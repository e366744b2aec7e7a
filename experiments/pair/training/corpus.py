"""Gathers the four kinds of text from installed Debian packages and holds out whole documents.

Writes KIND.train.jsonl and KIND.heldout.jsonl, one {"name", "text"} per line. All text is ASCII, so that
Python's `re` and the tokenizer's Unicode classes split it alike.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Iterable, Iterator

KINDS = ("code", "prose", "dialogue", "reference")
HELDOUT_SHARE = 0.06
Document = tuple[str, str]  # (name, text)

SKIPPED_MODULES = re.compile(
    r"(^|/)(encodings|idlelib|lib2to3|pydoc_data|turtledemo|tests?|ensurepip|dist-packages|__pycache__)(/|$)"
    r"|_sysconfigdata|html/entities|_pydecimal|turtle\.py|pickletools|locale\.py|_pyio|__phello__"
)
LARGEST_MODULE_CHARS = 70_000

# The narrative books; laws, lists, psalms and prophets read differently and would dilute them.
NARRATIVE_BOOKS = "Ge Exo Josh Jdgs Ruth 1Sm 2Sm 1Ki 2Ki 2Chr Ezra Neh Est Dan Jonah Mat Mark Luke John Acts".split()

GLOSS_SHARE = 0.3  # of WordNet's glosses: definitions teach little about each other, so fewer, seen more often
ENTRIES_PER_DOCUMENT = 24
PARTS_OF_SPEECH = {"n": "noun", "v": "verb", "adj": "adjective", "adv": "adverb"}


def main() -> None:
    flags = parse_flags()
    folder = flags.work / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    novels = list(read_novels())
    makers = {
        "code": read_modules(flags.python_library),
        "prose": [*narration(novels), *read_bible()],
        "dialogue": dialogue(novels),
        "reference": read_glossary(flags.wordnet),
    }
    for kind, documents in makers.items():
        write_split(folder, kind, documents, flags.seed)


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pair"), help="folder for corpus and checkpoints")
    parser.add_argument("--seed", type=int, default=1, help="decides which documents are held out")
    parser.add_argument("--python-library", type=Path, default=Path("/usr/lib/python3.11"))
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/dictd/wn.dict.dz"))
    return parser.parse_args()


def write_split(folder: Path, kind: str, documents: Iterable[Document], seed: int) -> None:
    """Writes both halves of a kind and prints their sizes."""
    halves: dict[str, list[Document]] = {"train": [], "heldout": []}
    for name, text in documents:
        held_out = fraction_of(f"{seed}/{kind}/{name}") < HELDOUT_SHARE
        halves["heldout" if held_out else "train"].append((name, text))
    for half, members in halves.items():
        lines = [json.dumps({"name": name, "text": text}) + "\n" for name, text in members]
        (folder / f"{kind}.{half}.jsonl").write_text("".join(lines))
        print(f"{kind:10} {half:8} {len(members):6} documents {sum(len(text) for _, text in members):9} characters")


def fraction_of(key: str) -> float:
    """A number in [0, 1) that depends on nothing but the key."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def read_documents(folder: Path, kind: str, half: str) -> list[Document]:
    """The documents of one half of a kind, as written by this script."""
    lines = (folder / "corpus" / f"{kind}.{half}.jsonl").read_text().splitlines()
    return [(record["name"], record["text"]) for record in map(json.loads, lines)]


def to_ascii(text: str) -> str:
    """Typographic quotes and dashes become plain ones; anything else outside ASCII is dropped."""
    plain = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2014: "--", 0x2013: "-", 0xA3: "L"})
    return plain.encode("ascii", "ignore").decode()


# --- code: the Python standard library ---


def read_modules(library: Path) -> Iterator[Document]:
    for path in sorted(library.rglob("*.py")):
        name = str(path.relative_to(library))
        text = path.read_text(errors="replace")
        if not SKIPPED_MODULES.search(name) and text.isascii() and 400 < len(text) < LARGEST_MODULE_CHARS:
            yield name, text.strip() + "\n"


# --- prose and dialogue: Jane Austen's novels, and the King James Bible ---


def read_novels() -> Iterator[Document]:
    """One document per chapter, read out of the R package `janeaustenr` by R itself."""
    program = 'd <- janeaustenr::austen_books(); cat(paste(d$book, d$text, sep = "\\t"), sep = "\\n")'
    output = subprocess.run(["Rscript", "-e", program], check=True, capture_output=True, text=True).stdout
    lines_of: dict[str, list[str]] = {}
    for line in output.splitlines():
        book, _, text = line.partition("\t")
        lines_of.setdefault(book, []).append(to_ascii(text))
    for book, lines in lines_of.items():
        chapters = re.split(r"(?im)^chapter [0-9ivxlc]+\.?$", "\n".join(lines))
        for number, chapter in enumerate(chapters[1:], 1):
            yield f"{book} {number}", chapter


def paragraphs_of(chapter: str) -> list[str]:
    """Paragraphs on one line each, without emphasis marks and volume titles."""
    joined = [re.sub(r"\s+", " ", p).strip() for p in re.split(r"\n\s*\n", chapter.replace("_", ""))]
    return [p for p in joined if len(p) > 1 and not re.match(r"(?i)(volume|the end|finis)\b", p)]


def narration(novels: list[Document]) -> Iterator[Document]:
    """The paragraphs of each chapter in which nobody speaks."""
    for name, chapter in novels:
        told = [p for p in paragraphs_of(chapter) if '"' not in p and len(p) > 60]
        if told:
            yield name, "\n".join(told) + "\n"


def dialogue(novels: list[Document]) -> Iterator[Document]:
    """What is said in each chapter, one turn per line after a dash; who speaks is not told."""
    for name, chapter in novels:
        turns = [turn for p in paragraphs_of(chapter) if (turn := spoken(p))]
        if len(turns) >= 6:
            yield name, "\n".join(f"- {turn}" for turn in turns) + "\n"


def spoken(paragraph: str) -> str:
    """The quoted pieces of a paragraph as one turn; a comma before an interruption stays a comma."""
    pieces = re.findall(r'"([^"]+)"?', paragraph)
    turn = " ".join(piece.strip() for piece in pieces)
    return turn if re.search(r"[.!?-]$", turn) else re.sub(r"[,;:]?$", ".", turn) if len(turn) > 8 else ""


def read_bible() -> Iterator[Document]:
    """One document per chapter of the narrative books, one verse per line."""
    output = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], check=True, capture_output=True, text=True, input="")
    verses_of: dict[str, list[str]] = {}
    for book, chapter, verse in re.findall(r"(?m)^(\d?[A-Za-z]+)(\d+):\d+ (.+)$", output.stdout):
        if book in NARRATIVE_BOOKS:
            verses_of.setdefault(f"{book} {chapter}", []).append(to_ascii(verse).strip())
    for name, verses in verses_of.items():
        yield name, "\n".join(verses) + "\n"


# --- reference: WordNet's glosses ---


def read_glossary(wordnet: Path) -> Iterator[Document]:
    """Runs of dictionary entries, each sense once: synonyms share a gloss, which would leak into the held-out half."""
    raw = to_ascii(gzip.open(wordnet, "rt", encoding="utf-8").read())
    # Entries begin in the first column; their senses are indented.
    entries = re.findall(r"(?m)^(\S[^\n]*)\n((?:[ ]+[^\n]*\n)+)", raw)
    seen: set[str] = set()  # glosses already given to an earlier word
    kept = [entry for word, body in entries if (entry := format_entry(word, body, seen))]
    for start in range(0, len(kept), ENTRIES_PER_DOCUMENT):
        yield f"entries {start}", "\n".join(kept[start : start + ENTRIES_PER_DOCUMENT])


def format_entry(word: str, body: str, seen: set[str]) -> str:
    """'word (noun): gloss; synonyms: a, b.' for each new sense of a word; mutates `seen`."""
    flat = re.sub(r"\s+", " ", re.sub(r"-\n\s+", "-", body))
    lines, part = [], ""
    for kind, gloss in re.findall(r"(?:^| )(?:(n|v|adj|adv) )?\d*:? ?(?<=: )(.*?)(?= (?:(?:n|v|adj|adv) )?\d+: |$)", flat):
        part = PARTS_OF_SPEECH.get(kind, part)
        text = re.sub(r"[{}]|\(\w\)(?=\})", "", re.sub(r"\[(syn|ant|also): (.*?)\]", describe_relation, gloss)).strip()
        if part and gloss not in seen and not re.match(r"\d", word) and fraction_of(gloss) < GLOSS_SHARE:
            lines.append(f"{word} ({part}): {text}.\n")
        seen.add(gloss)
    return "".join(lines)


def describe_relation(match: re.Match[str]) -> str:
    return {"syn": "Synonyms: ", "ant": "Antonyms: ", "also": "Also: "}[match[1]] + match[2]


if __name__ == "__main__":
    main()
