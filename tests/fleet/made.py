"""Fleets that were never measured, for tests of what reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench import fleets, store
from bench.records import SCHEMA_VERSION, Fleet, Member, Run
from tests import runs


def run_on(machine: str, factor: float = 1.0, power: float = 0.0, suite: str = "default") -> Run:
    """A run on a machine that takes `factor` times as long, and that times the network's G-Ops to the `power`."""
    made = runs.of_suite(suite)
    records = []
    for record in made.records:
        assert record.measurement is not None
        assert record.cost is not None
        m, times = record.measurement, factor * (2e-9 * record.cost.mult_adds) ** power
        slower = replace(
            m, p50_ms=m.p50_ms * times, p50_ms_low=m.p50_ms_low * times, p50_ms_high=m.p50_ms_high * times,
            p95_ms=m.p95_ms * times if m.p95_ms else None, p99_ms=m.p99_ms * times if m.p99_ms else None,
        )  # fmt: skip
        records.append(replace(record, measurement=slower))
    facts = replace(made.machine, informs=made.machine.informs | {"machine": machine})
    return replace(made, records=tuple(records), machine=facts)


def stored(results: Path, made: dict[str, Run], prices: dict[str, float] | None = None) -> fleets.StoredFleet:
    """The fleet of these runs on the disk."""
    members = tuple(
        Member(machine=name * 4, name=name, run=store.create(results, run).name, usd_per_hour=(prices or {}).get(name))
        for name, run in made.items()
    )
    fleet = Fleet(schema_version=SCHEMA_VERSION, suite="default", started_at="2026-03-01T10:00:00Z", members=members)
    return fleets.load(fleets.create(results, fleet))
