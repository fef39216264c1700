"""TensorRT's parser takes the graphs whole, and compiles them without a GPU. That they run is not shown here."""

from __future__ import annotations

import pytest
from oracle import ARCHITECTURES, CLASSES, OPTIONS, Cell, fronts, tiny

from w2vc_exporter import ExportOptions, export

tensorrt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has wheels for Linux on x86-64 only")

# Every position kind, every front end, every head and every option.
CELLS = sorted({
    *(Cell(architecture, norm, "ctc") for architecture in ARCHITECTURES for norm in fronts(architecture)),
    *(Cell("wav2vec2", "group", head) for head in CLASSES),
    *(Cell("bert-relative_key", "log-mel", OPTIONS[option][0][0], option) for option in OPTIONS),
    Cell("conformer-relative", "group", "ctc", "adapter"),
})  # fmt: skip


@pytest.fixture(scope="module")
def logger():
    return tensorrt.Logger(tensorrt.Logger.ERROR)  # TensorRT wants one a process


def parse(path, builder, logger):
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path)), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    return network


def dimensions(shape) -> tuple[int, ...]:
    """A shape as TensorRT has it: -1 for what varies."""
    return tuple(-1 if isinstance(size, str) else size for size in shape)


FULL = [cell for cell in CELLS if cell.head == "ctc" and cell.option == "plain" and cell.norm != "group"]


@pytest.mark.parametrize(
    ("cell", "precision"), [(cell, "fp16") for cell in CELLS] + [(cell, "fp32") for cell in FULL], ids=str
)
def test_the_parser_takes_the_whole_graph(cell, precision, tmp_path, logger):
    options = ExportOptions(tiny(*cell, brief=True)[1], head=cell.head, precision=precision, output=tmp_path / "bundle")
    result = export(options)
    path = result.bundle / result.manifest.graphs[0].files[0]
    network = parse(path, tensorrt.Builder(logger), logger)
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    assert {i.name: tuple(i.shape) for i in inputs} == {t.name: dimensions(t.shape) for t in result.manifest.inputs}
    outputs = [network.get_output(i) for i in range(network.num_outputs)]
    assert {o.name: tuple(o.shape) for o in outputs} == {t.name: dimensions(t.shape) for t in result.manifest.outputs}
    assert {o.dtype for o in outputs} == {tensorrt.float32}
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


@pytest.mark.parametrize(
    "cell", [Cell("conformer-relative", "layer", "ctc"), Cell("bert-relative_key", "log-mel", "ctc")]
)
def test_static_int8_compiles(cell, tmp_path, logger):
    checkpoint = tiny(*cell, brief=True)[1]
    bundle = export(ExportOptions(checkpoint, precision="int8", provider="tensorrt", output=tmp_path / "bundle")).bundle
    builder = tensorrt.Builder(logger)
    network = parse(bundle / "model_int8.onnx", builder, logger)
    kinds = [network.get_layer(i).type for i in range(network.num_layers)]
    assert kinds.count(tensorrt.LayerType.DEQUANTIZE) > kinds.count(tensorrt.LayerType.QUANTIZE) > 0
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for i in range(network.num_inputs):
        name, rest = network.get_input(i).name, tuple(network.get_input(i).shape)[2:]
        profile.set_shape(name, *((batch, length, *rest) for batch, length in ((1, 800), (1, 16000), (4, 48000))))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(tensorrt.ComputeCapability.SM89, 0)
    assert builder.build_serialized_network(network, config) is not None
