"""A run as Markdown, for a comment under a pull request: the choice, the verdicts, the table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.analysis import answer, choice, quality, quantities, trust
from bench.analysis.quantities import Quantity
from bench.records import Comparison, Record, Run, Verdict
from bench.report import Material
from bench.store import write_atomically
from bench.units import percent, relative


def write_markdown(material: Material, out: Path) -> Path:
    """Write the last run."""
    write_atomically(out, summary(material.runs[-1], material.comparison).encode(errors="replace"))
    return out


def summary(run: Run, comparison: Comparison | None = None) -> str:
    """The run as GitHub's Markdown. Whatever a suite or a run may name stands as code, where nothing in it acts."""
    machine = run.machine.must_match
    paragraphs = [
        f"### {_code(run.title or run.suite)}",
        f"{_code(machine.get('cpu'))}, {_code(machine.get('cores'))} cores, {_code(machine.get('threads'))} threads, "
        f"{_code(run.settings.device)}, {_code(', '.join(run.runtimes.values()))}, {_code(run.started_at)}",
        *_trust(run),
        *(_code(line.strip()) for line in answer.in_words(choice.pick(run))),
        *(_verdicts(comparison) if comparison else ()),
        _table(run),
        *(
            f"⚠ {_code(r.case.name)}: {_code(warning)}"
            for r in run.records
            for warning in (r.artifact.warnings if r.artifact else ())
        ),
    ]
    return "\n\n".join(paragraphs) + "\n"  # a blank line between blocks: without one, GitHub makes two tables one


def _trust(run: Run) -> Iterable[str]:
    """Whether to trust the figures, before the figures."""
    verdict, *more = trust.in_words(run)
    yield f"**{_code(verdict)}**"
    yield from map(_code, more)


def _verdicts(comparison: Comparison) -> Iterable[str]:
    counts = {kind: [v for v in comparison.verdicts if v.verdict == kind] for kind in _MARKS}
    said = ", ".join(f"{len(verdicts)} {kind}" for kind, verdicts in counts.items() if verdicts)
    yield f"**{said or 'nothing to compare'}** against the run of {_code(comparison.baseline_started_at)}, margin " + (
        percent(100 * comparison.margin)
    )
    if comparison.changed:
        yield f"Between the two runs: {_code('; '.join(comparison.changed))}"
    if comparison.forced:
        yield f"**Forced: these runs are not comparable** ({_code('; '.join(comparison.differing))})"
    yield _rows(
        ("Model", "Verdict", "Change of p50 [95 % interval]", "Seen 4 times in 5 from", "What changed"),
        [_verdict(v) for kind in _MARKS for v in counts[kind]],
    )


_MARKS = {  # the worst first
    "slower": "🔴", "failed": "🔴", "missing": "🔴", "suspect": "🟠", "inconclusive": "🟡", "faster": "🟢",
    "equivalent": "⚪", "added": "⚪",
}  # fmt: skip


def _verdict(v: Verdict) -> tuple[str, ...]:
    known = v.ratio is not None and v.ratio_low is not None and v.ratio_high is not None
    change = f"{relative(v.ratio)} [{relative(v.ratio_low)}, {relative(v.ratio_high)}]" if known else _code(v.reason)  # type: ignore[arg-type]
    also = map(quantities.change_in_words, v.quantities)
    seen = percent(100 * v.detectable) if v.detectable is not None else ""
    return _code(v.case), f"{_MARKS[v.verdict]} {v.verdict}", change, seen, ", ".join([*v.attribution, *also])


def _table(run: Run) -> str:
    shown = quantities.shown("markdown", quality.of(run.records))
    rows = [(_code(record.case.name), *(_cell(record, one) for one in shown)) for record in run.records]
    return _rows(("Model", *(one.title for one in shown)), rows)


def _cell(record: Record, one: Quantity) -> str:
    text = one.text(record)
    if one.name == "p50" and text is None:
        return _code(record.error or "not measured")
    return f"{text} (no interval)" if text and one.unsure(record) else text or "–"


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _code(value: object) -> str:
    """A text as a code span in one line, also inside a table: nothing in it is markup, a link or a mention."""
    text = re.sub(r"\s+", " ", str(value)).strip().replace("`", "'").replace("|", "\\|")
    return f"`{text or ' '}`"
