"""Probing changes nothing in a run, keeps no state, and comes at the steps the configuration asks for."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from probing import built, language_task, probe_settings

from warmup import probes, registry
from warmup.architectures import roles
from warmup.errors import ConfigurationError
from warmup.probes import _cadence

RECIPE = {"peak_learning_rate": 5e-3, "betas": [0.9, 0.999], "epsilon": 1e-8}


@given(
    steps=st.integers(1, 60_000), dense=st.floats(0, 1), points=st.integers(0, 60), until=st.floats(0.01, 1)
)  # fmt: skip
def test_due_steps_are_steps_dense_at_first_and_reach_the_end(
    steps: int, dense: float, points: int, until: float
) -> None:
    due = _cadence.due_steps(steps, dense, points, until)
    first = min(int(dense * steps + 0.5), steps)
    assert due <= set(range(steps))
    assert set(range(first)) <= due
    assert len(due) <= first + points
    if points > 1 and until == 1:
        assert steps - 1 in due


def test_due_steps_of_the_two_scales() -> None:
    """The cadence of the default at laptop scale is written out; at paper scale the first 200 steps are all there."""
    laptop = sorted(_cadence.due_steps(150, 0.004, 20))
    assert laptop == LAPTOP
    paper = _cadence.due_steps(50_000, 0.004, 20)
    assert set(range(200)) <= paper and max(paper) == 49_999 and len(paper) <= 220


def test_what_is_taken_along_falls_on_due_steps() -> None:
    due = _cadence.due_steps(150, 0.004, 20)
    maps = _cadence.nearest(due, _cadence.due_steps(150, 0, 4))
    assert sorted(maps) == [0, 4, 30, 149] and maps <= due
    assert _cadence.nearest(frozenset(), frozenset({3})) == frozenset()


def test_cadences_before_the_end_stop_where_they_should() -> None:
    assert max(_cadence.due_steps(1000, 0, 5, until=0.3)) == 299


def run(
    name: str, settings: Any, task: Any, steps: int = 8, resume_at: int | None = None
) -> tuple[Any, list[Any], Any]:
    """Weights, probe rows and random state after a short training; at `resume_at` the probes are built anew."""
    torch.manual_seed(7)
    model = built(name, task)
    optimizer = registry.load("optimizers", "adamw").create(roles.parameter_groups(model, 0.1), RECIPE)
    example = next(task.validation())
    looking = probes.build(settings, model=model, task=task, probe_batch=example, steps=steps)
    rows: list[Any] = []
    for step in range(steps):
        if step == resume_at:
            looking = probes.build(settings, model=model, task=task, probe_batch=example, steps=steps)
        batch = task.batch(0, step)
        loss = task.loss(model(batch[0]), batch[1])
        loss.backward()
        kept = [parameter.grad.clone() for _, parameter in roles.trained(model)]
        modes = [module.training for module in model.modules()]
        if looking.due(step):
            looking.before_update(step, batch)
        assert all(torch.equal(k, p.grad) for k, (_, p) in zip(kept, roles.trained(model), strict=True))
        optimizer.step()
        state = copy.deepcopy(optimizer.state_dict()["state"])
        if looking.due(step):
            rows += looking.after_update(step, batch, optimizer, 5e-3)
        for index, entry in optimizer.state_dict()["state"].items():
            assert all(torch.equal(entry[key], state[index][key]) for key in entry)
        assert modes == [module.training for module in model.modules()]
        optimizer.zero_grad(set_to_none=True)
    return model.state_dict(), rows, torch.get_rng_state()


LAPTOP = [0, 1, 2, 3, 4, 5, 7, 9, 11, 14, 18, 23, 30, 37, 47, 59, 75, 94, 119, 149]
EVERY_STEP = {"dense": 1.0}
ALWAYS = dict.fromkeys(("attention", "mixing", "spectra", "updates", "gradients", "sharpness"), EVERY_STEP)


@pytest.mark.parametrize("name", ["gpt2", "mamba", "jamba", "rwkv"])
def test_probing_every_step_changes_nothing(name: str, tmp_path: Any) -> None:
    task = language_task(tmp_path)
    blind = {
        key: value | {"enabled": False} if isinstance(value, dict) else value for key, value in probe_settings().items()
    }
    weights, none, state = run(name, blind, task, steps=3)
    probed, rows, probed_state = run(name, probe_settings(**ALWAYS), task, steps=3)
    assert none == [] and {row["step"] for row in rows} == {0, 1, 2}
    assert all(torch.equal(weights[key], probed[key]) for key in weights)
    assert torch.equal(state, probed_state)


def test_probes_keep_nothing_from_step_to_step(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    whole = run("jamba", probe_settings(), task)[1]
    resumed = run("jamba", probe_settings(), task, resume_at=3)[1]
    assert whole == resumed


def test_only_enabled_probes_are_taken(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    rows = run("gpt2", probe_settings(spectra={"points": 2}), task)[1]
    assert {row["step"] for row in rows} == {0, 7}
    assert {row["quantity"] for row in rows} >= {"sec_1", "singular_values"}
    assert not {row["quantity"] for row in rows} & {"entropy", "relative_update"}


def test_rows_fit_the_columns_of_the_file(tmp_path: Any) -> None:
    rows = run("gpt2", probe_settings(**ALWAYS), language_task(tmp_path), steps=2)[1]
    assert all(list(row) == ["step", "module", "layer", "head", "quantity", "value", "values"] for row in rows)
    for row in rows:
        listed = row["quantity"] in ("attention_map", "mixing_map", "singular_values")
        assert (row["values"] is not None) == listed
        assert row["value"] is None or isinstance(row["value"], float)


def test_an_unknown_probe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="known are attention, gradients, mixing, sharpness, spectra, updates"):
        registry.load("probes", "entropy")
