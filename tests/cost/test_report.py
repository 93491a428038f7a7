"""The MobileNet tables of the report, from a run made by hand with real counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import suites
from bench.models import published
from bench.records import SCHEMA_VERSION, Cost, KindCost, Machine, Measurement, Record, Run, Settings
from bench.report import mobilenet
from tests import runs

# As bench.cost counts them; test_cost_networks.py counts them anew.
COUNTED = {
    "ConvMobileNet": (4_867_293_184, 29_282_120),
    "MobileNet alpha=1 224px": (568_740_352, 4_210_088),
    "MobileNet alpha=0.5 224px": (149_497_088, 1_320_648),
    "MobileNet alpha=1 160px": (290_675_200, 4_210_088),
}


def measurement(p50_ms: float) -> Measurement:
    return Measurement(
        p50_ms=p50_ms, p50_ms_low=0.9 * p50_ms, p50_ms_high=1.1 * p50_ms, p90_ms=None, p95_ms=None, p99_ms=None,
        min_ms=p50_ms, throughput_per_s=1e3 / p50_ms, load_ms=1, first_inference_ms=1, peak_rss_bytes=1, visits=3,
        samples=30, visit_p50_ms=(p50_ms,) * 3,
    )  # fmt: skip


def record(name: str, p50_ms: float | None) -> Record:
    (case,) = (c for c in suites.load_suite("mobilenet").cases if c.name == name)
    mult_adds, learnt = COUNTED[name]
    kinds = {
        "standard": KindCost(layers=1, mult_adds=mult_adds, params=learnt),
        "other": KindCost(layers=1, mult_adds=0, params=9),
    }
    return Record(
        case=runs.planned(case),
        cost=Cost(mult_adds=mult_adds, params=learnt + 9, by_kind=kinds),
        measurement=measurement(p50_ms) if p50_ms else None,
        accuracy=published.lookup(case),
    )


def run(*records: Record) -> Run:
    settings = Settings(
        rounds=3, min_time_s=1, min_count=1, warmup_s=1, budget_s=None, seed=0, device="cpu", provider="CPU"
    )
    return Run(
        schema_version=SCHEMA_VERSION, suite="mobilenet", started_at="2026-01-01T00:00:00Z",
        machine=Machine(must_match={}, may_drift={}, informs={}), settings=settings, records=records,
    )  # fmt: skip


FULL = run(
    record("ConvMobileNet", 40.0),
    record("MobileNet alpha=1 224px", 10.0),
    record("MobileNet alpha=0.5 224px", 5.0),
    record("MobileNet alpha=1 160px", None),
)


def texts(table: mobilenet.Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_the_four_tables() -> None:
    three, four, six, seven = mobilenet.tables(FULL)
    for table in (three, four, six, seven):
        assert all(len(row) == len(table.headings) for row in table.rows)
    assert [row[:4] for row in texts(three)] == [
        ["Convolution", "462 M", "462.4 M", "+0.1 %"],
        ["Depthwise Separable Conv", "52.3 M", "52.3 M", "0.0 %"],
        ["alpha=0.75", "29.6 M", "29.6 M", "-0.1 %"],
        ["rho=0.714", "15.1 M", "15.1 M", "-0.1 %"],
    ]
    assert texts(four) == [
        [
            "Full-convolution 1 MobileNet-224", "71.7 %", "71.7 %", "4866 M", "4867 M", "0.0 %",
            "29.3 M", "29.28 M", "-0.1 %", "40.0 ms [36.0, 44.0]", "1.00 x", "1.00 x",
        ],
        [
            "1 MobileNet-224", "70.6 %", "70.4 %", "569 M", "569 M", "0.0 %",
            "4.2 M", "4.21 M", "+0.2 %", "10.0 ms [9.00, 11.0]", "8.56 x", "4.00 x",
        ],
    ]  # fmt: skip
    assert [row[0] for row in texts(six)] == [f"{a:g} MobileNet-224" for a in (1, 0.75, 0.5, 0.25)]
    assert [row[0] for row in texts(seven)] == [f"1 MobileNet-{s}" for s in (224, 192, 160, 128)]


def test_what_the_run_lacks_stays_empty() -> None:
    _, _, six, seven = mobilenet.tables(FULL)
    assert texts(six)[1][2:] == ["–", "325 M", "–", "–", "2.6 M", "–", "–", "–", "–", "–"], "α 0.75 is not in the run"
    assert texts(seven)[2][9:] == ["–", "–", "–"], "160 pixels was not measured"
    assert texts(seven)[2][4] == "291 M"


def test_a_run_without_mobilenets_has_no_tables() -> None:
    other = Record(case=runs.planned(suites.case_of_model("VGG16")))
    altered = replace(FULL.records[1], case=replace(FULL.records[1].case, precision="int8"))
    assert mobilenet.tables(run(other)) == mobilenet.tables(run(altered)) == []
    assert mobilenet.promises(run(other)) == []


def test_promised_against_measured() -> None:
    (half,) = mobilenet.promises(FULL)
    assert (half.multiplier, half.alpha, half.rho) == ("alpha", 0.5, 1.0)
    assert half.promised == pytest.approx(568_740_352 / 149_497_088)
    assert half.measured == pytest.approx(2.0)
    assert half.measured_low == pytest.approx(2.0 * 0.9 / 1.1)
    assert half.measured_high == pytest.approx(2.0 * 1.1 / 0.9)
    small = replace(FULL.records[3], measurement=measurement(6.0))
    found = {p.multiplier: p for p in mobilenet.promises(run(*FULL.records[:3], small))}
    assert found["rho"].rho == pytest.approx(160 / 224)
    assert found["rho"].measured == pytest.approx(10 / 6)


def test_another_precision_promises_nothing_about_this_one() -> None:
    quantised = replace(FULL.records[2], case=replace(FULL.records[2].case, precision="int8", name="q"))
    assert mobilenet.promises(run(FULL.records[1], quantised)) == []
