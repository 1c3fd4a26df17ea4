"""`python -m scripts.slot.run slot -o RESULTS --seconds 560`: a slot, on a machine with an NVIDIA GPU.

Needs Python 3.12 with torch, triton, numpy, safetensors and click; neither arzip installed nor numba, nor a network.
Stages in order of worth, each a process of its own; what one brings is written when it ends, and no failure stops the
rest. log.txt has all that is printed, results.json the figures, exports.json and NAME.safetensors.N the networks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from scripts.slot.plan import PLAN, ROOT, TOY, Plan
from scripts.slot.stages import RESULT
from scripts.slot.training import WAYS
from scripts.slot.unpack import unpack

MACHINE_SECONDS, EXACT_SECONDS, WIDE_SECONDS, WARM_SECONDS = 60.0, 60.0, 150.0, 150.0  # at most
GRACE_SECONDS = 8.0  # a stage is ended when it is so much late; so much is kept back at the end, too


class Slot:
    """The clock, the log and the figures of one run."""

    def __init__(self, output: Path, seconds: float, common: list[str]) -> None:
        """common: options of every stage. Raises OSError where `output` can't be written to."""
        self.output, self.common = output, common
        self.command = [sys.executable, "-u", "-m", "scripts.slot.stages"]
        self.began = time.time()
        self.end = self.began + seconds - min(GRACE_SECONDS, seconds / 10)
        self.results: dict[str, Any] = {}
        self.lock = threading.Lock()  # stages may run beside each other
        output.mkdir(parents=True, exist_ok=True)
        self.log("")

    def log(self, text: str) -> None:
        """Add to log.txt."""
        with open(self.output / "log.txt", "a", encoding="utf-8") as file:
            file.write(text)

    def say(self, line: str) -> None:
        """Print a line and log it. A full disk must not end the run."""
        text = f"{time.time() - self.began:6.1f} {line}"
        print(text, flush=True)
        with self.lock, suppress(OSError):
            self.log(text + "\n")

    def left(self, until: float = 0.0) -> float:
        """Seconds until then, or until the end."""
        return (until or self.end) - time.time()

    def record(self, name: str, facts: Any) -> None:
        """Put a stage's figures into results.json."""
        with self.lock, suppress(OSError):
            self.results[name] = facts
            part = self.output / "results.json.part"
            part.write_text(json.dumps(self.results, indent=1), "utf-8")
            part.replace(self.output / "results.json")

    def stage(self, name: str, words: list[str], until: float) -> bool:
        """Run a stage, ended by force if it is late; whether it came to its end."""
        began = time.time()
        self.say(f"== {name}: {until - began:.0f} s")
        process = subprocess.Popen(
            [*self.command, *words, *self.common, "--until", str(until)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # so that its own helpers end with it
        )
        timer = threading.Timer(until - began + GRACE_SECONDS / 2, end_group, [process.pid])
        timer.start()
        facts: dict[str, Any] | None = None
        assert process.stdout
        with process.stdout:
            for line in process.stdout:
                if line.startswith(RESULT):
                    facts = json.loads(line.removeprefix(RESULT))
                else:
                    self.say(line.rstrip())
        code = process.wait()
        timer.cancel()
        whole = code == 0 and facts is not None
        self.say(f"== {name}: {'done' if whole else f'FAILED, exit code {code}'}, {time.time() - began:.1f} s")
        self.record(name, facts if whole else {"failed": code} | (facts or {}))
        return whole


def end_group(leader: int) -> None:
    """End a stage and the processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def warm_up(slot: Slot, plan: Plan) -> None:
    """Compile the steps of all networks but the first beside other stages: a GPU's compiler keeps what it has made."""

    def work() -> None:
        for core in plan.cores[1:]:
            slot.stage(f"warm {core.name}", ["warm", core.name], time.time() + min(WARM_SECONDS, slot.left() / 4))

    threading.Thread(target=work, daemon=True).start()


def train_all(slot: Slot, plan: Plan, until: float) -> None:
    """Every network in its share of the time. What fails is tried again in the next way, as are those after it."""
    way = 0
    for k, core in enumerate(plan.cores):
        end = time.time() + slot.left(until) * core.share / sum(c.share for c in plan.cores[k:])
        while True:
            if slot.left(end) < plan.min_seconds:
                slot.say(f"{core.name}: {max(slot.left(end), 0):.0f} s are too few to train it")
                break
            words = ["train", core.name, "--output", str(slot.output), "--way", str(way)]
            if slot.stage(f"train {core.name}", words, end) or way + 1 == len(WAYS):
                break
            way += 1


def run(slot: Slot, plan: Plan, pack: Path, scratch: Path) -> None:
    """All stages."""
    warm_up(slot, plan)
    slot.stage("machine", ["machine"], time.time() + min(MACHINE_SECONDS, slot.left()))
    began = time.time()
    try:
        size = unpack(pack, scratch)
        slot.say(f"unpacked {size:,} bytes in {time.time() - began:.1f} s")
        slot.record("unpack", {"bytes": size, "seconds": round(time.time() - began, 1)})
    except (OSError, ValueError):
        slot.say(f"unpacking FAILED: {traceback.format_exc()}")
    if slot.left() > 0:
        slot.stage("exact", ["exact"], time.time() + min(EXACT_SECONDS, slot.left()))
    if slot.left() > 0:
        slot.stage("wide", ["wide"], time.time() + min(WIDE_SECONDS, slot.left()))
    train_all(slot, plan, slot.end - plan.timing_share * (slot.end - slot.began))
    if slot.left() > plan.min_seconds / 2:
        slot.stage("timings", ["timings"], slot.end)
    slot.say("the end")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("pack", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder for what comes back.")
@click.option("--seconds", default=560.0, help="Time for everything.")
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda")
@click.option("--toy", is_flag=True, help="The plan of a rehearsal.")
def main(pack: Path, output: Path, seconds: float, device: str, toy: bool) -> None:
    """Check, train and time on this machine with what is in PACK."""
    with tempfile.TemporaryDirectory(prefix="slot-") as folder:
        common = ["--device", device, "--scratch", folder, *(["--toy"] if toy else [])]
        try:
            slot = Slot(output.absolute(), seconds, common)
        except OSError as error:
            raise click.ClickException(f"{output}: {error.strerror}: nothing was run") from error
        run(slot, TOY if toy else PLAN, pack.absolute(), Path(folder))


if __name__ == "__main__":
    main()
