"""How a parameter starts, as a law: it can be drawn, and an initial weight can be measured against it.

A law is a distribution of independent entries, a constant, or a table of values. What it means for shape, layer and
width is decided by the specification that names it, so a law is arithmetic alone.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

TRUNCATION = 0.87962566103423978
"""Standard deviation of a standard normal cut at +-2 (flax divides by it, so that the variance is as asked for)."""


class Law(ABC):
    """One parameter's start. `text` is its formula in words."""

    text: str

    @abstractmethod
    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Initial values [shape], float32, on the CPU."""

    @abstractmethod
    def distance(self, values: Tensor) -> float:
        """How far `values` are from the law, 0 (as it says) to 1: Kolmogorov-Smirnov where random, else the share that
        differs."""

    @property
    @abstractmethod
    def deviation(self) -> float | None:
        """Standard deviation of the entries; None for fixed values."""


@dataclass(frozen=True)
class Fixed(Law):
    """Values that are not drawn: a number for every entry, or a table that is broadcast to the parameter's shape."""

    values: float | Tensor
    text: str
    deviation = None

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        del generator
        return torch.as_tensor(self.values, dtype=torch.float32).broadcast_to(shape).clone()

    def distance(self, values: Tensor) -> float:
        meant = torch.as_tensor(self.values, dtype=torch.float32).broadcast_to(values.shape)
        return float((~torch.isclose(values.detach().float().cpu(), meant, rtol=1e-5, atol=1e-7)).float().mean())


class Random(Law):
    """Entries drawn independently from one distribution."""

    @abstractmethod
    def cumulative(self, values: Tensor) -> Tensor:
        """Probability of an entry at most `values`, float64."""

    def distance(self, values: Tensor) -> float:
        ordered = values.detach().double().flatten().cpu().sort().values
        if not bool(ordered.isfinite().all()):
            return 1.0
        below = self.cumulative(ordered)
        ranks = torch.arange(len(ordered) + 1, dtype=torch.float64) / len(ordered)
        return float(torch.maximum(ranks[1:] - below, below - ranks[:-1]).max())


@dataclass(frozen=True)
class Normal(Random):
    """Normal with mean 0, cut at `cut` standard deviations of the uncut one if given, as torch's trunc_normal_ does."""

    scale: float
    cut: float = math.inf

    @property
    def text(self) -> str:  # type: ignore[override]
        """The formula."""
        cut = "" if math.isinf(self.cut) else f", cut at {self.cut * self.scale:.3g}"
        return f"normal, standard deviation {self.scale:.3g}{cut}"

    @property
    def deviation(self) -> float:
        if math.isinf(self.cut):
            return self.scale
        density = math.exp(-(self.cut**2) / 2) / math.sqrt(2 * math.pi)
        return self.scale * math.sqrt(1 - 2 * self.cut * density / math.erf(self.cut / math.sqrt(2)))

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        if math.isinf(self.cut):
            return torch.empty(shape).normal_(0.0, self.scale, generator=generator)
        # by the inverse of the distribution, in float64: float32 has too few values near the cut
        inside = math.erf(self.cut / math.sqrt(2))
        uniform = torch.empty(shape, dtype=torch.float64).uniform_(-inside, inside, generator=generator)
        return (torch.erfinv(uniform) * (self.scale * math.sqrt(2))).float()

    def cumulative(self, values: Tensor) -> Tensor:
        inside = 1.0 if math.isinf(self.cut) else math.erf(self.cut / math.sqrt(2))
        within = torch.erf(values / (self.scale * math.sqrt(2))) / inside
        return ((1 + within) / 2).clamp(0, 1)


@dataclass(frozen=True)
class Uniform(Random):
    """Uniform between -bound and bound."""

    bound: float

    @property
    def text(self) -> str:  # type: ignore[override]
        """The formula."""
        return f"uniform within +-{self.bound:.3g}"

    @property
    def deviation(self) -> float:
        return self.bound / math.sqrt(3)

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        return torch.empty(shape).uniform_(-self.bound, self.bound, generator=generator)

    def cumulative(self, values: Tensor) -> Tensor:
        return ((values / self.bound + 1) / 2).clamp(0, 1)


@dataclass(frozen=True)
class StepSize(Random):
    """A bias b whose softplus, the step size Delta, is log-uniform in [low, high] and at least `floor`."""

    low: float = 0.001
    high: float = 0.1
    floor: float = 1e-4

    @property
    def text(self) -> str:  # type: ignore[override]
        """The formula."""
        return f"softplus of it log-uniform in [{self.low:g}, {self.high:g}]"

    deviation = None

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        low, high = math.log(self.low), math.log(self.high)
        steps = torch.empty(shape).uniform_(low, high, generator=generator).exp().clamp(min=self.floor)
        return steps + torch.log(-torch.expm1(-steps))  # the inverse of softplus

    def cumulative(self, values: Tensor) -> Tensor:
        steps = torch.nn.functional.softplus(values)
        # float32 rounds the bias, and so Delta, by parts in a million at the ends of the range
        share = (steps.log() - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return share.clamp(0, 1)


@dataclass(frozen=True)
class LogOfUniform(Random):
    """The logarithm of a number uniform in [low, high]: the decay rate A of Mamba-2 and its relatives."""

    low: float
    high: float
    smallest: float = 1e-6

    @property
    def text(self) -> str:  # type: ignore[override]
        """The formula."""
        return f"exp of it uniform in [{self.low:g}, {self.high:g}]"

    deviation = None

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        # a draw of exactly 0 would be minus infinity
        return torch.empty(shape).uniform_(self.low, self.high, generator=generator).clamp(min=self.smallest).log()

    def cumulative(self, values: Tensor) -> Tensor:
        return ((values.exp() - self.low) / (self.high - self.low)).clamp(0, 1)


@dataclass(frozen=True)
class Ring(Random):
    """A number p, so that a = exp(-softplus(p)), the share kept by a recurrence, has a^2 uniform in [low^2, high^2]."""

    low: float
    high: float

    @property
    def text(self) -> str:  # type: ignore[override]
        """The formula."""
        return f"square of exp(-softplus of it) uniform in [{self.low:g}^2, {self.high:g}^2]"

    deviation = None

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        squares = torch.empty(shape, dtype=torch.float64).uniform_(self.low**2, self.high**2, generator=generator)
        return torch.expm1(-squares.log() / 2).log().float()  # the inverse of softplus

    def cumulative(self, values: Tensor) -> Tensor:
        squares = torch.exp(-2 * torch.nn.functional.softplus(values))
        return ((self.high**2 - squares) / (self.high**2 - self.low**2)).clamp(0, 1)


@dataclass(frozen=True)
class Orthogonal(Random):
    """gain times a matrix with orthonormal rows or columns (the shorter ones), uniformly distributed."""

    gain: float
    rows: int
    columns: int

    @property
    def text(self) -> str:  # type: ignore[override]
        """The formula."""
        return f"orthogonal, gain {self.gain:.3g}"

    @property
    def deviation(self) -> float:
        return self.gain / math.sqrt(max(self.rows, self.columns))

    def draw(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        tall = (max(shape), min(shape))
        basis, triangle = torch.linalg.qr(torch.empty(tall).normal_(generator=generator))
        basis = basis * triangle.diagonal().sign()  # the distribution is uniform only with the signs fixed
        return self.gain * (basis if tuple(shape) == tall else basis.T).contiguous()

    def cumulative(self, values: Tensor) -> Tensor:
        """That of the normal distribution, which the entries of a large orthogonal matrix have."""
        return (1 + torch.erf(values / (self.deviation * math.sqrt(2)))) / 2


def zeros() -> Fixed:
    """All zero."""
    return Fixed(0.0, "zero")


def ones() -> Fixed:
    """All one."""
    return Fixed(1.0, "one")


def torch_default(fan_in: int) -> Uniform:
    """Weight and bias of torch's Linear and convolutions: kaiming_uniform_ with a = sqrt(5)."""
    return Uniform(1 / math.sqrt(fan_in))


def xavier_uniform(fan_in: int, fan_out: int) -> Uniform:
    """Glorot and Bengio 2010, uniform."""
    return Uniform(math.sqrt(6 / (fan_in + fan_out)))


def lecun_normal(fan_in: int) -> Normal:
    """flax's default for dense and convolution kernels: variance 1 / fan_in, cut at two standard deviations."""
    return Normal(1 / (TRUNCATION * math.sqrt(fan_in)), cut=2.0)
