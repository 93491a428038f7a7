"""What `bench doctor` finds, and what all findings together say of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNKNOWN = ("not shown", "not known", "not measured")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about the machine or the user's surroundings; `remedy` is None when there is nothing to do."""

    name: str
    found: str
    remedy: str | None = None
    disturbs: bool = False  # whether the remedy has to come before anything is measured

    @property
    def level(self) -> str:
        """ "ok", "warn", or "unknown" where the system does not show it."""
        return "warn" if self.remedy else "unknown" if self.found in UNKNOWN else "ok"


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusion:
    """The findings in one line."""

    quiet: bool  # whether the machine can measure now
    text: str


def conclude(findings: Sequence[Finding]) -> Conclusion:
    """Whether the machine can measure now, and what stands against it."""
    against = [finding.name for finding in findings if finding.disturbs and finding.remedy]
    count = {level: sum(f.level == level for f in findings) for level in ("warn", "unknown")}
    more = ", ".join(f"{n} {level}" for level, n in (("to mind", count["warn"] - len(against)),
                                                      ("not known", count["unknown"])) if n)  # fmt: skip
    if against:
        text = f"this machine cannot measure well now: {', '.join(against)}; do what is said there first"
        return Conclusion(quiet=False, text=text + (f" ({more})" if more else ""))
    return Conclusion(quiet=True, text="this machine can measure now" + (f" ({more})" if more else ""))
