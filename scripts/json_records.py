"""JSON records of 200 to 2,000 bytes of five kinds, from real text, by a seed; and `arzip.compress_many` on them beside
zstd -19 with a dictionary that was trained on other records of the kind.

    python scripts/json_records.py FOLDER [COUNT] [LOOP]

FOLDER: has enwik/enwik7, large/bible.txt, large/world192.txt, silesia/dickens, loghub/*.log. COUNT: records to
compress; as many others train the dictionaries. LOOP: of how many records the loop over `compress` is timed.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

import arzip

DICTIONARY_BYTES = 112640  # the command's default


def clip(text: str, source: random.Random, low: int = 100, high: int = 1500) -> str:
    """The beginning of a text, of a random length, to the end of a word."""
    return text[: source.randrange(low, high)].rsplit(" ", 1)[0].strip()


def articles(folder: Path, source: random.Random) -> Iterator[Any]:
    """Encyclopedia articles with their metadata."""
    dump = (folder / "enwik/enwik7").read_text("utf-8", "ignore")
    for page in re.findall(r"<page>(.*?)</page>", dump, re.DOTALL):
        fields = dict(re.findall(r"<(title|id|timestamp|username|comment)>(.*?)</\1>", page))
        text = re.search(r"<text[^>]*>(.*)", page, re.DOTALL)
        if text:
            for part in text[1].split("\n==")[:30]:
                yield {**fields, "length": len(text[1]), "abstract": clip(part, source)}


def events(folder: Path, source: random.Random) -> Iterator[Any]:
    """Log messages as services send them to a collector."""
    for path in sorted((folder / "loghub").glob("*.log")):
        for number, line in enumerate(path.read_text("utf-8", "ignore").splitlines()):
            yield {
                "@timestamp": f"2026-{source.randrange(1, 13):02}-{source.randrange(1, 29):02}T"
                f"{source.randrange(24):02}:{source.randrange(60):02}:{source.random() * 60:06.3f}Z",
                "service": path.name.split("_")[0].lower(),
                "host": {"name": f"node-{source.randrange(200):03}", "ip": f"10.0.{source.randrange(8)}.7"},
                "severity": source.choice(["INFO", "INFO", "INFO", "WARN", "ERROR", "DEBUG"]),
                "trace_id": f"{source.getrandbits(64):016x}",
                "seq": number,
                "message": line,
            }


def reviews(folder: Path, source: random.Random) -> Iterator[Any]:
    """Short texts of users with marks."""
    text = (folder / "silesia/dickens").read_text("latin-1")
    for paragraph in re.split(r"\r?\n\r?\n", text):
        body = " ".join(paragraph.split())
        if len(body) > 80:
            yield {
                "id": source.randrange(10**9),
                "user": {"id": source.randrange(10**6), "verified": source.random() < 0.7},
                "product": f"B{source.randrange(10**9):09}",
                "rating": source.choice([1, 2, 3, 4, 5, 5]),
                "helpful": source.randrange(40),
                "text": clip(body, source),
            }


def verses(folder: Path, source: random.Random) -> Iterator[Any]:
    """Passages with an address and statistics."""
    lines = (folder / "large/bible.txt").read_text("latin-1").splitlines()
    at = 0
    while at < len(lines) - 9:
        count = source.randrange(1, 7)
        passage = " ".join(lines[at : at + count])
        stop, words = at + count, len(passage.split())
        yield {"doc": at, "span": [at, stop], "words": words, "lang": "en", "passage": clip(passage, source)}
        at += count


def facts(folder: Path, source: random.Random) -> Iterator[Any]:
    """Facts about countries, a record a section."""
    text = (folder / "large/world192.txt").read_text("latin-1")
    for number, section in enumerate(re.split(r"\r?\n\r?\n", text)):
        pairs = dict(re.findall(r"^\s*([A-Z][A-Za-z ]{2,30}):\s+(.+?)\s*$", section, re.MULTILINE))
        if pairs:
            start = clip(" ".join(section.split()), source, 60, 500)
            yield {"source": "factbook", "section": number, "facts": pairs, "raw": start}


KINDS = {"articles": articles, "events": events, "reviews": reviews, "verses": verses, "facts": facts}


def records(folder: Path, count: int) -> dict[str, tuple[list[bytes], list[bytes]]]:
    """Kind -> records to compress and others to train on: as many of each, or what there is."""
    fit, found, missing = {}, {}, count
    for name, make in KINDS.items():
        source = random.Random(name)
        made = [json.dumps(record, ensure_ascii=False).encode() for record in make(folder, source)]
        fit[name] = [record for record in made if 200 <= len(record) <= 2000]
        source.shuffle(fit[name])
    for left, name in zip(range(len(fit), 0, -1), sorted(fit, key=lambda name: len(fit[name])), strict=True):
        share = min(missing // left, len(fit[name]) // 2)
        found[name] = fit[name][:share], fit[name][share : 2 * share]
        missing -= share
    return found


def with_dictionary(test: list[bytes], train: list[bytes]) -> int:
    """Bytes of all records by zstd -19, each a frame with no more in its header than it needs."""
    dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, train, level=19)
    options: dict[str, Any] = {"write_content_size": False, "write_checksum": False, "write_dict_id": False}
    codec = zstandard.ZstdCompressor(level=19, dict_data=dictionary, **options)
    return sum(len(codec.compress(record)) for record in test)


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10000
    loop = int(sys.argv[3]) if len(sys.argv) > 3 else 50
    kinds = records(folder, count)
    every = [record for test, _ in kinds.values() for record in test]
    arzip.compress_many(every[:3])  # compiles
    start = time.perf_counter()
    archives = arzip.compress_many(every)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    assert arzip.decompress_many(archives) == every
    back = time.perf_counter() - start
    sizes, at = {}, 0
    for name, (test, train) in kinds.items():
        ours = sum(map(len, archives[at : at + len(test)]))
        at += len(test)
        sizes[name] = (len(test), sum(map(len, test)), with_dictionary(test, train), ours)
    sizes["all"] = tuple(map(sum, zip(*sizes.values(), strict=True)))  # type: ignore[assignment]
    for name, (number, raw, zstd, ours) in sizes.items():
        less = 100 * (1 - ours / zstd)
        print(f"{name:9} {number:6} records {raw:9} bytes, zstd -19 {zstd:8}, arzip {ours:8}: {less:.1f}% less")
    print(f"compress_many {len(every) / seconds:.1f} records/s, decompress_many {len(every) / back:.1f} records/s")
    some = random.Random(1).sample(range(len(every)), min(loop, len(every)))
    start = time.perf_counter()
    alone = [arzip.compress(every[k]) for k in some]
    rate = len(some) / (time.perf_counter() - start)
    assert alone == [archives[k] for k in some]
    print(f"loop over compress {rate:.1f} records/s: compress_many is {len(every) / seconds / rate:.1f} times as fast")


if __name__ == "__main__":
    main()
