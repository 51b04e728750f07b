"""QK-norm and sigma-reparametrisation do what they say, keep every parameter's name, value and role, and resume."""

import copy
import io
from typing import Any

import pytest
import torch
from probing import architecture, built, disturbed, language_task
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from warmup.architectures import interventions, layers, model, projections, roles
from warmup.errors import ConfigurationError

QK = {"qk_norm": True}
SIGMA = {"sigma_reparametrisation": True}
ZERO = {"zero_outputs": True}
TOKENS = torch.randint(0, 50, (2, 10), generator=torch.Generator().manual_seed(0))
SMALL: dict[str, dict[str, Any]] = {
    "gpt_neox": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    "bert": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    "phi3": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 64, "pad_token_id": 0,
    },
    "opt": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64, "word_embed_proj_dim": 32,
    },
    "falcon": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    "qwen3": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 64, "head_dim": 8,
    },
}  # fmt: skip


def bare(name: str) -> Any:
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.for_model(name, vocab_size=50, **SMALL[name]))


@pytest.mark.parametrize("changes", [QK, SIGMA])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_initial_weights_names_and_roles_are_those_of_the_unchanged_model(
    name: str, changes: Any, tmp_path: Any
) -> None:
    task = language_task(tmp_path)
    plain = model.build(architecture(name), task, 3)
    changed = model.build(architecture(name, interventions=changes), task, 3)
    before, after = dict(plain.named_parameters()), dict(changed.named_parameters())
    for key, parameter in before.items():
        assert torch.equal(parameter, after[key])
        assert roles.role(plain, key) == roles.role(changed, key)
    added = set(after) - set(before)
    assert added and all(roles.role(changed, key) == roles.OTHER for key in added)
    groups = {key: group for group, names in layers.layer_groups(changed).items() for key in names}
    assert all(groups[key].startswith("block") for key in added)


@pytest.mark.parametrize("name", ["gpt2", "llama", "jamba"])
def test_normalised_queries_and_keys_have_no_mean_and_unit_variance_per_head(name: str, tmp_path: Any) -> None:
    changed = built(name, language_task(tmp_path), interventions=QK)
    for part in changed.modules():
        if isinstance(part, nn.LayerNorm) and part.bias is None:
            nn.init.ones_(part.weight)
    seen: dict[int, torch.Tensor] = {}
    found = list(projections.attention_projections(changed))
    for _, _, parts in found:
        for part in (parts.query, parts.key):
            part.linear.register_forward_hook(lambda module, _given, output: seen.__setitem__(id(module), output))
    changed(TOKENS)
    for _, _, parts in found:
        for part in (parts.query, parts.key):
            heads = seen[id(part.linear)][..., part.rows].unflatten(-1, (-1, 8))
            torch.testing.assert_close(heads.mean(-1), torch.zeros(heads.shape[:-1]), atol=1e-4, rtol=0)
            torch.testing.assert_close(heads.var(-1, unbiased=False), torch.ones(heads.shape[:-1]), atol=2e-2, rtol=0)


def test_qk_norm_leaves_values_alone(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    outputs = []
    for changes in ({}, QK):
        chosen = built("gpt2", task, interventions=changes)
        linear = chosen.backbone.h[0].attn.c_attn
        outputs.append(linear(torch.linspace(-1, 1, 32)))
    assert torch.equal(outputs[0][64:], outputs[1][64:])
    assert not torch.allclose(outputs[0][:64], outputs[1][:64])


@pytest.mark.parametrize("name", ["gpt_neox", "bert", "phi3", "opt"])
@pytest.mark.parametrize("changes", [QK, SIGMA])
def test_other_layouts_are_changed_too_and_everything_learns(name: str, changes: Any) -> None:
    changed = bare(name)
    names = {key for key, _ in changed.named_parameters()}
    interventions.apply(changed, changes)
    disturbed(changed)(TOKENS)[0].square().sum().backward()
    added = {key: parameter for key, parameter in changed.named_parameters() if key not in names}
    assert added and all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in added.values())


def test_interleaved_projections_are_split_as_the_model_splits_them() -> None:
    """GPT-NeoX packs query, key and value of each head together: a wrong split would normalise values."""
    changed = bare("gpt_neox")
    linear = changed.layers[0].attention.query_key_value
    inputs = torch.linspace(-1, 1, 32)
    before = linear(inputs).view(4, 3, 8)
    interventions.apply(changed, QK)
    after = linear(inputs).view(4, 3, 8)
    assert torch.equal(before[:, 2], after[:, 2])
    torch.testing.assert_close(after[:, :2].mean(-1), torch.zeros(4, 2), atol=1e-5, rtol=0)


def lone_linear() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(12, 9)


def test_a_reparametrised_map_acts_as_gamma_over_sigma_times_its_weight() -> None:
    linear = lone_linear()
    interventions._reparametrise(linear, None)
    with torch.no_grad():
        linear.sigma_gain.fill_(1.7)  # type: ignore[operator,union-attr]
    inputs = torch.randn(5, 12)
    sigma = torch.linalg.matrix_norm(linear.weight, 2)
    expected = functional.linear(inputs, 1.7 * linear.weight / sigma, linear.bias)
    torch.testing.assert_close(linear.eval()(inputs), expected, rtol=1e-3, atol=1e-4)


def test_its_gradient_is_that_of_the_written_out_formula() -> None:
    linear = lone_linear()
    interventions._reparametrise(linear, None)
    inputs = torch.randn(5, 12)
    linear.eval()(inputs).square().sum().backward()
    weight = linear.weight.detach().clone().requires_grad_()
    vector = linear.sigma_right.squeeze(1)  # type: ignore[operator,union-attr]
    functional.linear(inputs, weight / (weight @ vector).norm(), linear.bias).square().sum().backward()
    torch.testing.assert_close(linear.weight.grad, weight.grad)


def test_sigma_is_followed_in_training_and_left_alone_in_evaluation() -> None:
    linear = lone_linear()
    interventions._reparametrise(linear, None)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(9, 12, generator=torch.Generator().manual_seed(9)))
    before = linear.sigma_right.clone()  # type: ignore[operator]
    linear.eval()(torch.ones(1, 12))
    assert torch.equal(linear.sigma_right, before)  # type: ignore[arg-type]
    linear.train()
    with torch.no_grad():
        linear(torch.ones(1, 12))
    assert torch.equal(linear.sigma_right, before)  # type: ignore[arg-type]
    linear(torch.ones(1, 12))
    assert torch.equal(linear.sigma_right, before), "a step's micro-batches share their sigma"  # type: ignore[arg-type]
    for _ in range(60):
        linear.advance_sigma()  # type: ignore[operator]
    found = (linear.weight.detach() @ linear.sigma_right).norm()  # type: ignore[operator]
    assert float(found) == pytest.approx(float(torch.linalg.matrix_norm(linear.weight.detach(), 2)), rel=1e-3)


def test_fused_projections_have_a_sigma_for_queries_keys_and_values_each(tmp_path: Any) -> None:
    changed = model.build(architecture("gpt2", interventions=SIGMA), language_task(tmp_path), 0).eval()
    linear = changed.backbone.h[0].attn.c_attn
    inputs = torch.randn(3, 32)
    parts = [part / torch.linalg.matrix_norm(part, 2) for part in linear.weight.T.split(32)]
    expected = inputs @ torch.cat(parts).T + linear.bias
    torch.testing.assert_close(linear(inputs), expected, rtol=1e-2, atol=1e-3)


def test_a_reparametrised_run_resumes_bit_for_bit(tmp_path: Any) -> None:
    task = language_task(tmp_path)

    def train(chosen: nn.Module, steps: range) -> None:
        for step in steps:
            inputs, targets = task.batch(0, step)
            chosen.zero_grad()
            for part in chosen.modules():
                if hasattr(part, "advance_sigma"):
                    part.advance_sigma()  # type: ignore[operator]
            task.loss(chosen(inputs), targets).backward()
            with torch.no_grad():
                for parameter in chosen.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(0.1 * parameter.grad)

    whole = model.build(architecture("gpt2", interventions=SIGMA | QK), task, 0).train()
    train(whole, range(6))
    first = model.build(architecture("gpt2", interventions=SIGMA | QK), task, 0).train()
    train(first, range(3))
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second = model.build(architecture("gpt2", interventions=SIGMA | QK), task, 1).train()
    second.load_state_dict(torch.load(stored, weights_only=True))
    train(second, range(3, 6))
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in second.state_dict().items())


def test_a_copy_of_a_changed_model_has_its_own_sigma() -> None:
    changed = bare("bert")
    interventions.apply(changed, SIGMA)
    twin = copy.deepcopy(changed)
    kept = changed.encoder.layer[0].attention.self.query.sigma_right.clone()
    with torch.no_grad():
        twin.encoder.layer[0].attention.self.query.weight.normal_()
    twin.encoder.layer[0].attention.self.query.advance_sigma()
    assert torch.equal(changed.encoder.layer[0].attention.self.query.sigma_right, kept)
    assert not torch.equal(twin.encoder.layer[0].attention.self.query.sigma_right, kept)


def test_interventions_draw_no_random_numbers() -> None:
    changed = bare("bert")
    state = torch.get_rng_state()
    interventions.apply(changed, QK | SIGMA)
    assert torch.equal(state, torch.get_rng_state())


def test_shapes_can_be_counted_without_memory(tmp_path: Any) -> None:
    counted = model.build(architecture("gpt2", interventions=QK | SIGMA), language_task(tmp_path), 0, device="meta")
    assert all(parameter.is_meta for parameter in counted.parameters())


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mamba", QK, "qk_norm: this architecture has no attention"),
        ("rwkv", SIGMA, "sigma_reparametrisation: this architecture has no attention"),
        ("jamba", SIGMA, r"outside of\s+any linear map"),
    ],
)
def test_what_cannot_be_changed_is_refused(name: str, changes: Any, message: str, tmp_path: Any) -> None:
    # with experts in the block of the attention
    settings = {"attn_layer_offset": 3} if name == "jamba" else {}
    entry = architecture(name, interventions=changes)
    entry["settings"] = entry["settings"] | settings
    with pytest.raises(ConfigurationError, match=message):
        model.build(entry, language_task(tmp_path), 0)


def test_unknown_layouts_and_models_with_norms_of_their_own_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"h\.0\.self_attention are not known"):
        interventions.apply(bare("falcon"), QK)
    with pytest.raises(ConfigurationError, match="normalises its queries and keys already"):
        interventions.apply(bare("qwen3"), QK)


@pytest.mark.parametrize(("name", "zeroed"), [("gpt2", 4), ("llama", 4), ("mamba", 2), ("jamba", 4)])
def test_with_zero_outputs_every_block_starts_as_the_identity(name: str, zeroed: int, tmp_path: Any) -> None:
    task = language_task(tmp_path)
    plain, changed = (model.build(architecture(name, interventions=how), task, 3) for how in ({}, ZERO))
    before, after = dict(plain.named_parameters()), dict(changed.named_parameters())
    different = [key for key, parameter in before.items() if not torch.equal(parameter, after[key])]
    assert len(different) >= zeroed and not any(after[key].any() for key in different)
    seen: list[tuple[torch.Tensor, Any]] = []
    for _, _, block in layers.blocks(changed.backbone):
        block.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    changed(task.batch(0, 0)[0])
    for entered, left in seen:
        assert torch.equal(entered, left[0] if isinstance(left, tuple) else left)


def test_zero_outputs_refuses_a_mixer_whose_last_map_it_does_not_know(tmp_path: Any) -> None:
    plain = built("mamba", language_task(tmp_path))
    for _, _, block in layers.blocks(plain.backbone):
        block.mixer.to_stream = block.mixer._modules.pop("out_proj")
    with pytest.raises(ConfigurationError, match=r"zero_outputs: which map of the mixer of block00.*to_stream"):
        interventions.apply(plain, ZERO)
