"""Findings of ``vpoc doctor`` on devices: what exists, what trainings will use, what to do."""

import pytest
import torch

from cli.doctor import _device
from pipeline.home import Home

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")


def test_device_section_names_torch_gpu_attention_lightgbm_and_what_auto_is(tmp_path) -> None:
    found = {finding.what: finding for finding in _device(Home(tmp_path))}

    assert found["torch"].message.startswith(f"{torch.__version__}, built for ")
    assert found["attention on the processor"].message == "flash, math"
    assert {"LightGBM on the processor", "LightGBM on gpu", "LightGBM on cuda"} <= set(found)
    assert found["trainings"].state == "good"
    assert found["trainings"].message.startswith("device: auto is ")
    assert all(finding.state != "bad" for finding in found.values())
    assert all(finding.remedy for finding in found.values() if finding.state != "good")


@no_gpu
def test_device_section_says_what_a_missing_device_becomes(tmp_path) -> None:
    (tmp_path / "settings.yaml").write_text("compute: {device: 'cuda:1', precision: bf16}\n")

    found = {finding.what: finding for finding in _device(Home(tmp_path))}

    assert found["trainings"].state == "note"
    assert found["trainings"].message == "device: cuda:1 is cpu, fp32; LightGBM on cpu"
    assert "compute: device in settings.yaml" in found["trainings"].remedy
    assert found["GPU"].remedy
