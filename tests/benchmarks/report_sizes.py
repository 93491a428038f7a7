"""Time and size of reports of made-up runs, and time to interactive: `python -m tests.benchmarks.report_sizes`.

Prints a row a report: what it took to build (writing included, in this process, libraries imported before), its bytes
beside the plotting library, when the first figure stood and when all of them did. Exits with 1 when a target is missed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from bench import suites
from bench.analysis import comparison
from bench.records import Run
from bench.report import write_report
from bench.report.page import LIBRARY_FILE
from tests import runs

PAGE_BYTES, BUILD_S, SITE_S, SITE_RUNS = 1_500_000, 3.0, 60.0, 200


def run_of(count: int) -> Run:
    """A run of the default suite, or of so many cases of several suites."""
    if count == 12:
        return runs.of_suite("default")
    everything = (case for name in ("keras", "mobilenet", "mobilenet-v2") for case in suites.load_suite(name).cases)
    cases = {case.name: case for case in everything}
    return runs.run((runs.record(case) for case in islice(cases.values(), count)), suite=f"{count} cases")


def build(run: Run, folder: Path) -> tuple[Path, float]:
    """A page with raw samples and a comparison, and the seconds that it took."""
    before = replace(run, records=tuple(runs.record(r.case, factor=1.05, seed=1) for r in run.records))
    stored = runs.stored(run, folder)
    begun = time.perf_counter()
    path = write_report([run], folder / "page.html", folders=[stored], comparison=comparison.compare(before, run))
    return path, time.perf_counter() - begun


def site(folder: Path) -> tuple[Path, float]:
    """A site of many runs on two machines, and the seconds that it took."""
    several, folders = [], []
    for number in range(SITE_RUNS):
        made = runs.of_suite("default", seed=number, factor=1.0 if number < 120 else 1.1)
        machine = runs.machine() if number % 3 else runs.machine(cpu="Another CPU")
        started = f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}T10:00:00Z"
        several.append(replace(made, machine=machine, started_at=started))
        folders.append(runs.stored(several[-1], folder / "results"))
    begun = time.perf_counter()
    path = write_report(several, folder / "site", folders=folders)
    return path, time.perf_counter() - begun


def interactive(browser: Any, path: Path) -> tuple[float, float]:
    """Seconds from the start of the navigation until the first figure stood and the page answered, and all did."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready=yes]")
    marks = page.evaluate("performance.getEntriesByType('mark').map((mark) => mark.startTime)")
    page.close()
    return marks[0] / 1e3, marks[-1] / 1e3


def from_the_command_line(run: Run, folder: Path) -> float:
    """Seconds of `bench report`, the start of the interpreter included."""
    stored = runs.stored(run, folder)
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bench.cli", "report", str(stored), "-o", str(folder / "page.html"),
                    "--output", str(folder)], check=True, capture_output=True)  # fmt: skip
    return time.perf_counter() - begun


def main() -> int:
    from playwright.sync_api import sync_playwright

    library, missed = len(get_plotlyjs().encode()), []
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        folder = Path(kept)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        print(f"{'report':24} {'build s':>8} {'own kB':>8} {'first figure s':>15} {'all figures s':>14}")
        for count in (12, 64):
            path, taken = build(run_of(count), folder / str(count))
            own = path.stat().st_size - library
            first, last = interactive(browser, path)
            print(f"{f'one run of {count}':24} {taken:8.2f} {own / 1e3:8.0f} {first:15.2f} {last:14.2f}")
            missed += [f"run of {count}: {own} bytes"] if own >= PAGE_BYTES else []
        taken = from_the_command_line(run_of(12), folder / "command")
        print(f"{'the same 12, `bench`':24} {taken:8.2f}")
        missed += [f"run of 12: {taken:.1f} s"] if taken >= BUILD_S else []
        path, taken = site(folder / "many")
        own = sum(file.stat().st_size for file in path.parent.iterdir() if file.name != LIBRARY_FILE)
        first, last = interactive(browser, next(path.parent.glob("run-*.html")))
        print(f"{f'site of {SITE_RUNS} runs':24} {taken:8.2f} {own / 1e3:8.0f} {first:15.2f} {last:14.2f}")
        missed += [f"site: {taken:.1f} s"] if taken >= SITE_S else []
        browser.close()
    for what in missed:
        print(f"missed: {what}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
