"""The same measuring on other machines, through Dask distributed: one run a machine, and a record that ties them.

Dask carries questions and answers, both JSON, to one function of ours (`answering.answer`), pinned to one worker. What
is measured, when, and how often is planned here, machine by machine, as for a run on this machine.
"""

from __future__ import annotations
