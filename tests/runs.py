"""Runs that were never measured: plausible, the same every time, for tests of what reads runs."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import store, suites
from bench.analysis import summary
from bench.models import published
from bench.records import (  # fmt: skip
    SCHEMA_VERSION,
    Accuracy,
    Artifact,
    Case,
    Cost,
    Fidelity,
    Health,
    KindCost,
    Machine,
    Measurement,
    PlannedCase,
    Record,
    Run,
    Settings,
    Visit,
)

PROVIDER = "CPUExecutionProvider"
HOSTILE = (
    "</script><script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    '"><svg onload=window.owned=1>',
    "<b>bold</b><a href='javascript:window.owned=1'>link</a>",
    "{{ 7*7 }} {% raw %} &amp; %{x} $x^2$ __proto__",
)


def machine(cpu: str = "Imaginary CPU 9000", onnxruntime: str = "onnxruntime 1.32.0") -> Machine:
    return Machine(
        must_match={"cpu": cpu, "cores": 2, "device": "cpu", "threads": 2},
        may_drift={"onnxruntime": onnxruntime, "os": "Linux 6.18", "peak_gflops": 110.0, "bandwidth_gb_s": 18.0},
        informs={"memory_bytes": 25_000_000_000, "instructions": ["avx2", "fma"]},
    )


def visits(case: str, p50_ms: float, *, rounds: int = 5, samples: int = 20, spread: float = 0.01, disturbed: int = 0,
           start: int = 0, seed: int = 0) -> list[Visit]:  # fmt: skip
    """Visits around a p50, the first `disturbed` of them slowed by a neighbour."""
    rng = random.Random(f"{case} {seed}")
    found = []
    for number in range(rounds):
        slow = 1.3 if number < disturbed else 1.0
        centre = p50_ms * slow * (1 + rng.gauss(0, spread))
        taken = tuple(int(1e6 * centre * (1 + abs(rng.gauss(0, 0.004)))) for _ in range(samples))
        minute, second = divmod(start + 61 * number, 60)
        found.append(
            Visit(
                case=case, round=number, started_at=f"2026-03-01T10:{minute:02d}:{second:02d}.000+00:00",
                samples_ns=taken, load_ms=p50_ms * 3, first_inference_ms=p50_ms * 1.5,
                peak_rss_bytes=int(60e6 + 4e6 * p50_ms), provider=PROVIDER,
                health=Health(others_cpu_share=0.4 if slow > 1 else 0.01),
                disturbances=("others used 40 % of the cores",) if slow > 1 else (),
            )
        )  # fmt: skip
    return found


def gops(model: str) -> float:
    """2 x mult-adds / 1e9 as someone published it, or a guess."""
    rows = [row.mult_adds_millions for row in published.publications() if row.model == model and row.mult_adds_millions]
    return 2 * median(rows) / 1e3 if rows else suites.backbones().get(model, {}).get("params", 5e6) / 2e6


def planned(case: Case, threads: int = 2) -> PlannedCase:
    """The case on the made-up machine."""
    return case.planned(device="cpu", provider=PROVIDER, threads=threads)


@functools.cache
def measurement(case: str, p50_ms: float, batch_size: int, spread: float, disturbed: int, seed: int) -> Measurement:
    """What made-up visits come to: the same objects for the same arguments, since resampling them takes long."""
    return summary.summarise(
        visits(case, p50_ms, spread=spread, disturbed=disturbed, seed=seed), batch_size=batch_size, seed=0
    )  # fmt: skip


def record(case: Case, *, factor: float = 1.0, spread: float = 0.01, disturbed: int = 0, seed: int = 0) -> Record:
    rng = random.Random(case.name)
    params = suites.backbones().get(case.model, {}).get("params", 5_000_000)
    mult_adds = int(gops(case.model) * 5e8)
    p50_ms = factor * (2 + gops(case.model) * rng.uniform(9, 22)) * case.batch_size**0.9 / (case.threads or 1) ** 0.7
    learnt = {"standard": 0.3, "pointwise": 0.5, "depthwise": 0.05, "dense": 0.15}
    return Record(
        case=planned(case),
        artifact=Artifact(
            sha256=hashlib.sha256(case.name.encode()).hexdigest(), size_bytes=4 * params + 40_000, opset=17, nodes=100,
            transposes=4, transposes_optimised=rng.randrange(4), reorders_optimised=rng.randrange(12),
            fidelity=Fidelity(max_abs=1e-5, max_rel=1e-6, top1_agreement=1.0, inputs=4, passed=True),
        ),
        cost=Cost(
            mult_adds=mult_adds, params=params, activation_bytes=int(mult_adds / 20), peak_activation_bytes=4_000_000,
            by_kind={kind: KindCost(layers=9, mult_adds=int(share * mult_adds), params=int(share * params))
                     for kind, share in learnt.items()},
        ),
        measurement=measurement(case.name, p50_ms, case.batch_size, spread, disturbed, seed),
        kinds_ms={kind: share * p50_ms for kind, share in (learnt | {"other": 0.1, "layout": 0.1}).items()},
        accuracy=published.lookup(case),
    )  # fmt: skip


def run(records: Iterable[Record], *, suite: str = "default", started_at: str = "2026-03-01T10:00:00Z",
        on: Machine | None = None) -> Run:  # fmt: skip
    return Run(
        schema_version=SCHEMA_VERSION, suite=suite, title="Made up for tests", started_at=started_at,
        machine=on or machine(),
        settings=Settings(rounds=5, min_time_s=0.8, min_count=12, warmup_s=2.0, budget_s=None, seed=0, device="cpu",
                          provider=PROVIDER),
        records=tuple(records), phases_s={"export": 12.0, "timing": 80.0},
    )  # fmt: skip


def of_suite(name: str = "default", **more: float) -> Run:
    """A run of a suite in suites/: "default" has 12 models, "keras" 42."""
    return run((record(case, **more) for case in suites.load_suite(name).cases), suite=name)  # type: ignore[arg-type]


def stored(run: Run, results: Path, *, disturbed: int = 1) -> Path:
    """The run on disk with raw samples around its p50s, round by round; the first `disturbed` rounds were disturbed."""
    folder = store.create(results, run)
    measured = [r for r in run.records if r.measurement]
    everything = [
        visits(r.case.name, r.measurement.p50_ms, rounds=run.settings.rounds, samples=60, disturbed=disturbed,
               start=5 * i)
        for i, r in enumerate(measured) if r.measurement
    ]  # fmt: skip
    for of_round in zip(*everything, strict=True):
        for visit in of_round:
            store.append(folder, visit)
    return folder


def hostile() -> Run:
    """Names, sources and messages that try to be code, with measurements that make every figure draw them."""
    cases = [Case(name=text, model="VGG16", input_shape=(224, 224, 3), threads=2) for text in HOSTILE]
    records = [record(case) for case in cases]
    source = Accuracy(origin="published", top1=70.0, top5=90.0, source=HOSTILE[0], reference=HOSTILE[1])
    records[1:3] = [replace(r, accuracy=replace(source, top1=70.0 + i)) for i, r in enumerate(records[1:3])]
    records[3] = replace(records[3], measurement=None, error=HOSTILE[0])
    return run(records, suite=HOSTILE[1], on=machine(cpu=HOSTILE[2], onnxruntime=HOSTILE[3]))


def swept() -> Run:
    """Batch sizes and threads of two models, precisions without an accuracy, and one measured accuracy."""
    base = [Case(name=f"{m} batch_size={b}", model=m, input_shape=(224, 224, 3), batch_size=b, threads=2)
            for m in ("MobileNet", "ResNet50") for b in (1, 2, 4, 8)]  # fmt: skip
    base += [Case(name=f"{m} threads={t}", model=m, input_shape=(224, 224, 3), threads=t)
             for m in ("MobileNet", "ResNet50") for t in (1, 2)]  # fmt: skip
    base.append(Case(name="MobileNet int8", model="MobileNet", input_shape=(224, 224, 3), precision="int8"))
    records = [record(case) for case in base]
    measured = Accuracy(origin="measured", top1=69.2, top5=88.8, n=5000, top1_low=67.9, top1_high=70.4, source="images")
    records[0] = replace(records[0], accuracy=measured)
    return run(records, suite="sweep")
