"""What the attention probe reports is what the eager model attends to, rotations, windows and biases included."""

import math
from typing import Any

import pytest
import torch
from probing import SIZES, Wrapped, architecture, backbone, built, language_task, look_at, probe_settings, values
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from warmup.architectures import model
from warmup.probes import _capture, _entropy, attention

SETTINGS = probe_settings()["attention"]
DRAW = torch.Generator().manual_seed(3)
TOKENS = torch.randint(0, 256, (2, 20), generator=DRAW)
IMAGES = torch.randn(2, 1, 28, 28, generator=DRAW)


def inputs_of(name: str) -> torch.Tensor:
    return IMAGES if name in ("vit", "swin") else TOKENS


def eager_attentions(name: str) -> list[torch.Tensor]:
    """Attention matrices [n, heads, rows, columns] of transformers' own eager model, layer by layer.

    Taken from the return value of its attention modules: Swin's `output_attentions` differs from version to version.
    """
    inner = backbone(name, "eager").eval()
    found = []
    for module in inner.modules():
        if type(module).__name__ in (
            "GPT2Attention",
            "LlamaAttention",
            "JambaAttention",
            "ViTAttention",
            "SwinAttention",
        ):
            module.register_forward_hook(lambda _module, _given, output: found.append(output[1]))
    with torch.no_grad():
        Wrapped(inner)(inputs_of(name))
    return found


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["gpt2", "vit", "swin", "llama", "jamba"])
def test_entropies_are_those_of_the_eager_models_attention(name: str, implementation: str) -> None:
    expected = eager_attentions(name)
    wrapped = Wrapped(backbone(name, implementation))
    rows = attention.before_update(look_at(wrapped, inputs_of(name), SETTINGS))
    found = values(rows, "entropy")
    heads = [matrix.shape[1] for matrix in expected]
    assert len(found) == sum(heads) and len(expected) == {"swin": 4, "jamba": 1}.get(name, 2)
    eager = torch.cat([-(p * p.clamp(min=1e-30).log()).sum(-1).mean((0, 2)) for p in expected])
    torch.testing.assert_close(torch.tensor(list(found.values())), eager, rtol=1e-4, atol=1e-5)
    assert eager.std() > 1e-3  # the heads differ, so that a wrong order or a missing rotation would show


@pytest.mark.parametrize("name", ["gpt2", "swin", "llama"])
def test_the_stored_map_is_the_eager_models_matrix(name: str) -> None:
    first = eager_attentions(name)[0][0]
    rows = attention.before_update(look_at(Wrapped(backbone(name, "sdpa")), inputs_of(name), SETTINGS))
    stored = [row["values"] for row in rows if row["quantity"] == "attention_map"][: SETTINGS["map_heads"]]
    torch.testing.assert_close(torch.tensor(stored), first[: len(stored)].flatten(1), rtol=1e-4, atol=1e-6)


def test_output_attentions_agrees_too_where_transformers_offers_it() -> None:
    inner = backbone("gpt2", "eager").eval()
    with torch.no_grad():
        official = inner(TOKENS, output_attentions=True).attentions
    for one, other in zip(official, eager_attentions("gpt2"), strict=True):
        assert torch.equal(one, other)


def uniform_scores(bias: torch.Tensor | None, causal: bool) -> tuple[torch.Tensor, torch.Tensor]:
    zeros = torch.zeros(1, 2, 6, 4)
    return attention.scores(_capture.Attention(zeros, zeros, 1.0, bias, causal))


@pytest.mark.parametrize("causal", [True, False])
def test_uniform_attention_has_relative_entropy_one(causal: bool) -> None:
    logits, visible = uniform_scores(None, causal)
    entropy, relative, sparsity = _entropy.entropies(logits.softmax(-1), visible)
    expected = sum(math.log(row + 1) for row in range(6)) / 6 if causal else math.log(6)
    torch.testing.assert_close(entropy, torch.full((2,), expected))
    torch.testing.assert_close(relative, torch.ones(2))
    assert torch.equal(sparsity, torch.zeros(2))


@pytest.mark.parametrize("hidden", [float("-inf"), torch.finfo().min, -100.0])
def test_hidden_keys_do_not_count_as_visible(hidden: float) -> None:
    bias = torch.zeros(1, 1, 6, 6)
    bias[..., 3:] = hidden
    logits, visible = uniform_scores(bias, causal=False)
    entropy, relative, _ = _entropy.entropies(logits.softmax(-1), visible)
    torch.testing.assert_close(entropy, torch.full((2,), math.log(3)))
    torch.testing.assert_close(relative, torch.ones(2))


def test_attention_on_one_key_has_no_entropy_rank_one_and_is_sparse() -> None:
    weights = torch.zeros(1, 1, 5, 5)
    weights[..., 2] = 1.0
    entropy, relative, sparsity = _entropy.entropies(weights, torch.ones(5, 5, dtype=torch.bool))
    assert entropy.item() == 0 and relative.item() == 0 and sparsity.item() == pytest.approx(4 / 5)
    assert _entropy.effective_rank(_entropy.singular_values(weights[0])).item() == pytest.approx(1.0)


def test_identity_attention_has_no_entropy_but_full_rank() -> None:
    """Entropy alone cannot tell this benign collapse from the malignant one above."""
    identity = torch.eye(7)[None]
    assert _entropy.effective_rank(_entropy.singular_values(identity)).item() == pytest.approx(7.0)


def test_singular_values_agree_with_the_svd_and_survive_nan() -> None:
    matrices = torch.randn(3, 9, 6, generator=DRAW)
    torch.testing.assert_close(_entropy.singular_values(matrices), torch.linalg.svdvals(matrices), rtol=1e-5, atol=1e-5)
    matrices[1, 0, 0] = math.nan
    found = _entropy.singular_values(matrices)
    assert found[1].isnan().all() and found[0].isfinite().all()


def test_the_largest_logit_is_the_largest_scaled_score() -> None:
    query = torch.randn(2, 4, 5, 8, generator=DRAW)
    key = torch.randn(2, 2, 5, 8, generator=DRAW)
    logits, _ = attention.scores(_capture.Attention(query, key, 0.5, None, False))
    by_hand = torch.einsum("bhid,bhjd->bhij", query, key[:, [0, 0, 1, 1]]) * 0.5
    torch.testing.assert_close(logits, by_hand)


def test_queries_are_seen_after_the_normalisation_of_an_intervention(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    tokens = next(task.validation())[0]
    plain, normed = (built("gpt2", task, interventions={"qk_norm": on}) for on in (False, True))
    logits = []
    for chosen in (plain, normed):
        with torch.no_grad():
            for name, parameter in chosen.named_parameters():
                if "c_attn" in name:
                    parameter.mul_(30)
        found = values(attention.before_update(look_at(chosen, tokens, SETTINGS)), "largest_logit")
        logits.append(max(found.values()))
    # normalised queries and keys of size 8 have length about sqrt(8) x gain, which bounds their logits
    assert logits[1] < 30 < logits[0]


def test_recording_attention_leaves_transformers_table_as_it_was() -> None:
    before = dict(ALL_ATTENTION_FUNCTIONS.items())
    attention.before_update(look_at(Wrapped(backbone("gpt2", "sdpa")), TOKENS, SETTINGS))
    assert dict(ALL_ATTENTION_FUNCTIONS.items()) == before


def test_attention_by_other_functions_is_named_once_and_not_invented(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    from transformers import BloomConfig, BloomModel

    inner = BloomModel(BloomConfig(hidden_size=16, n_layer=1, n_head=2, vocab_size=256))
    wrapped = Wrapped(inner)
    rows = attention.before_update(look_at(wrapped, TOKENS, SETTINGS))
    assert [(row["module"], row["quantity"], row["value"]) for row in rows] == [
        ("backbone.h.0.self_attention", "not_probed", None)
    ]
    assert "backbone.h.0.self_attention is not probed" in caplog.text
    assert attention.before_update(look_at(wrapped, TOKENS, SETTINGS, step=1)) == []


def test_rows_carry_the_block_and_every_head() -> None:
    wrapped = Wrapped(backbone("gpt2", "sdpa"))
    rows = attention.before_update(look_at(wrapped, TOKENS, SETTINGS, step=7))
    places = {(row["step"], row["layer"], row["head"]) for row in rows if row["quantity"] == "sparsity"}
    assert places == {(7, layer, head) for layer in range(2) for head in range(4)}


def test_models_of_the_workflow_train_with_fused_attention(tmp_path: Any) -> None:
    task = language_task(tmp_path)
    for name in ("gpt2", "llama", "jamba"):
        assert model.build(architecture(name), task, 0).backbone.config._attn_implementation == model.NO_MASK
    assert set(SIZES) >= {"gpt2", "llama", "jamba"}
