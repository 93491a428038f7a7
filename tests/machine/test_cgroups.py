"""Processor and memory limits anywhere above this process, on made-up trees of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.machine import cgroups, facts
from bench.timing import worker

V2 = "0::/user.slice/user-1000.slice/session.scope\n"
MOUNTED_V2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
V1 = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc/job\n0::/\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


SLICE, SCOPE = "sys/fs/cgroup/user.slice", "sys/fs/cgroup/user.slice/user-1000.slice/session.scope"
SHARED, JOB = "sys/fs/cgroup/cpu,cpuacct/docker", "sys/fs/cgroup/cpu,cpuacct/docker/abc/job"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": V2, f"{SCOPE}/cpu.max": "max 100000\n", f"{SLICE}/cpu.max": "50000 100000\n"}, 0.5),
        ({"proc/self/cgroup": V2, f"{SCOPE}/cpu.max": "300000 100000\n", f"{SLICE}/cpu.max": "400000 100000\n"}, 3.0),
        ({"proc/self/cgroup": V2, "proc/self/mountinfo": MOUNTED_V2, f"{SCOPE}/cpu.max": "20000 10000\n"}, 2.0),
        ({"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/other/cpu.max": "1000 1000\n"}, 1.0),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/else.slice/cpu.max": "1000 1000\n"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, 2.5),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"proc/self/cgroup": V1, f"{JOB}/cpu.cfs_quota_us": "-1", f"{JOB}/cpu.cfs_period_us": "100000",
          f"{SHARED}/cpu.cfs_quota_us": "70000", f"{SHARED}/cpu.cfs_period_us": "100000"}, 0.7),
        # Inside a container of version 1 the mount's top is the container's own group.
        ({"proc/self/cgroup": V1, "proc/self/mountinfo":
          "33 25 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
          "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "120000",
          "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000"}, 1.2),
        # Both versions at once: limits are in version 1, version 2 is mounted beside it.
        ({"proc/self/cgroup": V1, "sys/fs/cgroup/unified/cgroup.procs": "", f"{JOB}/cpu.cfs_quota_us": "90000",
          f"{JOB}/cpu.cfs_period_us": "100000"}, 0.9),
        ({"sys/fs/cgroup/cpu.max": "one two\n"}, None),
        ({"sys/fs/cgroup/cpu.max": "1000 0\n"}, None),
    ],
)  # fmt: skip
def test_the_least_quota_of_all_levels(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    assert cgroups.quota(tree(tmp_path, files)) == pytest.approx(expected)


def test_the_least_memory_limit_of_all_levels(tmp_path: Path) -> None:
    two = tree(tmp_path / "2", {"proc/self/cgroup": V2, f"{SCOPE}/memory.max": "max", f"{SLICE}/memory.max": "1000000"})
    assert cgroups.memory_limit(two) == 1_000_000
    one = tree(tmp_path / "1", {"proc/self/cgroup": V1,
                                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "9223372036854771712",
                                "sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "2000000"})  # fmt: skip
    assert cgroups.memory_limit(one) == 2_000_000
    assert cgroups.memory_limit(tree(tmp_path / "0", {})) is None


@pytest.mark.parametrize(
    ("files", "before", "after", "throttled_ms"),
    [
        ({"proc/self/cgroup": V2}, {f"{SLICE}/cpu.stat": "usage_usec 9\nthrottled_usec 1000\n"},
         {f"{SLICE}/cpu.stat": "usage_usec 99999\nthrottled_usec 51000\n"}, 50.0),
        ({"proc/self/cgroup": V1}, {f"{SHARED}/cpu.stat": "nr_throttled 1\nthrottled_time 5000000\n"},
         {f"{SHARED}/cpu.stat": "nr_throttled 9\nthrottled_time 25000000\n"}, 20.0),
        ({"proc/self/cgroup": V1}, {f"{SHARED}/cpu.stat": "nr_periods 0\n"}, {}, None),
        ({}, {}, {}, None),
    ],
)  # fmt: skip
def test_throttling_is_seen_at_any_level_of_both_versions(
    tmp_path: Path, files: dict[str, str], before: dict[str, str], after: dict[str, str], throttled_ms: float | None
) -> None:
    paths = [str(path) for path in cgroups.cpu_stats(tree(tmp_path, files | before))]
    first = worker._counters(paths)
    tree(tmp_path, after)
    assert worker._health(first, worker._counters(paths))["throttled_ms"] == throttled_ms


def test_the_worker_is_told_where_throttling_is_counted_and_cores_follow_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.records import PlannedCase
    from bench.timing import schedule
    from tests.analysis.test_comparison import SETTINGS
    from tests.timing.test_timing import write_model

    tree(
        tmp_path, {"proc/self/cgroup": V2, f"{SLICE}/cpu.max": "100000 100000", f"{SLICE}/cpu.stat": "throttled_usec 0"}
    )
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    path = write_model(tmp_path / "a.onnx")
    spec = schedule.specification(
        PlannedCase(name="a", model=str(path), device="cpu", provider="CPUExecutionProvider", threads=1), path, SETTINGS
    )
    assert spec["cpu_stats"] == [str(tmp_path / SLICE / "cpu.stat")]
    facts.cores_given.cache_clear()
    assert facts.cores_given() == 1
    monkeypatch.undo()
    facts.cores_given.cache_clear()
