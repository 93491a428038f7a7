"""A run as Markdown, for a comment under a pull request: the choice, the verdicts, the table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.analysis import choice, precision, quality
from bench.records import Comparison, Run, Verdict
from bench.report import Material
from bench.store import write_atomically
from bench.units import giga, latency, megabytes, millions, percent, relative


def write_markdown(material: Material, out: Path) -> Path:
    """Write the last run."""
    write_atomically(out, summary(material.runs[-1], material.comparison).encode())
    return out


def summary(run: Run, comparison: Comparison | None = None) -> str:
    """The run as GitHub's Markdown. Whatever a suite or a run may name stands as code, where nothing in it acts."""
    machine = run.machine.must_match
    parts = [
        f"### {_code(run.title or run.suite)}",
        f"{_code(machine.get('cpu'))}, {_code(machine.get('cores'))} cores, {_code(machine.get('threads'))} threads, "
        f"{_code(run.settings.device)}, {_code(run.machine.may_drift.get('onnxruntime'))}, {_code(run.started_at)}",
        *(_code(line.strip()) + "  " for line in choice.in_words(choice.pick(run, {}))),
        "",
        *(_verdicts(comparison) if comparison else ()),
        *_table(run),
    ]
    return "\n\n".join(part for part in _joined(parts)) + "\n"


def _joined(lines: Iterable[str]) -> Iterable[str]:
    """Rows of a table stay together; everything else is a paragraph."""
    rows: list[str] = []
    for line in lines:
        if line.startswith("|"):
            rows.append(line)
            continue
        if rows:
            yield "\n".join(rows)
            rows = []
        if line.strip():
            yield line.rstrip()
    if rows:
        yield "\n".join(rows)


def _verdicts(comparison: Comparison) -> Iterable[str]:
    counts = {kind: [v for v in comparison.verdicts if v.verdict == kind] for kind in _MARKS}
    told = ", ".join(f"{len(found)} {kind}" for kind, found in counts.items() if found)
    yield f"**{told or 'nothing to compare'}** against the run of {_code(comparison.baseline_started_at)}, margin " + (
        percent(100 * comparison.margin)
    )
    if comparison.forced:
        yield f"**Forced: these runs are not comparable** ({_code('; '.join(comparison.differing))})"
    yield from _rows(
        ("Model", "Verdict", "Change of p50 [95 % interval]", "Cannot see less than", "What changed"),
        [_verdict(v) for kind in _MARKS for v in counts[kind]],
    )


_MARKS = {  # the worst first
    "slower": "🔴", "failed": "🔴", "missing": "🔴", "inconclusive": "🟡", "faster": "🟢", "equivalent": "⚪",
    "added": "⚪",
}  # fmt: skip


def _verdict(v: Verdict) -> tuple[str, ...]:
    known = v.ratio is not None and v.ratio_low is not None and v.ratio_high is not None
    change = f"{relative(v.ratio)} [{relative(v.ratio_low)}, {relative(v.ratio_high)}]" if known else _code(v.reason)  # type: ignore[arg-type]
    blind = percent(100 * v.detectable) if v.detectable is not None else ""
    return _code(v.case), f"{_MARKS[v.verdict]} {v.verdict}", change, blind, ", ".join(v.attribution)


def _table(run: Run) -> Iterable[str]:
    judged = quality.of(run.records)
    rows = []
    for r in run.records:
        m, value = r.measurement, judged.value(r)
        rows.append((
            _code(r.case.name),
            f"{percent(value)}{' measured' if r.accuracy.origin == 'measured' else ''}"
            if value is not None
            else precision.agreement_in_words(r) or "–",
            millions(r.cost.params) if r.cost else "–",
            giga(2 * r.cost.mult_adds) if r.cost else "–",
            megabytes(r.artifact.size_bytes) if r.artifact else "–",
            latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high) if m else _code(r.error or "not measured"),
            latency(m.p95_ms) if m and m.p95_ms is not None else "–",
        ))  # fmt: skip
    headings = ("Model", judged.label, "Parameters", "G-Ops", "Size", "p50 [95 % interval]", "p95")
    return _rows(headings, rows)


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|---" + "|---:" * (len(headings) - 1) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(value: object) -> str:
    """A text as a code span in one line, also inside a table: nothing in it is markup, a link or a mention."""
    text = re.sub(r"\s+", " ", str(value)).strip().replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"
