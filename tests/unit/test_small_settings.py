"""Small settings keep what makes a model type itself, at the wanted width and depth."""

import pytest

from warmup.architectures.small import small_settings
from warmup.errors import ConfigurationError


def test_heads_keep_their_grouping_and_sizes_their_proportions() -> None:
    found = small_settings("llama", 64, 3)
    assert found["hidden_size"] == 64
    assert found["num_hidden_layers"] == 3
    assert found["intermediate_size"] == 176  # 11008 / 4096 of the width, in eights
    grouped = small_settings("qwen3_next", 128, 2)
    assert grouped["num_attention_heads"] == 8
    assert grouped["num_key_value_heads"] == 1
    assert grouped["head_dim"] == 16


def test_every_kind_of_layer_stays() -> None:
    assert small_settings("qwen3_next", 64, 2)["layer_types"] == ["linear_attention", "full_attention"]
    assert len(set(small_settings("nemotron_h", 64, 2)["layers_block_type"])) == 4
    assert set(small_settings("recurrent_gemma", 64, 2)["block_types"]) == {"recurrent", "attention"}


def test_experts_become_few() -> None:
    found = small_settings("mixtral", 64, 2)
    assert (found["num_local_experts"], found["num_experts_per_tok"]) == (4, 2)


def test_heads_of_a_state_space_make_up_the_inner_width() -> None:
    for model_type, heads, size in (
        ("mamba2", "num_heads", "head_dim"),
        ("falcon_h1", "mamba_n_heads", "mamba_d_head"),
    ):
        found = small_settings(model_type, 64, 2)
        assert found[heads] * found[size] == 128


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="knows no 'gtp2'"):
        small_settings("gtp2", 64, 2)
