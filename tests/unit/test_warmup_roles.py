"""A recipe may warm some parameters and not others: which is which, exact rates of each, and the log of them."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from warmup import registry, schedules
from warmup.architectures import model, roles, warmup_roles
from warmup.config import configuration, grid
from warmup.errors import ConfigurationError
from warmup.training import loop, model_checks

Settings = Callable[..., dict[str, Any]]
OF_THE_MIXED = {  # the mixers and experts of Jamba: state space and attention, one feed-forward with experts
    "backbone.layers.0.mamba.in_proj.weight": "mixer_matrices",
    "backbone.layers.0.mamba.dt_proj.bias": "rest",
    "backbone.layers.0.mamba.A_log": "rest",
    "backbone.layers.0.mamba.conv1d.weight": "rest",
    "backbone.layers.0.mamba.dt_layernorm.weight": "norms",
    "backbone.layers.1.self_attn.q_proj.weight": "attention_matrices",
    "backbone.layers.1.feed_forward.experts.gate_up_proj": "feed_forward_matrices",
    "backbone.layers.1.feed_forward.router.weight": "routers",
    "backbone.layers.0.feed_forward.down_proj.weight": "feed_forward_matrices",
    "backbone.final_layernorm.weight": "norms",
    "input_adapter.tokens.weight": "embedding",
}
PRESENT = {
    "gpt2": {"embedding", "norms", "attention_matrices", "feed_forward_matrices", "rest"},
    "mamba": {"embedding", "norms", "mixer_matrices", "rest"},
    "jamba": set(warmup_roles.ROLES) - {"head"},
    "rwkv": {"embedding", "head", "norms", "mixer_matrices", "feed_forward_matrices", "rest"},
}


def network(settings: dict[str, Any], prepared: Path) -> torch.nn.Module:
    task = registry.load("tasks", settings["task"]["kind"]).Task(
        settings["task"], prepared / settings["coordinates"]["task"]
    )
    return model.build(settings["architecture"], task, 0, device="meta")


def training(settings: dict[str, Any], prepared: Path, **recipe: Any) -> loop.Training:
    return loop.Training(settings | {"recipe": settings["recipe"] | recipe}, prepared / "language", torch.device("cpu"))


def test_the_schema_names_the_roles_that_there_are() -> None:
    assert set(configuration.schema()["$defs"]["warmup_role"]["enum"]) == set(warmup_roles.ROLES)


@pytest.mark.parametrize("name", PRESENT)
def test_every_parameter_of_a_network_has_one_role(name: str, run_settings: Settings, prepared: Path) -> None:
    made = network(run_settings(name), prepared)
    found = warmup_roles.warmup_roles(made)
    assert set(found) == {key for key, _ in roles.trained(made)}
    assert set(found.values()) == PRESENT[name]
    for key, role in found.items():
        assert (role in warmup_roles.HIDDEN_MATRICES) <= (roles.role(made, key) != roles.OTHER), key


def test_a_hybrids_attention_state_space_experts_and_router_are_told_apart(
    run_settings: Settings, prepared: Path
) -> None:
    found = warmup_roles.warmup_roles(network(run_settings("jamba"), prepared))
    assert {name: found[name] for name in OF_THE_MIXED} == OF_THE_MIXED


BACKBONES = {
    "bert": ({"num_attention_heads": 2, "intermediate_size": 32}, "images", {"attention_matrices", "rest"}),
    "mixtral": (
        {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 32, "num_local_experts": 2},
        "language",
        {"routers", "attention_matrices"},
    ),
    "mamba2": (
        {"num_heads": 4, "head_dim": 8, "state_size": 4, "n_groups": 1, "expand": 2}, "language", {"mixer_matrices"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BACKBONES)
def test_the_rule_holds_for_backbones_that_no_entry_knows(name: str, run_settings: Settings, prepared: Path) -> None:
    sizes, task, some = BACKBONES[name]
    settings = run_settings("gpt2", task=task)
    settings["architecture"] = settings["architecture"] | {
        "model_type": name,
        "settings": {"hidden_size": 16, "num_hidden_layers": 1, **sizes},
        "initialisation": "library",
    }
    found = warmup_roles.warmup_roles(network(settings, prepared))
    assert some <= set(found.values())
    assert not ({"mixer_matrices"} & set(found.values())) or name == "mamba2"
    assert "head" in found.values() or task == "language"


NAMES = st.lists(st.sampled_from(warmup_roles.ROLES), unique=True)


@given(
    schedule=st.sampled_from(["cosine", "linear", "wsd", "constant", "exponential"]), steps=st.integers(5, 80),
    share=st.floats(0, 0.7), start=st.floats(0, 1), peak=st.floats(1e-6, 1.0), chosen=st.none() | NAMES,
    excluded=NAMES, factors=st.dictionaries(st.sampled_from(warmup_roles.ROLES), st.floats(0.01, 100)),
)  # fmt: skip
def test_rates_of_every_role_are_exactly_the_schedule_and_for_the_unwarmed_its_top_while_the_others_rise(
    schedule: str, steps: int, share: float, start: float, peak: float, chosen: list[str] | None,
    excluded: list[str], factors: dict[str, float],
) -> None:  # fmt: skip
    warmed_up = int(share * steps)
    recipe = {
        "schedule": schedule, "peak_learning_rate": peak, "start": start, "floor": 0.1, "warmup_roles": chosen,
        "warmup_excludes": excluded, "role_rate_factors": factors,
    }  # fmt: skip
    whole = schedules.learning_rates(recipe, steps, warmed_up)
    rates = schedules.role_rates(recipe, whole, warmed_up, warmup_roles.ROLES)
    assert set(rates) == set(warmup_roles.ROLES)
    for role, own in rates.items():
        factor = factors.get(role, 1.0)
        warmed = (chosen is None or role in chosen) and role not in excluded
        for step in range(steps):
            late = step >= warmed_up or warmed
            assert own[step] == (whole[step] if late else whole[warmed_up - 1]) * factor
        if warmed_up and not warmed:
            assert own[0] == pytest.approx(factor * peak, rel=1e-12)  # all of these schedules' ramps end at the peak
    assert schedules.differ(recipe) == (chosen is not None or bool(excluded) or bool(factors))


def test_each_groups_rate_at_each_step_is_the_one_logged_for_its_role(
    run_settings: Settings, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = run_settings("jamba", warmup="0.25")
    settings["recipe"] |= {"warmup_excludes": ["embedding", "routers"], "role_rate_factors": {"norms": 0.5}}
    given_to: list[dict[str, float]] = []
    step = torch.optim.AdamW.step

    def watched(optimizer: torch.optim.AdamW, *arguments: Any) -> Any:
        given_to.append({group["warmup_role"]: group["lr"] for group in optimizer.param_groups})
        return step(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    operation = loop.Operation(tmp_path / "checkpoints", 10, None, 60)
    loop.run(settings, prepared / "language", tmp_path / "run", operation)
    log = polars.read_parquet(tmp_path / "run" / "log.parquet")
    logged = {name.partition("/")[2] for name in log.columns if name.startswith("learning_rate/")}
    assert logged == PRESENT["jamba"]
    for role in logged:
        assert log[f"learning_rate/{role}"].to_list() == [rates[role] for rates in given_to]  # float64, to the bit
    ramp, peak = log["learning_rate"].to_numpy(), settings["recipe"]["peak_learning_rate"]
    assert ramp[0] < peak / 2 and log["learning_rate/embedding"][0] == peak == log["learning_rate/routers"][0]
    np.testing.assert_allclose(log["learning_rate/norms"], 0.5 * ramp, rtol=1e-6)


def test_a_recipe_that_warms_everything_by_name_trains_to_the_bits_of_one_that_names_nothing(
    run_settings: Settings, prepared: Path
) -> None:
    settings = run_settings("gpt2", warmup="0.25")
    plain, named, other = (
        training(settings, prepared, **recipe)
        for recipe in ({}, {"warmup_roles": list(warmup_roles.ROLES)}, {"warmup_excludes": ["norms"]})
    )
    for run in (plain, named, other):
        for _ in range(8):
            run.update()
    same = [torch.equal(a, b) for a, b in zip(plain.model.parameters(), named.model.parameters(), strict=True)]
    assert all(same)
    assert not all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), other.model.parameters(), strict=True))


@pytest.mark.parametrize("recipe", [{"optimizer": "muon"}, {"optimizer": "lion"}, {"warmup_roles": ["norms"]}])
def test_a_run_resumed_from_a_checkpoint_goes_on_to_the_same_bits(
    recipe: dict[str, Any], run_settings: Settings, prepared: Path
) -> None:
    settings = run_settings("jamba", warmup="0.25")
    whole, first, second = (training(settings, prepared, **recipe) for _ in range(3))
    for _ in range(9):
        whole.update()
    for _ in range(5):
        first.update()
    second.restore(first.state())
    for _ in range(4):
        second.update()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_role_that_a_network_lacks_is_said_in_its_log_and_one_that_leaves_nothing_is_refused(
    run_settings: Settings, prepared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = run_settings("gpt2")
    with caplog.at_level(logging.INFO, logger="warmup"):
        training(settings, prepared, warmup_roles=["norms", "routers"])
    assert "this network has no routers" in caplog.text
    with pytest.raises(ConfigurationError, match="warmup_excludes: this network has no routers; it has embedding"):
        training(settings, prepared, warmup_excludes=["routers"])


def test_planning_refuses_a_recipe_for_a_network_that_has_none_of_its_roles(
    tiny_config: dict[str, Any], prepared: Path
) -> None:
    change = """
        recipes: {of_routers: {based_on: adamw, warmup_roles: [routers]}}
        studies: {mine: {selections: [{architectures: [gpt2, jamba], tasks: [language], recipes: [of_routers]}]}}
        study: mine
    """
    settings = configuration.effective(configuration.merge(tiny_config, yaml.safe_load(change)))
    parts = grid.models_settings(settings, grid.runs(settings))
    with pytest.raises(ConfigurationError) as error:
        model_checks.check(parts, {task: str(prepared / task) for task in settings["tasks"]})
    assert str(error.value) == (
        "recipes.of_routers.warmup_roles: this network has no routers; it has embedding, norms, attention_matrices, "
        "feed_forward_matrices, rest (architecture gpt2, task language)"
    )


def test_an_unknown_role_is_refused_with_those_that_are_known(tiny_config: dict[str, Any]) -> None:
    for key, wrong in (("warmup_roles", ["matrices"]), ("role_rate_factors", {"matrices": 2.0})):
        with pytest.raises(ConfigurationError, match=f"recipes.adamw.{key}.*matrices"):
            configuration.effective(configuration.merge(tiny_config, {"recipes": {"adamw": {key: wrong}}}))
