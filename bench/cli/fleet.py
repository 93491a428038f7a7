"""Commands of a fleet: its machines, its certificates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bench.cli.root import as_json_option, cli, report_of, results_option, show_trust, table
from bench.errors import BenchError, Failed, NotComparable

if TYPE_CHECKING:
    from bench.fleet.cluster import Cluster
    from bench.fleet.shards import Shards
    from bench.fleets import StoredFleet
    from bench.pipeline import Options
    from bench.suites import Suite

tls_option = click.option(
    "--tls", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="The folder of certificates. [default: where `bench fleet certificates` puts them]",
)  # fmt: skip
insecure_option = click.option(
    "--insecure", is_flag=True, help="Also without encryption: whoever reaches the scheduler runs code on its machines."
)


@cli.group()
def fleet() -> None:
    """The machines of a Dask cluster: `bench run SUITE --scheduler URL` measures on all of them.

    \b
    bench fleet certificates    once; copy the folder to every machine
    bench fleet scheduler       on one machine that all others reach
    bench fleet worker URL      on every machine that shall measure
    bench fleet check URL       who is there, and what stands in the way
    """


@contextmanager
def connection(where: str, tls: Path | None, insecure: bool) -> Iterator[Cluster]:
    """A connection to a scheduler; one without encryption is said in red."""
    try:
        from bench.fleet import cluster
    except ImportError as error:
        raise Failed('Dask distributed is missing; pip install "backbench[fleet]"') from error
    warn(insecure)
    with cluster.connected(where, tls=tls, insecure=insecure) as connected:
        yield connected


@contextmanager
def judges(where: str, tls: Path | None, insecure: bool, runtime: str) -> Iterator[Shards]:
    """The machines of a fleet as those who judge images."""
    with connection(where, tls, insecure) as cluster:
        from bench.fleet import checking, shards

        yield shards.Shards(cluster, checking.fit(cluster, {runtime}))


def warn(insecure: bool) -> None:
    """Say in red what --insecure means."""
    if insecure:
        click.secho(
            "insecure: nothing is encrypted, and whoever reaches the scheduler runs code on every machine of the fleet",
            fg="red", err=True,
        )  # fmt: skip


@fleet.command()
@click.argument("scheduler")
@click.option("--name", metavar="NAME", help="What this machine is called. [default: its host name]")
@tls_option
@insecure_option
def worker(scheduler: str, name: str | None, tls: Path | None, insecure: bool) -> None:
    """Measure on this machine what SCHEDULER (tls://HOST:8786, or a scheduler file) hands out, until Ctrl-C.

    One task at a time, without a nanny, without Dask's profiler. It comes back when the scheduler does.
    """
    from bench.fleet import worker as serving

    warn(insecure)
    serving.serve(scheduler, name=name, tls=tls, insecure=insecure)


@fleet.command()
@click.option("--host", default="", metavar="ADDRESS", help="To listen on. [default: all]")
@click.option("--port", type=click.IntRange(0, 65535), default=8786, show_default=True)
@click.option("--scheduler-file", type=click.Path(dir_okay=False, path_type=Path), help="Write its address there.")
@tls_option
@insecure_option
def scheduler(host: str, port: int, scheduler_file: Path | None, tls: Path | None, insecure: bool) -> None:
    """Start Dask's scheduler, with TLS and without its web pages. Plain `dask scheduler` works, too."""
    from bench.fleet import scheduler as serving

    warn(insecure)
    serving.serve(host, port, scheduler_file=scheduler_file, tls=tls, insecure=insecure)


@fleet.command()
@click.argument("hosts", nargs=-1)
@click.option("-o", "out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The folder. [default: where they are looked for]")  # fmt: skip
def certificates(hosts: tuple[str, ...], out: Path | None) -> None:
    """Make the certificates of a fleet, for the names and addresses of its HOSTS. Copy the folder to every machine."""
    from bench.fleet import certificates as making

    place = making.write(out or making.folder(), hosts or ("localhost", "127.0.0.1"))
    click.echo(f"certificates: {place}; copy this folder to every machine, and to nobody else")


@fleet.command()
@click.argument("scheduler")
@tls_option
@insecure_option
@as_json_option
def check(scheduler: str, tls: Path | None, insecure: bool, as_json: bool) -> None:
    """Say who is in a fleet: versions, runtimes, whether they are quiet, disk and clock.

    Exit code 4 when they are not alike, 5 when there is none.
    """
    from bench import store
    from bench.suites import RUNTIMES
    from bench.units import megabytes

    with connection(scheduler, tls, insecure) as cluster:
        from bench.fleet import answering, checking

        machines, problems = cluster.machines()
        known = {name for machine in machines for name in machine.versions}
        used = [name for name in RUNTIMES if name in known and any(
            machine.versions[name] != "not installed" for machine in machines)]  # fmt: skip
        findings = checking.findings(machines, used, answering.versions())
    if as_json:
        rows: list[dict[str, Any]] = [
            {"address": m.address, "workers": m.workers, "clock_offset_s": m.offset_s} | dict(m.said) for m in machines
        ]
        click.echo(store.json_text({"machines": rows, "findings": findings, "problems": problems}))
    else:
        table(
            ("machine", "processor", "cores", "versions", "others use", "free", "clock", "worker idle", "nanny sets"),
            [
                (
                    m.name, m.said["cpu"], str(m.said["cores"]), _versions(m.versions, used),
                    f"{100 * m.said['busy_share']:.0f} %", megabytes(m.said["free_bytes"]), f"{m.offset_s:+.1f} s",
                    f"{100 * m.said['idle_share']:.1f} % of a core" if m.said["idle_share"] else "",
                    ", ".join(m.said["nanny_sets"]),
                )
                for m in machines
            ],
            drop=("nanny sets", "worker idle", "processor"),
        )  # fmt: skip
        for each in findings:
            click.echo(f"{'refused' if each.refuses else 'note'}: {each.name}: {each.what}; {each.remedy}")
        for address, why in problems.items():
            click.echo(f"refused: {address}: {why}; pip install backbench[fleet,cpu] there")
    if not machines:
        raise Failed(f"no machine behind {scheduler}; start some with `bench fleet worker {scheduler}`")
    if problems or any(each.refuses for each in findings):
        raise SystemExit(NotComparable.exit_code)


@dataclass(frozen=True, slots=True)
class Fleetwise:
    """How `bench run --scheduler` was asked for."""

    scheduler: str
    tls: Path | None
    insecure: bool
    prices: dict[str, float]  # US dollars an hour, by the machine's name
    resume: str | None
    results: Path
    as_json: bool


def measure_fleet(how: Fleetwise, suite: Suite | None, options: Options) -> None:
    """Measure on every machine of a fleet, and say what each of them has; exit code 5 when one is not whole."""
    from bench import fleets, store
    from bench.cli import progress
    from bench.units import duration, megabytes

    with connection(how.scheduler, how.tls, how.insecure) as cluster, progress.watch() as watch:
        from bench.fleet import running

        if how.resume is not None:
            stored = fleets.latest(how.results) if how.resume == "latest" else fleets.load(Path(how.resume))
            outcome = running.resume(stored, suite, cluster, watch=watch)
        elif suite is not None:
            outcome = running.run(suite, cluster, options=options, results=how.results, prices=how.prices, watch=watch)
    members, page = outcome.stored.fleet.members, _page_of(outcome.stored)
    if how.as_json:
        click.echo(store.json_text(outcome.stored.fleet), nl=False)
    else:
        measured = {member.name: run for member, run in outcome.stored.runs()}
        table(
            ("machine", "cases", "files sent", "run", "what is missing"),
            [
                (
                    member.name,
                    str(sum(record.measurement is not None for record in measured[member.name].records))
                    if member.name in measured else "0",
                    megabytes(outcome.sent_bytes.get(member.name, 0)), member.run or "", member.error or "",
                )
                for member in members
            ],
        )  # fmt: skip
        click.echo(f"fleet:  {outcome.stored.path}, {duration(outcome.stored.fleet.wall_s)}")
        if page:
            click.echo(f"report: {page}")
    for member in members:
        if member.error:
            click.echo(f"failed: {member.name}: {member.error}", err=True)
    if any(member.error for member in members):
        raise SystemExit(Failed.exit_code)


def pick_everywhere(
    path: Path | None, limits: dict[str, float], batch_size: int | None, like: str | None, results: Path, as_json: bool
) -> NoReturn:
    """Say which one model to ship on all machines of a fleet; exit code 6 when none meets the limits on all of them."""
    from bench import fleets, store
    from bench.analysis import choice, everywhere

    stored = fleets.load(path) if path else fleets.latest(results)
    runs = {member.name: run for member, run in stored.runs()}
    chosen = everywhere.pick(runs, limits, batch_size=batch_size, like=like)
    if as_json:
        click.echo(store.json_text(chosen))
    else:
        for name, run in runs.items():
            show_trust(run, f"the run on {name}", short=True)
        for line in everywhere.in_words(chosen):
            click.echo(line)
        for member in stored.fleet.members:
            if member.error:
                click.echo(f"note: {member.name}: {member.error}", err=True)
    raise SystemExit(choice.exit_code(chosen.together))


@fleet.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("-o", "out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.html",
              help="[default: fleet.html in its folder]")  # fmt: skip
@results_option
def report(folder: Path | None, out: Path | None, results: Path) -> None:
    """Write the page of a fleet. [default: the latest]"""
    from bench import fleets
    from bench.report.fleet import write_fleet

    stored = fleets.load(folder) if folder else fleets.latest(results)
    click.echo(f"report: {write_fleet(stored, out or stored.path / 'fleet.html')}")


def _page_of(stored: StoredFleet) -> Path | None:
    """The page of a fleet and of each of its runs. One that fails is said, and costs nothing that was measured."""
    from bench.report.fleet import write_fleet

    for member, run in stored.runs():
        if member.run:
            report_of(stored.results / "runs" / member.run, run, None)
    try:
        return write_fleet(stored, stored.path / "fleet.html")
    except BenchError as error:
        click.echo(f"no page: {error}", err=True)
        return None


def _versions(versions: dict[str, str], used: list[str]) -> str:
    """Of backbench, Python and the runtimes that are installed."""
    names = ["backbench", "Python", *used]
    return ", ".join(versions[name] if name in used else f"{name} {versions[name]}" for name in names)
