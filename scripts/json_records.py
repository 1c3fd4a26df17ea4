"""JSON records of 200 to 2,000 bytes of five kinds, from real text, by a seed; and `arzip.compress_many` on them beside
zstd -19, without and with dictionaries made of other records of the kind.

    python scripts/json_records.py FOLDER [COUNT] [LOOP] [LEVEL] [SAMPLE]

FOLDER: has enwik/enwik7, large/bible.txt, large/world192.txt, silesia/dickens, loghub/*.log. COUNT: records, of which
SAMPLE (all) are compressed, at LEVEL (6); COUNT others train the dictionaries. LOOP: of how many records the loop over
`compress` is timed. "arzip, zstd's": with the very dictionary that zstd has; "arzip's": with one of `train_dictionary`
from the same records, of the same size. "batch": that, by `compress_batch`.
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
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


def by_zstd(test: list[bytes], known: bytes) -> int:
    """Bytes of all records by zstd -19, each a frame with no more in its header than it needs."""
    options: dict[str, Any] = {"write_content_size": False, "write_checksum": False, "write_dict_id": False}
    codec = zstandard.ZstdCompressor(level=19, dict_data=zstandard.ZstdCompressionDict(known), **options)
    return sum(len(codec.compress(record)) for record in test)


def checked(test: list[bytes], level: int, known: bytes | None) -> list[bytes]:
    """The archives of all records, which came back."""
    archives = arzip.compress_many(test, level, dictionary=known)
    assert arzip.decompress_many(archives, dictionary=known) == test
    return archives


def sizes(test: list[bytes], train: list[bytes], level: int) -> dict[str, int]:
    """Bytes of all records, in each of the ways."""
    zstd_known = zstandard.train_dictionary(DICTIONARY_BYTES, train, level=19).as_bytes()
    known = arzip.train_dictionary(train, DICTIONARY_BYTES)
    batch = arzip.compress_batch(test, level, dictionary=known)
    with arzip.open_batch(io.BytesIO(batch), dictionary=known) as records:
        assert records[:] == test
    return {
        "raw": sum(map(len, test)),
        "zstd": by_zstd(test, zstd_known),
        "zstd, arzip's": by_zstd(test, known),
        "arzip": sum(map(len, checked(test, level, None))),
        "arzip, zstd's": sum(map(len, checked(test, level, zstd_known))),
        "arzip, arzip's": sum(map(len, checked(test, level, known))),
        "batch": len(batch),
    }


def rate(work: Callable[[list[bytes]], object], items: list[bytes]) -> float:
    """Items a second."""
    start = time.perf_counter()
    work(items)
    return len(items) / (time.perf_counter() - start)


def show_rates(some: list[bytes], level: int, known: bytes | None) -> None:
    """Records a second, of what coding has been done before."""
    archives = checked(some, level, known)

    def loop(items: list[bytes]) -> None:
        assert [arzip.compress(record, level, dictionary=known) for record in items] == archives

    many = rate(lambda items: arzip.compress_many(items, level, dictionary=known), some)
    back = rate(lambda items: arzip.decompress_many(items, dictionary=known), archives)
    print(f"records/s: compress_many {many:.1f}, decompress_many {back:.1f}, loop over compress {rate(loop, some):.1f}")


def main() -> None:
    arguments = [*sys.argv[1:], *[""] * 5]
    folder, count, loop = Path(arguments[0]), int(arguments[1] or 10000), int(arguments[2] or 50)
    level, sample = int(arguments[3] or 6), int(arguments[4] or 0)
    kinds, total = records(folder, count), dict[str, int]()
    for name, (test, train) in kinds.items():
        taken = test[: sample * len(test) // count if sample else None]
        found = sizes(taken, train, level)
        print(
            f"{name:9} {len(taken):5} records:", ", ".join(f"{way} {size}" for way, size in found.items()), flush=True
        )
        total = {way: total.get(way, 0) + size for way, size in found.items()}
    for way, size in total.items():
        print(f"all: {way:15} {size:9}, {100 * (size / total['zstd'] - 1):+.1f}%")
    every = [record for test, _ in kinds.values() for record in test]
    some = random.Random(1).sample(every, min(loop, len(every)))
    show_rates(some, level, None)
    show_rates(some, level, arzip.train_dictionary(kinds["articles"][1], DICTIONARY_BYTES))


if __name__ == "__main__":
    main()
