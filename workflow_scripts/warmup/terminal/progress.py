"""One line that says how far a study is, from the events that Snakemake reports: text in, text out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import median

TRAININGS = frozenset({"train", "probe_run", "trunk_run"})


@dataclass
class Running:
    """A job under way: its rule, what tells it from others of its rule, and when it began (seconds of any clock)."""

    rule: str
    name: str
    began: float


@dataclass
class Progress:
    """How far a study is. `began` and every `now`: seconds of the same clock."""

    began: float
    planned: dict[str, int] = field(default_factory=dict)
    """Jobs of each rule in this start."""
    running: dict[int, Running] = field(default_factory=dict)
    """Jobs under way, by Snakemake's number."""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Durations of the finished jobs of each rule."""
    failed: int = 0
    most_at_once: int = 1

    def plan(self, counts: Mapping[str, int]) -> None:
        """Take up the jobs of each rule; a rule without jobs of its own (a target) counts as well."""
        self.planned = {rule: count for rule, count in counts.items() if rule != "total"}

    def start(self, job: int, rule: str, wildcards: Mapping[str, str], now: float) -> None:
        """A job begins."""
        self.running[job] = Running(rule, "/".join(wildcards.values()), now)
        self.most_at_once = max(self.most_at_once, len(self.running))

    def finish(self, job: int, now: float) -> None:
        """A job has ended well."""
        known = self.running.pop(job, None)
        if known is not None:
            self.seconds.setdefault(known.rule, []).append(now - known.began)

    def fail(self, job: int) -> str:
        """A job has failed; its name."""
        self.failed += 1
        known = self.running.pop(job, None)
        return "" if known is None else f"{known.rule} {known.name}".strip()

    def seconds_left(self, now: float) -> float | None:
        """Estimate from the median duration of each rule's finished jobs; None while it has nothing to go by.

        A rule of which none is finished takes as long as the other steps, trainings as long as trainings.
        """
        groups = {True: self._durations(TRAININGS), False: self._durations(set(self.planned) - TRAININGS)}
        left = 0.0
        for rule, count in self.planned.items():
            known = self.seconds.get(rule) or groups[rule in TRAININGS]
            waiting = max(0, count - len(self.seconds.get(rule, [])))
            if not waiting:
                continue
            if not known and rule in TRAININGS:
                return None
            left += waiting * (median(known) if known else 0.0)
        left -= sum(now - job.began for job in self.running.values())
        return max(0.0, left) / self.most_at_once

    def line(self, now: float, width: int) -> str:
        """The line, at most `width` characters."""
        spent = clock(now - self.began)
        if not self.planned:
            return f"planning  |  {spent} gone"[: max(0, width)]
        parts = []
        trainings = self._count(TRAININGS)
        if trainings:
            parts.append(f"trainings {trainings}")
        parts.append(f"steps {self._count(set(self.planned) - TRAININGS) or 'none'}")
        if self.failed:
            parts.append(f"{self.failed} failed")
        left = self.seconds_left(now)
        parts.append(f"{spent} gone" if left is None else f"{spent} gone, about {clock(left)} left")
        names = [f"{job.rule} {job.name}".strip() for job in self.running.values()]
        if names:
            parts.append(f"now: {', '.join(names)}")
        text = "  |  ".join(parts)
        return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"

    def _durations(self, rules: Collection[str]) -> list[float]:
        return [seconds for rule in rules for seconds in self.seconds.get(rule, [])]

    def _count(self, rules: Collection[str]) -> str:
        """`34 of 96` jobs of these rules; empty if there are none."""
        total = sum(count for rule, count in self.planned.items() if rule in rules)
        return f"{len(self._durations(rules))} of {total}" if total else ""


def clock(seconds: float) -> str:
    """`0:07`, `12:30` or `1:02:05`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
