"""One command on three machines against the slowest of them alone, and 2,000 images on one, two and three of them.

python -m tests.benchmarks.fleet_scale [IMAGES]    on a quiet machine; two minutes

The machines are workers on this host. Timing is made up there (a visit sleeps 0.2, 0.3 or 0.4 s), so that three
machines do not share this host's cores; everything else is real: Dask, TLS, plans, locks, files. Images are judged for
real, one thread each, and share the cores.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from bench.accuracy import Settings, evaluate
from bench.fleet import certificates, checking, running, shards
from bench.fleet.cluster import Cluster
from bench.pipeline import Options
from bench.suites import load_suite
from tests.accuracy.sets import classifier, photos
from tests.fleet.conftest import Fleet
from tests.fleet.files import write_models

VISITS_S = {"a": 0.2, "b": 0.3, "c": 0.4}
OPTIONS = Options(rounds=5, spacing_s=0.0, threads=1)


def main() -> None:
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["BACKBENCH_CACHE"] = str(folder / "cache")
        fleet = Fleet(folder, certificates.write(folder / "tls"))
        try:
            models = write_models(folder, [f"model{i}" for i in range(6)])
            fleet.add("c", visit_s=VISITS_S["c"])
            alone_s = wall_s(models, fleet.connect(machines=1), folder / "alone")
            for machine in "ab":
                fleet.add(machine, visit_s=VISITS_S[machine])
            connection = fleet.connect(machines=3)
            together_s = wall_s(models, connection, folder / "together")
            print(f"6 cases, 5 rounds: three machines {together_s:.1f} s, the slowest alone {alone_s:.1f} s: "
                  f"{together_s / alone_s:.2f} times as long")  # fmt: skip
            judge(folder, connection, images)
        finally:
            fleet.close()


def wall_s(models: list[str], connection: Cluster, results: Path) -> float:
    begun = time.monotonic()
    outcome = running.run(load_suite(models), connection, options=OPTIONS, results=results)
    assert not any(member.error for member in outcome.stored.fleet.members)
    return time.monotonic() - begun


def judge(folder: Path, connection: Cluster, images: int) -> None:
    path = classifier(folder / "net.onnx", size=224, filters=32, layers=3)
    shown = photos(folder / "photos", [str(i) for i in range(10)], each=images // 10, size=(320, 240))
    settings = Settings(images=shown, preprocess="tf", runtime="onnxruntime")
    machines = checking.fit(connection, {"onnxruntime"})
    alone = evaluate(path, settings, kept=folder / "0.jsonl")
    ways = {"here": None} | {f"{n} workers": shards.Shards(connection, machines[:n]) for n in (1, 2, 3)}
    for number, (way, elsewhere) in enumerate(ways.items(), start=1):
        begun = time.monotonic()
        made = evaluate(path, settings, kept=folder / f"{number}.jsonl", elsewhere=elsewhere)
        same = predictions(folder / f"{number}.jsonl") == predictions(folder / "0.jsonl")
        print(f"{images} images, {way}: {images / (time.monotonic() - begun):.0f} images a second, "
              f"{'identical' if same and made.top1 == alone.top1 else 'DIFFERENT'}")  # fmt: skip


def predictions(file: Path) -> list[object]:
    import msgspec

    return [msgspec.json.decode(line)["predictions"] for line in file.read_bytes().splitlines()[1:]]


if __name__ == "__main__":
    main()
