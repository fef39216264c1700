"""TensorRT's parser takes the graphs whole, and compiles them without a GPU. That they run is not shown here."""

from __future__ import annotations

import pytest
from oracle import ARCHITECTURES, tiny

from w2vc_exporter import ExportOptions, export

tensorrt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")


@pytest.fixture(scope="module")
def logger():
    return tensorrt.Logger(tensorrt.Logger.ERROR)  # TensorRT wants one a process


def parse(path, builder, logger):
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path)), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    return network


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_parser_takes_the_whole_graph(architecture, precision, tmp_path, logger):
    options = ExportOptions(tiny(architecture)[1], precision=precision, output=tmp_path / "bundle")
    result = export(options)
    path = result.bundle / result.manifest.graphs[0].files[0]
    network = parse(path, tensorrt.Builder(logger), logger)
    inputs = {network.get_input(i).name: tuple(network.get_input(i).shape) for i in range(network.num_inputs)}
    assert inputs == {"input_values": (-1, -1), "attention_mask": (-1, -1)}
    assert network.get_output(0).name == "logits"
    assert tuple(network.get_output(0).shape) == (-1, -1, 32)
    assert network.get_output(0).dtype == tensorrt.float32
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    half = tensorrt.float16 if precision == "fp16" else tensorrt.float32
    products = [layer for layer in layers if layer.type == tensorrt.LayerType.MATRIX_MULTIPLY]
    assert {layer.get_output(0).dtype for layer in products} == {half}
    softmaxes = [layer for layer in layers if layer.type == tensorrt.LayerType.SOFTMAX]
    assert {layer.get_output(0).dtype for layer in softmaxes} == {tensorrt.float32}


def test_the_digits_graph_compiles_for_a_named_gpu(digits, logger):
    builder = tensorrt.Builder(logger)
    network = parse(digits["fp16"] / "model_fp16.onnx", builder, logger)
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name in ("input_values", "attention_mask"):
        profile.set_shape(name, (1, 400), (1, 80000), (4, 480000))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(tensorrt.ComputeCapability.SM89, 0)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    assert bytes(plan)[4:8] == b"vtrt" or b"vtrt" in bytes(plan)[:64]
