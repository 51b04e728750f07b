"""What the settings of a run hold: types of the mappings that `config.grid` makes and everything below reads.

They stay plain mappings of builtins, because Snakemake records them as they are and a summary keeps them; the schema
(schemas/) says what each key means and completes what a user leaves out, so every key named here is there.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict


class TaskSettings(TypedDict):
    """A task's entry; which of the shapes are used depends on its kind."""

    kind: str
    source: Mapping[str, Any]
    batch_size: int
    validation_examples: int
    label: NotRequired[str]
    sequence_length: int
    patch_size: int
    context: int
    horizon: int
    patch_length: int


class ArchitectureSettings(TypedDict):
    """An architecture's entry, as far as a training depends on it."""

    model_type: str
    source: NotRequired[Mapping[str, str]]
    input: str
    tied_head: bool
    initialisation: str
    settings: Mapping[str, Any]
    interventions: Mapping[str, Any]


class RecipeSettings(TypedDict):
    """Optimiser, schedule and regularisation of a training; start and floor are shares of the peak.

    Of which roles the parameters are warmed, and whose rates have a factor: `architectures.warmup_roles` has the roles.
    """

    optimizer: str
    peak_learning_rate: float
    betas: Sequence[float]
    epsilon: float
    weight_decay: float
    clip: float | None
    schedule: str
    start: float
    floor: float
    warmup_roles: Sequence[str] | None
    warmup_excludes: Sequence[str]
    role_rate_factors: Mapping[str, float]
    options: Mapping[str, Any]
    schedule_options: Mapping[str, Any]


class TrunkSettings(TypedDict):
    """The run that a run continues: its coordinates that are not the branch's, and what is taken over."""

    task: str
    recipe: str
    warmup: str
    optimizer: str
    updates_before: int
    trunk: NotRequired[str]


class TrainingSettings(TypedDict):
    """Length and arithmetic of every training of a scale."""

    steps: int
    device: str
    threads: int
    precision: str
    compile: bool
    micro_batch: int | None
    evaluations: int
    early_evaluations: int
    collapse_share: float


class Coordinates(TypedDict):
    """Where a run stands in the grid; all of them text, as in its path."""

    scale: str
    architecture: str
    task: str
    recipe: str
    warmup: str
    seed: str


class RunSettings(TypedDict):
    """Everything that decides a training (grid.run_settings, with the digests of the code it uses)."""

    coordinates: Coordinates
    architecture: ArchitectureSettings
    task: TaskSettings
    data: Mapping[str, Any]
    recipe: RecipeSettings
    training: TrainingSettings
    probes: Mapping[str, Any]
    warmup_steps: int
    stop_after: NotRequired[int]
    continues: NotRequired[TrunkSettings]
    keep_last: NotRequired[bool]
    code: NotRequired[Mapping[str, str]]
    libraries: NotRequired[Mapping[str, str]]
