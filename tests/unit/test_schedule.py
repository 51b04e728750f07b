"""`warmup schedule`: the printed lines, run on the real schedulers, give our rates or the difference that they name."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import yaml
from transformers import TrainingArguments, get_scheduler

from warmup import registry
from warmup.command import answer, trainers
from warmup.command.__main__ import main
from warmup.schedules import _options

STEPS = 41
RECIPES: dict[str, dict[str, Any]] = {
    "cosine": {"schedule": "cosine", "floor": 0.1},
    "linear": {"schedule": "linear", "floor": 0.0},
    "constant": {"schedule": "constant", "floor": 0.0},
    "exponential": {"schedule": "exponential", "floor": 0.01},
    "inverse": {"schedule": "inverse_square_root", "floor": 0.0, "schedule_options": {"timescale": 7}},
    "wsd": {"schedule": "wsd", "floor": 0.0},
    "hot_wsd": {
        "schedule": "wsd",
        "floor": 0.1,
        "start": 0.2,
        "schedule_options": {"plateau": 2.0, "tail": "exponential"},
    },
    "slow_wsd": {"schedule": "wsd", "floor": 0.1, "schedule_options": {"tail": "inverse_time", "decay_fraction": 0.5}},
}


def plan(name: str, warmup: int, accumulate: int = 1) -> trainers.Plan:
    recipe = {"peak_learning_rate": 6.0e-3, "start": 0.0, **RECIPES[name]}
    known = registry.load("schedules", recipe["schedule"]).OPTIONS
    options = _options.chosen(recipe["schedule"], known, recipe.get("schedule_options") or {})
    return trainers.Plan(recipe, STEPS, warmup, options, accumulate)


def driven(make: Any, peak: float, stop: int = 17) -> list[float]:
    """The rate of each update of a real optimizer under the scheduler of `make(optimizer)`, resumed at `stop`."""
    rates: list[float] = []

    def fresh() -> tuple[torch.optim.Optimizer, Any]:
        weight = torch.nn.Parameter(torch.ones(1))
        weight.grad = torch.zeros(1)
        optimizer = torch.optim.AdamW([weight], lr=peak)
        return optimizer, make(optimizer)

    def go(optimizer: torch.optim.Optimizer, scheduler: Any, updates: int) -> None:
        for _ in range(updates):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()

    optimizer, scheduler = fresh()
    go(optimizer, scheduler, stop)
    kept = optimizer.state_dict(), scheduler.state_dict()
    optimizer, scheduler = fresh()
    optimizer.load_state_dict(kept[0])
    scheduler.load_state_dict(kept[1])
    go(optimizer, scheduler, STEPS - stop)
    return rates


@pytest.mark.parametrize("warmup", [0, 1, 9])
@pytest.mark.parametrize("name", list(RECIPES))
def test_the_lines_for_torch_give_our_rates_through_a_resume(name: str, warmup: int) -> None:
    asked = plan(name, warmup)
    lines = trainers.pytorch(asked)

    def make(optimizer: torch.optim.Optimizer) -> Any:
        names: dict[str, Any] = {"optimizer": optimizer}
        exec(lines.text, names)
        return names["scheduler"]

    assert driven(make, asked.peak) == pytest.approx(asked.rates().tolist(), rel=1e-12, abs=1e-15)
    assert lines.differs == "" and (lines.rates == asked.rates()).all()


@pytest.mark.parametrize("warmup", [0, 1, 9])
@pytest.mark.parametrize("name", ["cosine", "linear", "constant", "inverse", "wsd"])
def test_the_lines_for_transformers_give_the_rates_that_they_name_through_a_resume(
    name: str, warmup: int, tmp_path: Path
) -> None:
    asked = plan(name, warmup)
    lines = trainers.hf(asked)
    arguments = eval(
        lines.text.replace("...", "output_dir=folder"),
        {"TrainingArguments": TrainingArguments, "folder": str(tmp_path)},
    )

    def make(optimizer: torch.optim.Optimizer) -> Any:  # as Trainer.create_scheduler does
        warm = arguments.get_warmup_steps(arguments.max_steps)
        return get_scheduler(
            arguments.lr_scheduler_type, optimizer, warm, arguments.max_steps, arguments.lr_scheduler_kwargs or {}
        )

    rates = driven(make, arguments.learning_rate)
    assert rates == pytest.approx(lines.rates.tolist(), rel=1e-12, abs=1e-15)
    if name == "cosine":
        assert lines.differs == "" and rates == pytest.approx(asked.rates().tolist(), rel=1e-12)
    else:
        assert lines.differs.startswith("one update late") and rates[1:] == pytest.approx(asked.rates()[:-1].tolist())


def nanogpt(it: int, c: dict[str, Any]) -> float:
    """The rule as read in its source, in our words."""
    if it < c["warmup_iters"]:
        return c["learning_rate"] * (it + 1) / (c["warmup_iters"] + 1)
    if it > c["lr_decay_iters"]:
        return c["min_lr"]
    done = (it - c["warmup_iters"]) / (c["lr_decay_iters"] - c["warmup_iters"])
    return c["min_lr"] + 0.5 * (1 + np.cos(np.pi * done)) * (c["learning_rate"] - c["min_lr"])


@pytest.mark.parametrize("warmup", [0, 1, 9])
def test_nanogpts_numbers_make_its_rule_ours(warmup: int) -> None:
    asked = plan("cosine", warmup)
    numbers: dict[str, Any] = {}
    exec(trainers.nanogpt(asked).text, numbers)
    assert numbers["max_iters"] + 1 == STEPS
    found = [nanogpt(it, numbers) for it in range(STEPS)]
    assert found == pytest.approx(asked.rates().tolist(), rel=1e-6)


@pytest.mark.parametrize("warmup", [0, 1, 9])
@pytest.mark.parametrize("kind", ["cosine", "linear", "wsd"])
def test_torchtitans_rule_has_the_rates_that_its_lines_name(kind: str, warmup: int) -> None:
    asked = plan(kind, warmup)
    decay = asked.decay if kind == "wsd" else STEPS - warmup
    shape = {
        "cosine": lambda u: 0.5 * (1 + np.cos(np.pi * u)),
        "linear": lambda u: 1 - u,
        "wsd": lambda u: 1 - np.sqrt(u),
    }
    stable = STEPS + 1 - decay  # the first update of its decay
    found = [
        (t + 1) / warmup
        if t < warmup
        else 1.0
        if t < stable
        else asked.floor + (1 - asked.floor) * shape[kind]((t + 1 - stable) / decay)
        for t in range(STEPS)
    ]
    assert asked.peak * np.array(found) == pytest.approx(trainers.torchtitan(asked).rates, rel=1e-12)


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("warmup", [0, 1, 9])
def test_litgpts_rule_has_the_rates_that_its_lines_name(warmup: int, accumulate: int) -> None:
    asked = plan("cosine", warmup, accumulate)
    ramp, last = warmup * accumulate, STEPS * accumulate
    found = []
    for update in range(STEPS):
        it = update * accumulate + accumulate - 1
        done = (it - ramp) / (last - ramp)
        wave = asked.floor + (1 - asked.floor) * 0.5 * (1 + np.cos(np.pi * done))
        found.append(asked.peak * (it / ramp if it < ramp else wave))
    assert found == pytest.approx(trainers.litgpt(asked).rates, rel=1e-12)


@pytest.mark.parametrize("warmup", [0, 1, 9])
@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_olmo_and_megatron_differ_by_the_update_at_which_they_begin(kind: str, warmup: int) -> None:
    """OLMo-core counts its update before it is made, Megatron-LM after."""
    asked = plan(kind, warmup)
    shape = {"cosine": lambda u: 0.5 * (1 + np.cos(np.pi * u)), "linear": lambda u: 1 - u}[kind]

    def share(count: int) -> float:
        if warmup and count <= warmup:
            return count / warmup
        return asked.floor + (1 - asked.floor) * float(shape((count - warmup) / (STEPS - warmup)))

    counted_before = [asked.peak * share(t + 1) for t in range(STEPS)]
    counted_after = [asked.peak * share(t) for t in range(STEPS)]
    assert counted_before == pytest.approx(trainers.olmo_core(asked).rates, rel=1e-12, abs=1e-15)
    assert counted_after == pytest.approx(trainers.megatron(asked).rates, rel=1e-12, abs=1e-15)


def written(folder: Path, **keys: Any) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"training": {"steps": 2000}, "tasks": {"language": {"batch_size": 16}}, **keys}))
    return str(path)


@pytest.mark.parametrize("trainer", list(trainers.TRAINERS))
def test_every_trainer_has_lines_for_the_studys_recipe(
    trainer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "rates.csv"
    command = ["schedule", written(tmp_path), "--for", trainer, "--warmup", "5%", "--table", str(table)]
    assert main([*command, "--json"]) == 0
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert (reply["warmup_steps"], reply["warmup_tokens"]) == (100, 100 * 16 * 64)
    assert "100" in reply["lines"] or (trainer == "nanogpt" and "warmup_iters = 99" in reply["lines"])
    assert len(table.read_text().splitlines()) == 2001
    assert main(command) == 0
    assert reply["lines"] in capsys.readouterr().out


def test_a_schedule_that_a_trainer_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["schedule", written(tmp_path), "--for", "nanogpt", "--warmup", "5%", "--recipe", "wsd", "--json"]
    assert main(command) == 3
    reply = json.loads(capsys.readouterr().out)
    jsonschema.validate(reply, answer.schema())
    assert reply["lines"] is None and reply["note"].startswith("nanoGPT has no wsd")


@pytest.mark.parametrize(
    ("warmup", "found"),
    [
        ("2 %", 40),
        ("1 step", 1),
        ("1024e2 tokens", 100),
        ("0.05", "has no unit"),
        ("0.05 steps", "a fraction is written as 5%"),
        ("200%", "200% are 4000 updates, training has 2000"),
    ],
)
def test_a_warmup_needs_its_unit(
    warmup: str, found: int | str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["schedule", written(tmp_path), "--for", "hf", "--warmup", warmup, "--json"])
    reply = json.loads(capsys.readouterr().out)
    if isinstance(found, int):
        assert (code, reply["warmup_steps"]) == (0, found)
    else:
        assert code == 2 and found in reply["error"]


def test_a_file_that_is_no_configuration_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("recipe: {peak: 1}")
    assert main(["schedule", str(tmp_path / "mine.yaml"), "--for", "hf", "--warmup", "2%"]) == 2
    assert "recipe: unknown key (did you mean recipes?)" in capsys.readouterr().err
