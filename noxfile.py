"""The project's commands: `nox -s bench`, `doctor`, `compare`, `report`, `publish`, `lint`, `tests`, and more."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "tests"]

RUNTIME = "cuda" if shutil.which("nvidia-smi") else "cpu"
LOCK = "requirements.lock"


def install(session: nox.Session, *extras: str) -> None:
    """Install this checkout with some of its extras, everything at the locked versions."""
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # without kept bytecode, TensorFlow takes twice as long to import
    session.install("-q", "-c", LOCK, "-e", f".[{','.join(extras)}]" if extras else ".")


def run_bench(session: nox.Session, *arguments: str) -> None:
    """Run `bench`. Where it fails, nox ends here with its exit code: by itself nox says 1 for any failed session."""
    program = shutil.which("bench", path=os.pathsep.join(session.bin_paths or [])) or "bench"
    session.log(" ".join(["bench", *arguments]))
    variables = {key: value for key, value in {**os.environ, **session.env}.items() if value is not None}
    code = subprocess.run([program, *arguments], env=variables, check=False).returncode
    if code:
        session.log(f"bench ended with exit code {code}, and so does nox; later sessions are not run")
        raise SystemExit(code if code > 0 else 128 - code)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure a suite, compare it with its stored baseline, and write the report. Arguments go to `bench run`."""
    install(session, "export", RUNTIME, "png", "images", "data", "detection")
    run_bench(session, "run", *session.posargs)


@nox.session
def doctor(session: nox.Session) -> None:
    """Examine the machine: what will disturb a measurement. Arguments go to `bench doctor`."""
    install(session, RUNTIME)
    run_bench(session, "doctor", *session.posargs)


@nox.session
def compare(session: nox.Session) -> None:
    """Time the latest run's files beside the stored baseline's. Arguments go to `bench compare`.

    Without a run yet, a short one of the default suite comes first.
    """
    install(session, "export", RUNTIME, "png", "images", "data", "detection")
    if not any(pathlib.Path("results/runs").glob("*/run.json")):
        run_bench(session, "run", "--rounds", "1")
    run_bench(session, "compare", *session.posargs)


@nox.session
def report(session: nox.Session) -> None:
    """Write the HTML site of all runs to results/report. Arguments go to `bench report`."""
    install(session, "history")
    run_bench(session, "report", *(session.posargs or ["--all", "-o", "results/report"]))


@nox.session
def publish(session: nox.Session) -> None:
    """Build the site of all runs and push it to the branch gh-pages of origin."""
    install(session)
    session.install("-q", "-c", LOCK, "ghp-import")
    run_bench(session, "report", "--all", "-o", "results/report")
    session.run("ghp-import", "--no-jekyll", "--push", "--force", "--message", "The report", "results/report",
                *session.posargs)  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, strict mypy, and the contracts of who may import whom."""
    session.install("-q", "-c", LOCK, "-e", ".", "ruff", "mypy", "nox", "types-psutil", "import-linter")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-logo")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, or a layer of it (`-- -m fast`). Arguments go to pytest."""
    install(session, "export", "cpu", "png", "data", "detection", "images", "openvino", "litert", "fleet", "history")
    session.install("-q", "-c", LOCK, "--group", "dev")
    session.run("pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Put slips into modules, one at a time, and see which their tests let pass. Arguments: modules (cost/formulas)."""
    install(session, "export", "cpu", "data", "detection", "images", "openvino", "litert")
    session.install("-q", "-c", LOCK, "--group", "dev")
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session
def counts(session: nox.Session) -> None:
    """Count the networks of the suites anew; their costs come with the package."""
    install(session, "export", RUNTIME)
    session.run("python", "-m", "bench.cost.packing")


@nox.session
def lock(session: nox.Session) -> None:
    """Write the lock file anew: every extra and the development tools, for every platform."""
    session.install("-q", "uv")
    session.run("uv", "pip", "compile", "-q", "pyproject.toml", "--all-extras", "--group", "dev", "--universal",
                "--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header", "--upgrade", "-o", LOCK,
                *session.posargs)  # fmt: skip
