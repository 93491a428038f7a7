"""The main job: a suite's cases trained, exported, timed, judged and stored as one Run.

A phase is a file here with a `PHASE`: its name, the cases that it has something to do for, and what it does. The order
is `running.PHASES`; another phase is one file and one entry there.
"""

from __future__ import annotations

from bench.pipeline.running import Options, Outcome, resume, run
from bench.pipeline.watch import Silent, Watch

__all__ = ["Options", "Outcome", "Silent", "Watch", "resume", "run"]
