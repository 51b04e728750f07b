"""A share that was counted on studies of known truth, held against what was promised."""

from dataclasses import dataclass

from scipy import special

ALLOWED = 0.01
"""A promise counts as kept where the upper 95 % limit of its false rate is at most this far above the promised one."""


@dataclass(frozen=True)
class Share:
    """`share` of `count` trials; `kind`: coverage | size | power, of which `nominal` is promised."""

    statistic: str
    design: str
    kind: str
    nominal: float
    share: float
    count: int

    @property
    def false_rate(self) -> float:
        """Share of trials in which what was said is wrong."""
        return 1.0 - self.share if self.kind == "coverage" else self.share

    @property
    def promised(self) -> float:
        """False rate that is promised at most."""
        return 1.0 - self.nominal if self.kind == "coverage" else self.nominal

    @property
    def upper(self) -> float:
        """One-sided upper 95 % limit of the false rate (Clopper & Pearson)."""
        hits = round(self.false_rate * self.count)
        return 1.0 if hits == self.count else float(special.betaincinv(hits + 1, self.count - hits, 0.95))

    @property
    def kept(self) -> bool:
        """Whether the promise is shown to be kept: for tables of 2,000 studies and more."""
        return self.kind == "power" or self.upper <= self.promised + ALLOWED

    @property
    def plausible(self) -> bool:
        """Whether the share is within two Monte-Carlo errors of what was promised: for tests of few studies."""
        error = (self.nominal * (1.0 - self.nominal) / self.count) ** 0.5
        if self.kind == "power":
            return self.share >= self.nominal - 2.0 * error
        return self.false_rate <= self.promised + 2.0 * error
