"""The machine examined: each finding from what the system shows, and the whole on this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bench.analysis import comparison, statistics
from bench.machine import lock
from bench.trust import doctor
from bench.trust.finding import Conclusion, Finding, conclude
from tests.analysis.test_comparison import record, run_of
from tests.cli.test_cli import call


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


@pytest.mark.parametrize(
    ("finding", "found", "remedy"),
    [
        (doctor.cores(2, 8, None), "2 of 8", None),
        (doctor.cores(2, 8, 2.0), "2 of 8", None),
        (doctor.cores(1, 8, 1.5), "1 of 8", "1.5 cores"),
        (doctor.siblings([]), "not shown", None),
        (doctor.siblings(["0", "1"]), "no core is shared", None),
        (doctor.siblings(["0,2", "1,3", "0,2", "1,3"]), "cores 0,2 and 1,3 share", "taskset"),
        (doctor.siblings(["0-1", "0-1"]), "cores 0-1 share", "--threads"),
        (doctor.instructions(["avx2", "avx512_vnni"]), "avx512_vnni", None),
        (doctor.instructions(["avx2"]), "avx2", "int8 may be slower"),
        (doctor.governor(""), "not shown", None),
        (doctor.governor("performance"), "performance", None),
        (doctor.governor("powersave"), "powersave", "cpupower frequency-set -g performance"),
        (doctor.turbo("0", ""), "on", "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"),
        (doctor.turbo("1", ""), "off", None),
        (doctor.turbo("", "1"), "on", "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"),
        (doctor.turbo("", "0"), "off", None),
        (doctor.turbo("", ""), "not shown", None),
        (doctor.virtual(True), "yes", "bench ab"),
        (doctor.limits(None, None), "none", None),
        (doctor.limits(1.5, 4_000_000_000), "1.5 cores, 4.0 GB of memory", None),
        (doctor.default_threads("ONNX Runtime", 2, 2), "2 for 2", None),
        (doctor.default_threads("ONNX Runtime", 16, 2), "16 for 2", "set its threads to 2"),
        (doctor.load(0.02, 0.0, ["x 9 %"]), "2 % of the cores", None),
        (doctor.load(0.6, 0.0, ["chrome 90 %"]), "60 % of the cores", "stop other programs .*chrome 90 %"),
        (doctor.load(0.0, 0.1, []), "10 % stolen", "host is crowded"),
        (doctor.free("memory", 9e9, 2e9, "close"), "9.0 GB", None),
        (doctor.free("memory", 1e9, 2e9, "close"), "1.0 GB", "close"),
        (doctor.pace_finding(None), "not known", None),
        (doctor.pace_finding(1.05), "1.05 times", None),
        (doctor.pace_finding(1.6), "1.60 times", "pin the virtual machine's cores"),
        (doctor.provider_finding("ONNX Runtime", "CPUExecutionProvider", None), "runs", None),
        (doctor.provider_finding("ONNX Runtime", "CUDAExecutionProvider", "no driver"), "does not run", "no driver"),
    ],
)
def test_findings(finding: Finding, found: str, remedy: str | None) -> None:
    assert found in finding.found
    assert finding.level == ("warn" if remedy else "unknown" if found in ("not shown", "not known") else "ok")
    if remedy:
        assert re.search(remedy, finding.remedy or "")


def test_the_noise_is_told_apart_between_and_within_visits() -> None:
    rng = np.random.default_rng(0)
    visits = [
        [int(x) for x in 1e6 * np.exp(rng.normal(centre, 0.01, 200))] for centre in rng.normal(0, 0.05, 60)
    ]  # fmt: skip
    noise = doctor.noise_of(visits)
    assert noise.between == pytest.approx(0.05, rel=0.3)
    assert noise.within == pytest.approx(0.01, rel=0.1)
    assert (noise.visits, noise.p50_ms) == (60, pytest.approx(1.0, rel=0.03))
    assert "--rounds" in (doctor.noise_finding(noise).remedy or "")
    assert doctor.noise_finding(doctor.noise_of([[1000, 1001, 1002, 1003]] * 3)).remedy is None


def test_what_two_runs_cannot_see_is_what_compare_says() -> None:
    rng = np.random.default_rng(1)
    said = []
    for _ in range(30):
        old, new = (run_of(record(rng, between=0.01, within=1e-4)) for _ in range(2))
        (verdict,) = comparison.compare(old, new, margin=0.001).verdicts
        said.append(verdict.detectable or 0.0)
    assert doctor.detectable(0.01, 5) == pytest.approx(float(np.median(said)), rel=0.3)
    assert statistics.student_t(0.4, 8) == pytest.approx(0.889, abs=0.002)


@pytest.mark.long
def test_this_machine_is_examined(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(capsys, "doctor", "--seconds", "0", "--json", "--output", str(tmp_path / "not" / "there"))
    assert (code, err) == (0, "")
    answer = json.loads(out)
    by_name = {finding["name"]: finding for finding in answer["findings"]}
    assert by_name["ONNX Runtime on CPU"]["found"] == "runs"
    assert answer["noise"]["visits"] == 3
    assert 0 < answer["noise"]["between"] < 10, "three visits never have the same median"
    assert 1 <= answer["noise"]["pace"] < 100
    assert all((finding["level"] == "warn") == bool(finding["remedy"]) for finding in by_name.values())
    assert all(finding["level"] != "ok" for finding in by_name.values() if finding["found"].startswith("not "))
    assert {"Keras settings", "working directory", "locale", "threads asked", "processor"} <= {*by_name}
    against = [finding["name"] for finding in by_name.values() if finding["disturbs"] and finding["remedy"]]
    assert answer["quiet"] == (not against)
    assert by_name["measuring lock"]["found"] == "free"


@pytest.mark.long
def test_who_is_measuring_is_said_and_not_disturbed(capsys: pytest.CaptureFixture[str]) -> None:
    assert lock.held_by() is None
    with lock.measuring():
        code, out, _ = call(capsys, "doctor")
    assert code == 0
    assert "is measuring; wait for it" in out
    assert "noise floor: not measured" in out
    assert out.splitlines()[-1].startswith("this machine cannot measure well now: ")
    with lock.measuring():
        assert call(capsys, "doctor", "--require", "quiet")[0] == 5


def test_the_conclusion_counts_what_disturbs_and_what_is_not_known() -> None:
    fine = [Finding("a", "fine"), Finding("b", "not shown"), Finding("c", "so so", "mind it")]
    assert conclude(fine) == Conclusion(quiet=True, text="this machine can measure now (1 to mind, 1 not known)")
    assert conclude(fine[:1]).text == "this machine can measure now"
    loud = conclude([*fine, doctor.load(0.6, 0.0, []), doctor.pace_finding(1.6)])
    assert not loud.quiet
    assert "now: background load, pace; do" in loud.text
    assert conclude([doctor.load(0.01, 0.0, []), doctor.pace_finding(1.0)]).quiet


def test_a_quiet_machine_passes_the_gate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda *_, **__: iter([Finding("pace", "steady")]))
    assert call(capsys, "doctor", "--require", "quiet")[0] == 0
