"""The best setting for one model on this machine: over runtime, precision, threads, spinning and batch size.

By sequential halving (Karnin, Koren and Somekh, "Almost Optimal Exploration in Multi-Armed Bandits", ICML 2013):
in each round every setting that is left gets further visits, and the slower half goes. Unlike there, a setting of the
slower half goes only when it is slower than the leader by more than chance allows: visits of one round lie close
together in time, so settings are held against each other within rounds, by Student's t with the spread of all settings
together, and the error is shared by all settings and rounds. One visit to each, the first round, tells nothing of the
spread: there a generous one is assumed, and only what is far behind goes. The visits that chose the leader flatter it.
So it is timed again, side by side with each of the others that are left, by visits that no choice rests on yet; which
of those differ from it is judged as in `bench ab`, and the rest are ties.
"""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist
from string import Template
from typing import Any

import numpy as np

from bench import export, runtimes
from bench.analysis import statistics
from bench.analysis.comparison import ALARM_RATE
from bench.errors import BenchError, Failed
from bench.export.own import fed
from bench.machine import lock
from bench.models import onnx_file
from bench.records import Case
from bench.suites import RUNTIMES
from bench.trust import ab, contest, trial
from bench.trust.ab import Setup, Side, Sides
from bench.trust.contest import Contest

BATCHES = (1, 2, 4, 8, 16)  # tried for throughput
VISITS = (1, 1, 2)  # to each setting that is left, in the first rounds and, the last of these, in all others
BUDGET_S = 240.0
MOST_LINES = 25  # of the program that is printed
# Of visits, while none is known: 0.5 to 3 % on quiet machines, 1 to 7 % beside busy loops (`trust.trial`).
_ASSUMED_SPREAD = 0.08
_ROUNDS_SHARE = 0.6  # of the budget, after which the rounds end and the final begins
_AGREES = 0.10  # how far a program of its own may be from what was measured and still be called the same
_PROGRAM_S = 120.0


@dataclass(slots=True)
class Choice:
    """One setting, and what is known of it."""

    side: Side
    name: str
    p50s_ms: list[float] = field(default_factory=list)  # of its visits in the rounds, for one input
    left_in: int | None = None  # the round in which it went; None: it is in the final, or failed
    error: str | None = None
    ratio: float = 1.0  # its time over the best's: by fresh visits where both were in the final, else by the rounds'
    ratio_low: float | None = None
    ratio_high: float | None = None
    verdict: str | None = None  # of the final, held against its leader
    standing: str = ""  # "best", "tie", "slower", "failed"

    @property
    def p50_ms(self) -> float:
        """The geometric mean of its visits' medians, of one input; infinite where there is none."""
        return math.exp(math.fsum(map(math.log, self.p50s_ms)) / len(self.p50s_ms)) if self.p50s_ms else math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """What tuning found."""

    choices: list[Choice]  # the best first
    margin: float
    seconds: float
    visits: int
    pairs: int  # in the final

    @property
    def best(self) -> Choice:
        """The fastest, maybe with ties."""
        return self.choices[0]

    @property
    def ties(self) -> list[Choice]:
        """Those that cannot be told apart from the best."""
        return [choice for choice in self.choices if choice.standing == "tie"]


Progress = Callable[[str], None]


def files_of(
    case: Case, *, names: Sequence[str] = (), precisions: Sequence[str] = (), device: str = "cpu"
) -> tuple[dict[tuple[str, str], Path], dict[str, str]]:
    """The files of a case by runtime and precision, exported where it is no file; and why others cannot be had.

    `names` and `precisions` default to every installed runtime that reads such a file and has the device, and to
    fp32 and int8, or what the file is. Raises Failed when nothing is left.
    """
    able = [name for name in RUNTIMES if device in runtimes.get(name).DEVICES]
    refused = {name: f"{runtimes.get(name).TITLE} does not run on {device}" for name in names if name not in able}
    wanted = [name for name in names or able if name in able and (names or runtimes.installed(name))]
    refused |= {name: runtimes.missing(name) for name in wanted if runtimes.installed(name) is None}
    wanted = [name for name in wanted if name not in refused]
    files: dict[tuple[str, str], Path] = {}
    if case.is_file:
        path = Path(case.model)
        precision = export.completed(case).precision
        for name in wanted:
            if path.suffix.lower() in runtimes.get(name).SUFFIXES:
                files[name, precision] = path
            elif names:
                refused[name] = f"{runtimes.get(name).TITLE} does not read {path.suffix} files"
    else:
        asked = {
            (name, precision): export.request(replace(case, runtime=name, precision=precision))
            for name in wanted
            for precision in precisions or ("fp32", "int8")
        }
        for result in export.export(list(dict.fromkeys(asked.values()))):
            for key, one in asked.items():
                if isinstance(result, export.ExportFailure):
                    if result.request == one:
                        refused[" ".join(key)] = result.message
                elif result.request == one:
                    files[key] = result.path
        files = {key: files[key] for key in asked if key in files}
    if not files:
        raise Failed(
            "nothing to time: " + ("; ".join(f"{k}: {v}" for k, v in refused.items()) or "no runtime reads it")
        )
    return files, refused


def settings_of(files: dict[tuple[str, str], Path], *, cores: int, throughput: bool = False) -> list[Choice]:
    """Every setting of these files, by runtime and precision, on so many cores.

    Batch sizes are tried for `throughput`, where the file's batch is open. One thread alone has nobody to spin for.
    """
    threads = sorted({*(2**power for power in range(cores.bit_length()) if 2**power <= cores), cores})
    choices = []
    for (runtime, precision), path in files.items():
        batched = throughput and _is_open(path)
        for batch in BATCHES if batched else (1,):
            for count in threads:
                can_rest = runtimes.get(runtime).CAN_REST and count > 1
                for spin in (True, False) if can_rest else (True,):
                    words = f"{runtime} {precision}, {count} thread{'s' * (count > 1)}"
                    words += "" if not can_rest else ", spinning" if spin else ", resting"
                    words += f", batch {batch}" if batched else ""
                    side = Side(
                        path, runtime=runtime, precision=precision, threads=count, spin=spin,
                        batch_size=batch if batched else None,
                    )  # fmt: skip
                    choices.append(Choice(side, words))
    return choices


def _is_open(path: Path) -> bool:
    """Whether a file takes batches of any size. A `.tflite` file is made for one."""
    if path.suffix.lower() != ".onnx":
        return False
    known = onnx_file.read(path).inputs
    return bool(known) and all(each.axes and each.axes[0].size is None for each in known)


def tune(
    choices: Sequence[Choice],
    setup: Setup,
    *,
    budget_s: float = BUDGET_S,
    margin: float = 0.03,
    seed: int = 0,
    say: Progress = lambda words: None,
) -> Tuned:
    """Find the best of these settings. Those of the final that the budget leaves undecided are ties.

    Raises Failed when none can be timed, with the first one's reason.
    """
    begun = time.monotonic()
    with lock.measuring():
        finalists = _halved(choices, setup, random.Random(seed), say, begun + _ROUNDS_SHARE * budget_s)
        if not finalists:
            raise Failed(f"none of {len(choices)} settings can be timed; {choices[0].name}: {choices[0].error}")
        left_s = max(budget_s - (time.monotonic() - begun), budget_s / 3)
        pairs = _final(finalists, setup, left_s, margin, say) if len(finalists) > 1 else 0
    _judge(choices, finalists)
    order = {"best": 0, "tie": 1, "slower": 2, "failed": 3}
    return Tuned(
        choices=sorted(choices, key=lambda each: (order[each.standing], each.ratio)), margin=margin,
        seconds=round(time.monotonic() - begun, 1), visits=sum(len(each.p50s_ms) for each in choices), pairs=pairs,
    )  # fmt: skip


def kept(logs: np.ndarray[Any, np.dtype[np.float64]], alarm: float) -> list[int]:
    """Which settings stay, the fastest first: the faster half, and those that chance may have put into the slower one.

    `logs`: the logarithms of the visits' medians, (settings, visits); visit j of all settings lies in the same round.
    `alarm`: the rate at which a setting as fast as the leader may go.

    >>> kept(np.log([[1.0, 1.01], [1.0, 1.01], [2.0, 2.02], [1.01, 1.0]]), 0.05)
    [0, 1, 3]
    """
    settings, visits = logs.shape
    order = [int(i) for i in np.argsort(logs.mean(1), kind="stable")]
    residuals = logs - logs.mean(1, keepdims=True) - logs.mean(0, keepdims=True) + logs.mean()
    degrees = (settings - 1) * (visits - 1)
    if degrees < 1:
        quantile, spread = NormalDist().inv_cdf(1 - alarm / 2), _ASSUMED_SPREAD
    else:
        spread = max(math.sqrt(float((residuals**2).sum()) / degrees), trial.LEAST_SPREAD)
        quantile = statistics.student_t(alarm, degrees)
    allowed = quantile * spread * math.sqrt(2 / visits)
    lead = logs[order[0]].mean()
    return [i for place, i in enumerate(order) if place < -(-settings // 2) or logs[i].mean() - lead <= allowed]


def program(choice: Choice, setup: Setup) -> str:
    """A program that runs a model with this setting: at most `MOST_LINES` lines, that print their own p50."""
    runtime, side = runtimes.get(choice.side.runtime), choice.side
    shapes: dict[str, tuple[list[int], str]] = {}
    if side.path.suffix.lower() == ".onnx":
        case = ab.case_of("A", side, setup)
        sizes = fed(side.path, case)
        kinds = {each.name: each.dtype for each in onnx_file.read(side.path).inputs}
        shapes = {name: (list(shape), kinds[name]) for name, shape in sizes.items()}
    return Template(runtime.PROGRAM).substitute(
        model=repr(str(side.path.resolve())), inputs=repr(shapes), threads=side.threads or setup.threads,
        spin="1" if side.spin else "0", provider=repr(runtime.DEVICES[setup.device]),
        options=repr(getattr(runtime, "OPTIONS", {}).get(runtime.DEVICES[setup.device], {})),
    )  # fmt: skip


def run_program(text: str, python: str = sys.executable) -> float:
    """The p50 in ms that such a program prints. Raises Failed when it fails."""
    with lock.measuring(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run(
                [python, str(path)], capture_output=True, text=True, timeout=_PROGRAM_S, cwd=folder, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"the program for this setting gave no answer within {_PROGRAM_S:.0f} s") from error
    match = re.search(r"p50 ([\d.]+) ms", done.stdout)
    if done.returncode or not match:
        last = done.stderr.strip().rpartition("\n")[2][:200]
        raise Failed(f"the program for this setting does not run: {last or f'exit code {done.returncode}'}")
    return float(match[1])


def program_ratio(text: str, choice: Choice, setup: Setup) -> float:
    """The p50 that a program prints over that of visits just before and after it, which met the machine at its pace.

    The visits that chose the setting are minutes old: of an hour in which the machine shifted, they would be another's.
    Raises Failed when either fails.
    """
    before_ms = ab.p50_ms(choice.side, setup)
    printed_ms = run_program(text) / (choice.side.batch_size or 1)
    return printed_ms / math.sqrt(before_ms * ab.p50_ms(choice.side, setup))


def agrees(ratio: float) -> bool:
    """Whether a program's p50 is what was measured."""
    return abs(math.log(ratio)) <= math.log1p(_AGREES)


def _halved(choices: Sequence[Choice], setup: Setup, rng: random.Random, say: Progress, until: float) -> list[Choice]:
    """Those that are left after all rounds, or when the time is over, the fastest first."""
    alive = list(choices)
    rounds = max(1, math.ceil(math.log2(max(1, len(alive)))))
    for number in range(rounds):
        for _ in range(VISITS[min(number, len(VISITS) - 1)]):
            for choice in rng.sample(alive, len(alive)):
                _visit(choice, setup)
        alive = [choice for choice in alive if choice.error is None]
        if len(alive) < 2:
            break
        logs = np.log([choice.p50s_ms for choice in alive])
        staying = kept(logs, ALARM_RATE / (len(choices) * rounds))
        for i, choice in enumerate(alive):
            if i not in staying:
                choice.left_in = number + 1
        alive = [alive[i] for i in staying]
        lead = alive[0]
        say(f"round {number + 1} of {rounds}: {len(alive)} of {len(choices)} settings left, first {lead.name}")
        if len(alive) <= 2 or time.monotonic() > until:
            break
    return sorted(alive, key=lambda choice: choice.p50_ms)


def _visit(choice: Choice, setup: Setup) -> None:
    if choice.error is not None:
        return
    try:
        choice.p50s_ms.append(ab.p50_ms(choice.side, setup))
    except BenchError as error:
        choice.error = str(error)


def _final(finalists: Sequence[Choice], setup: Setup, budget_s: float, margin: float, say: Progress) -> int:
    """Time the leader beside each of the others; the number of pairs that took."""
    leader, *others = finalists
    contests = {choice.name: Contest(choice.name, Sides(leader.side, choice.side, setup)) for choice in others}

    def show(one: Contest, seconds: float) -> None:
        if one.judgement and one.stopped:
            say(f"{seconds:.0f} s: {one.name}: {one.judgement.ratio:.3f} times {leader.name}, {one.judgement.verdict}")

    contest.decide(list(contests.values()), budget_s=budget_s, limit_s=2 * budget_s, margin=margin, on_look=show)
    for choice in others:
        one = contests[choice.name]
        if one.error is not None:
            choice.error = one.error
        if one.judgement is not None:
            choice.ratio, choice.ratio_low = one.judgement.ratio, one.judgement.ratio_low
            choice.ratio_high, choice.verdict = one.judgement.ratio_high, one.judgement.verdict
    return sum(len(one.pairs) for one in contests.values())


def _judge(choices: Sequence[Choice], finalists: Sequence[Choice]) -> None:
    """Say where each stands, and hold its time against that of the best: the leader, unless one is surely faster."""
    leader, *others = finalists
    leader.ratio_low = leader.ratio_high = 1.0
    best = min((each for each in others if each.verdict == "faster"), key=lambda each: each.ratio, default=leader)
    for choice in others:
        meets = choice.ratio_low is None or best.ratio_high is None or choice.ratio_low <= best.ratio_high
        choice.standing = "tie" if (choice.verdict != "slower" if best is leader else meets) else "slower"
    if best is not leader:
        leader.standing = "slower"
        scale = best.ratio
        for choice in finalists:
            choice.ratio /= scale
            choice.ratio_low, choice.ratio_high = (
                each and each / scale for each in (choice.ratio_low, choice.ratio_high)
            )
    best.standing, best.ratio_low, best.ratio_high = "best", None, None
    for choice in choices:
        if choice.error is not None:
            choice.standing = "failed"
        elif choice not in finalists:
            choice.standing, choice.ratio = "slower", choice.p50_ms / best.p50_ms
