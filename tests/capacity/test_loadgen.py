"""MLPerf's LoadGen as the oracle: the same seed means the same arrivals, and it says what we say of the same ones."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.capacity.arrivals import Poisson
from bench.capacity.queueing import Setup
from bench.capacity.station import Target, station
from bench.processes import process
from bench.records import PlannedCase
from tests.capacity import loadgen

pytestmark = [
    pytest.mark.worker,
    pytest.mark.skipif(importlib.util.find_spec("mlperf_loadgen") is None, reason="mlcommons-loadgen is not installed"),
]
HERE = Path(__file__).parent


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.sleep"
    path.write_text("fixed 2")
    return path


def of_loadgen(model: Path, scenario: str, count: int, **more: Any) -> dict[str, Any]:
    asked = {
        "scenario": scenario, "worker": str(process.WORKER), "runtime": str(HERE / "madeup.py"), "path": str(model),
        "provider": "bed", "seed": 7, "count": count, "shapes": {}, "batch_size": 1, **more,
    }  # fmt: skip
    ran = subprocess.run([sys.executable, HERE / "loadgen.py", json.dumps(asked)], capture_output=True, text=True,
                         timeout=120, check=True)  # fmt: skip
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_the_same_seed_means_the_same_arrivals(model: Path) -> None:
    issued = np.array(of_loadgen(model, "server", 100, rate=50.0)["issued"])
    planned = Poisson().plan(50.0, 100, seed=7)
    late = issued - planned - (issued - planned).min()
    assert np.quantile(late, 0.5) < 0.01, "half a gap: it would be more for any other plan"
    other = issued - Poisson().plan(50.0, 100, seed=8)
    assert np.quantile(other - other.min(), 0.5) > 0.01


@pytest.mark.long
@pytest.mark.parametrize("scenario", ["single", "offline"])
def test_scenarios_without_arrivals_are_never_faster_than_the_service(model: Path, scenario: str) -> None:
    told = loadgen.figures(of_loadgen(model, scenario, 40)["summary"])
    case = PlannedCase(name="sleep", model=str(model), device="cpu", provider="bed", threads=1)
    with station(Target(case=case, path=model, runtime=HERE / "madeup.py"), Setup(instances=1)) as running:
        services, rate = running.saturated(1, 0.1)
    if scenario == "single":
        assert min(told["p50"], 1e3 * float(np.median(services[1]))) >= 2.0
    else:
        assert max(told["rate"], rate) <= 500.0
