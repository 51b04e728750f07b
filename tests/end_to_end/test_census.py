"""docs/model_types.md says of a backbone what is true of it, and of all those that people train now that they train."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import census  # noqa: E402

NOW = (
    *(
        "qwen3",
        "qwen3_next",
        "qwen3_5_text",
        "gemma3_text",
        "llama4_text",
        "deepseek_v3",
        "mamba2",
        "falcon_h1",
        "bamba",
    ),
    *("zamba2", "nemotron_h", "granitemoehybrid", "recurrent_gemma", "kimi_linear", "olmo_hybrid", "xlstm", "lfm2"),
    *("jamba", "rwkv"),
)
"""What people train now, attention and hybrids."""
OTHERS = (
    *("gpt2", "llama", "mamba", "falcon_mamba", "mixtral", "openai-gpt", "cwm", "modernbert-decoder", "opt", "phi3"),
    *("gemma2", "gpt_neox", "minimax", "bert", "roberta", "t5gemma", "bart", "cpmant", "dbrx", "qwen3_5", "llama4"),
)
SAMPLE = [name for name in (*NOW, *OTHERS) if name in census.text_types()][:40]


@pytest.mark.slow
def test_a_sample_of_40_types_does_what_the_page_says() -> None:
    page = census.written(images=False)
    found = {name: (result, why) for name, result, why in census.results(SAMPLE)}
    assert {name: found[name][0] for name in SAMPLE} == {name: page[name][0] for name in SAMPLE}


def test_what_people_train_now_is_among_130_types_that_train() -> None:
    page = census.written(images=False)
    trains = {name for name, (result, _) in page.items() if result in (census.WORKS, census.PARTLY)}
    assert set(NOW) <= trains
    assert len(trains) >= 130


def test_backbones_in_stages_are_among_19_image_types_that_train() -> None:
    page = census.written(images=True)
    trains = {name for name, (result, _) in page.items() if result in (census.WORKS, census.PARTLY)}
    assert {"convnext", "convnextv2", "poolformer", "focalnet", "pvt", "pvt_v2", "segformer", "bit"} <= trains
    assert len(trains) >= 19


def test_the_page_names_every_type_and_a_reason_for_each_that_does_not_train() -> None:
    for images, types in ((False, census.text_types()), (True, census.image_types())):
        page = census.written(images)
        assert list(page) == types
        assert all(why for result, why in page.values() if result != census.WORKS)
