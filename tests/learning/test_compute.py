"""Place of a training: what each setting becomes on each machine, its messages, and what is loaded for it."""

import doctest
import importlib
import logging
import subprocess
import sys
import textwrap
from collections.abc import Sequence

import pytest
import torch

from pipeline.errors import ConfigurationError
from pipeline.hardware import (
    TorchBuild,
    attention_kernels,
    failing_device,
    lightgbm_problem,
    missing_device,
    missing_torch,
    torch_build,
)
from pipeline.home import PROJECT
from pipeline.learning.compute import CPU, CUBLAS_VARIABLE, Compute, ComputeSettings, Machine, choose_compute
from pipeline.learning.compute_environment import (
    ALLOCATOR_VARIABLES,
    allocator_settings,
    prepare_torch,
    visible_devices,
)
from resources.compute import ComputeDevice, training_pool

LOGGER = "pipeline.learning"
CUDA, ROCM = TorchBuild("2.13.0+cu130", "CUDA", "13.0"), TorchBuild("2.13.0+rocm7.2", "ROCm", "7.2")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU here")


def machine(gpus: Sequence[bool] = (), lightgbm: Sequence[str] = ()) -> Machine:
    """A machine with so many GPUs, each with or without bfloat16, and what LightGBM can use."""

    def missing(device: str) -> str | None:
        absent = [part for part in device.split(",") if int(part.removeprefix("cuda:")) >= len(gpus)]
        return f"device {' and '.join(absent)} is not available" if absent else None

    return Machine(
        missing,
        lambda device: gpus[int(device.removeprefix("cuda:"))],
        lambda device: None if device in lightgbm else f"LightGBM can't use {device}",
    )


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("device", "gpus", "devices", "precision"),
    [
        ("auto", [], ("cpu",), "fp32"),
        ("auto", [True, True], ("cuda:0",), "bf16"),
        ("auto", [False], ("cuda:0",), "fp32"),
        ("cpu", [True], ("cpu",), "fp32"),
        ("cuda", [True], ("cuda:0",), "bf16"),
        ("cuda:1", [False, True], ("cuda:1",), "bf16"),
        ("cuda:0,cuda:1", [True, True], ("cuda:0", "cuda:1"), "bf16"),
        ("cuda:1, cuda", [True, True], ("cuda:1", "cuda:0"), "bf16"),
        ("cuda:0,cuda:1", [True, False], ("cuda:0", "cuda:1"), "fp32"),
    ],
)
def test_choose_compute_device_that_is_there_says_nothing(
    caplog: pytest.LogCaptureFixture, device: str, gpus: list[bool], devices: tuple[str, ...], precision: str
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        chosen = choose_compute(device, machine=machine(gpus))

    assert (chosen.devices, chosen.precision) == (devices, precision)
    assert chosen.device == devices[0]
    assert caplog.records == []


@pytest.mark.parametrize(
    ("device", "gpus", "devices", "absent", "instead"),
    [
        ("cuda", [], ("cpu",), "cuda:0", "cpu"),
        ("cuda:1", [True], ("cpu",), "cuda:1", "cpu"),
        ("cuda:0,cuda:1", [], ("cpu",), "cuda:0 and cuda:1", "cpu"),
        ("cuda:0,cuda:3,cuda:1", [True, True], ("cuda:0", "cuda:1"), "cuda:3", "cuda:0 and cuda:1"),
    ],
)
def test_choose_compute_device_not_there_falls_back_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
    device: str,
    gpus: list[bool],
    devices: tuple[str, ...],
    absent: str,
    instead: str,
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        chosen = choose_compute(device, machine=machine(gpus))

    assert chosen.devices == devices
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"device {absent} is not available; models are trained on {instead} instead")
    ]


def test_choose_compute_bfloat16_without_hardware_becomes_fp32_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    chosen = choose_compute("cuda:0,cuda:1", "bf16", machine=machine([True, False]))

    assert chosen.precision == "fp32"
    assert [record.getMessage() for record in caplog.records] == [
        "device cuda:1 has no bfloat16 in hardware; models are trained in fp32 instead"
    ]


@pytest.mark.parametrize(("device", "precision"), [("cpu", "bf16"), ("auto", "fp32"), ("cuda", "fp32")])
def test_choose_compute_bfloat16_on_the_processor_only_where_that_is_asked_for(device: str, precision: str) -> None:
    assert choose_compute(device, "bf16", machine=machine()).precision == precision


@pytest.mark.parametrize(
    ("wanted", "there", "chosen", "messages"),
    [
        ("auto", ("gpu", "cuda"), "cpu", []),
        ("cpu", (), "cpu", []),
        ("gpu", ("gpu",), "gpu", []),
        ("cuda", (), "cpu", ["LightGBM can't use cuda; its trees are grown on the CPU instead"]),
    ],
)
def test_choose_compute_lightgbm_device(
    caplog: pytest.LogCaptureFixture, wanted: str, there: tuple[str, ...], chosen: str, messages: list[str]
) -> None:
    assert choose_compute("cpu", lightgbm=wanted, machine=machine(lightgbm=there)).lightgbm_device == chosen
    assert [record.getMessage() for record in caplog.records] == messages


def test_choose_compute_memory_and_threads_are_handed_on() -> None:
    chosen = choose_compute("cuda", "fp32", 0.5, "cpu", 3, machine=machine([True]))

    assert chosen == Compute(("cuda:0",), "fp32", 0.5, "cpu", 3)
    assert choose_compute("cpu") == CPU


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"device": "gpu"}, "device is 'gpu'; models are trained on 'auto', 'cpu', 'cuda', 'cuda:1' (an AMD GPU is"),
        ({"device": "cuda:-1"}, "device is 'cuda:-1'"),
        ({"device": "cpu,cuda:0"}, "device is 'cpu,cuda:0'"),
        ({"device": "cuda,cuda:0"}, "device is 'cuda,cuda:0', which names a GPU twice; name each once"),
        ({"precision": "fp16"}, "precision is 'fp16': Input should be 'auto', 'fp32' or 'bf16'"),
        ({"memory_share": 0}, "memory_share is 0: Input should be greater than 0"),
        ({"memory_share": 1.5}, "memory_share is 1.5"),
        ({"lightgbm": "opencl"}, "lightgbm is 'opencl'"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_choose_compute_impossible_setting_is_one_sentence(given: dict, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        choose_compute(**given)

    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("listed", ["0", "0,2", "GPU-4b2c1a9f-8d3e", "MIG-1,MIG-2"])
def test_compute_settings_visible_devices_are_numbers_or_names(listed: str) -> None:
    assert ComputeSettings(visible_devices=listed).visible_devices == listed


@pytest.mark.parametrize("listed", ["", "cuda:0", "0;1", "-1"])
def test_compute_settings_other_visible_devices_are_refused(listed: str) -> None:
    with pytest.raises(ConfigurationError, match="visible_devices"):
        ComputeSettings(visible_devices=listed)


def test_choose_compute_on_the_processor_loads_neither_torch_nor_lightgbm() -> None:
    shown = _run(
        """
        import sys
        from pipeline.learning.compute import choose_compute
        print(choose_compute("cpu").devices, "torch" in sys.modules, "lightgbm" in sys.modules)
        """
    )

    assert shown == "('cpu',) False False\n"


@no_gpu
def test_missing_device_here_is_reported_in_the_words_of_the_profiles_engines(caplog: pytest.LogCaptureFixture) -> None:
    assert missing_device("cuda:1") == missing_torch("cuda:1")
    assert choose_compute("cuda:0,cuda:1") == CPU
    assert [record.getMessage() for record in caplog.records] == [
        f"device cuda:0 and cuda:1 is not available, as torch {torch.__version__} sees no CUDA or ROCm device; "
        "models are trained on cpu instead"
    ]


def test_failing_device_tells_what_torch_says() -> None:
    assert failing_device("cpu") is None
    assert failing_device("meta") == (
        "device meta is there, but fails (Tensor.item() cannot be called on meta tensors)"
    )


def test_torch_build_is_torchs_own_account() -> None:
    build = torch_build()

    assert build is not None
    assert build.version == torch.__version__
    assert build.kind == ("ROCm" if torch.version.hip else "CUDA" if torch.version.cuda else "CPU")


@pytest.mark.parametrize(
    ("build", "settings", "before", "after"),
    [
        (CUDA, {}, {}, {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}),
        (
            CUDA,
            {},
            {CUBLAS_VARIABLE: ":16:8"},
            {CUBLAS_VARIABLE: ":16:8", "PYTORCH_ALLOC_CONF": "expandable_segments:True"},
        ),
        (ROCM, {}, {}, {}),
        (TorchBuild("2.13.0+cpu", "CPU"), {"visible_devices": "0", "allocator": "max_split_size_mb:64"}, {}, {}),
        (
            CUDA,
            {"visible_devices": "0,2", "allocator": "max_split_size_mb:64"},
            {},
            {"CUDA_VISIBLE_DEVICES": "0,2", "PYTORCH_ALLOC_CONF": "max_split_size_mb:64"},
        ),
        (ROCM, {"visible_devices": "1"}, {}, {"HIP_VISIBLE_DEVICES": "1"}),
        (ROCM, {"visible_devices": "1"}, {"ROCR_VISIBLE_DEVICES": "0"}, {"ROCR_VISIBLE_DEVICES": "0"}),
        (
            CUDA,
            {"visible_devices": "1"},
            {"CUDA_VISIBLE_DEVICES": "", "PYTORCH_HIP_ALLOC_CONF": "max_split_size_mb:64"},
            {"CUDA_VISIBLE_DEVICES": "", "PYTORCH_HIP_ALLOC_CONF": "max_split_size_mb:64"},
        ),
    ],
)
def test_prepare_torch_sets_what_a_user_has_not(build: TorchBuild, settings: dict, before: dict, after: dict) -> None:
    environ = dict(before)

    prepare_torch(ComputeSettings(**settings), environ, build=build)

    cublas = {} if build.kind == "CPU" else {CUBLAS_VARIABLE: ":4096:8"}
    assert environ == cublas | after


def test_prepare_torch_after_torch_has_started_warns(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ALLOCATOR_VARIABLES:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(CUBLAS_VARIABLE, ":4096:8")

    prepare_torch(ComputeSettings(), build=CUDA)

    assert allocator_settings() == ("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    assert [record.getMessage() for record in caplog.records] == [
        "torch is loaded already, so that PYTORCH_ALLOC_CONF=expandable_segments:True may come too late for this "
        "process; set it in the environment"
    ]


def test_allocator_settings_are_those_that_torch_goes_by() -> None:
    # Torch calls the former names fallbacks, and goes by them all the same; whoever reads this must know.
    shown = _run(
        """
        import os
        names = ("PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
        os.environ.update({name: f"max_split_size_mb:{30 + i}" for i, name in enumerate(names)})
        import torch
        from pipeline.learning.compute_environment import allocator_settings
        print(allocator_settings(), torch._C._accelerator_getAllocatorSettings())
        """
    )

    assert shown == "('PYTORCH_CUDA_ALLOC_CONF', 'max_split_size_mb:32') max_split_size_mb:32\n"


def test_visible_devices_are_those_variables_that_the_build_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("ROCR_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)

    assert visible_devices(CUDA) == {"CUDA_VISIBLE_DEVICES": "1"}
    assert visible_devices(ROCM) == {"CUDA_VISIBLE_DEVICES": "1", "ROCR_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize("device", ["gpu", "cuda"])
def test_lightgbm_problem_is_that_of_a_fit(device: str) -> None:
    import lightgbm
    import numpy as np

    problem = lightgbm_problem(device)
    data = lightgbm.Dataset(np.arange(64.0).reshape(32, 2), np.arange(32) % 2, params={"verbosity": -1})
    parameters = {"device_type": device, "verbosity": -1, "objective": "binary"}
    if problem is None:
        lightgbm.train(parameters, data, 1)
        return
    with pytest.raises(lightgbm.basic.LightGBMError) as raised:
        lightgbm.train(parameters, data, 1)
    assert str(raised.value).splitlines()[0].rstrip(".") in problem


def test_attention_kernels_on_the_processor_have_a_flash_kernel() -> None:
    assert attention_kernels("cpu") == ("flash", "math")


def test_compute_device_fields_come_before_the_settings() -> None:
    settings = ComputeSettings(device="cpu", threads=2)

    assert ComputeDevice().choose(settings) == Compute(threads=2)
    assert ComputeDevice(precision="bf16", threads=1).choose(settings) == Compute(precision="bf16", threads=1)
    with pytest.raises(ConfigurationError, match="resource compute_device: device is 'tpu'"):
        ComputeDevice(device="tpu").choose(settings)


def test_training_pool_is_for_builds_with_gpus() -> None:
    build = torch_build()

    assert training_pool(ComputeSettings(device="cpu")) is None
    assert training_pool(ComputeSettings()) == (None if build is None or build.kind == "CPU" else "gpu")


def test_examples_run_as_written() -> None:
    result = doctest.testmod(importlib.import_module("pipeline.learning.compute"))

    assert result.attempted > 0
    assert result.failed == 0


def test_gpu_page_examples_run_as_written() -> None:
    result = doctest.testfile(str(PROJECT / "docs" / "gpu.md"), module_relative=False)

    assert result.attempted == 3
    assert result.failed == 0
