"""Target `plan`: the bill of 840 runs on the screen, before anything is trained, within a minute."""

import subprocess
import sys
import time
from pathlib import Path

import polars
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60


@pytest.mark.slow
def test_plan_prints_the_bill_of_the_paper_scale_within_a_minute(tmp_path: Path) -> None:
    snakemake = Path(sys.executable).with_name("snakemake")
    started = time.monotonic()
    done = subprocess.run(
        [snakemake, "--cores=1", "--config", "scale=paper", f"results={tmp_path}", "--nolock", "--", "plan"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    assert "Bill of scale paper, 840 runs on NVIDIA A100 80 GB" in done.stdout
    for architecture in ("gpt2", "mamba", "jamba", "rwkv"):
        assert f"\n{architecture}" in done.stdout
    assert seconds < SECONDS
    table = polars.read_parquet(tmp_path / "paper/studies/warmup/tables/bill.parquet")
    assert table["runs"].sum() == 840
    assert not list((tmp_path / "paper").glob("runs/*")), "a plan trains nothing"
