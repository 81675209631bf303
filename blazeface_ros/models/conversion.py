"""The chain TFLite → PyTorch → ONNX → Ascend OM, one function a step.

Each step reads one file and writes one, whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from blazeface_ros.errors import BackendError, ConfigurationError, ConversionError, ModelError
from blazeface_ros.models.catalogue import MODELS, ONNX_MODEL, ONNX_SOURCE, Model, sha256_of

OPSETS = range(11, 19)
Aipp = Literal['rgb', 'bgr', 'none']

#: Ascend's AIPP: colour order and normalisation on the device. Its input is uint8 NHWC, a quarter
#: of the bytes; out = (pixel - min) * var_reci, here pixel / 127.5 - 1.
AIPP_CONFIGURATION = """\
aipp_op {{
    aipp_mode: static
    input_format: RGB888_U8
    src_image_size_w: {width}
    src_image_size_h: {height}
    rbuv_swap_switch: {swap}
    min_chn_0: 127.5
    min_chn_1: 127.5
    min_chn_2: 127.5
    var_reci_chn_0: 0.00784313725
    var_reci_chn_1: 0.00784313725
    var_reci_chn_2: 0.00784313725
}}
"""


def need(*packages: str) -> None:
    """Check that what the chain needs beyond the detector is there.

    Raises:
        BackendError: naming what is missing and how to get it.
    """
    import importlib

    missing = []
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError:
            missing.append(package)
    if missing:
        raise BackendError(
            f'conversion needs the Python packages {", ".join(missing)}: '
            f'pip install {" ".join(missing)}'
        )


@contextlib.contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give a file to write, which takes the target's place once it is complete.

    Raises:
        ConversionError: if the target cannot be written; nothing is left behind then.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f'.{target.name}.')
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)  # mkstemp's files are private
        temporary.replace(target)
    except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as a RuntimeError
        raise ConversionError(f"'{target}' cannot be written: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def identify_tflite(file: Path) -> tuple[Model, str]:
    """The network in a .tflite file by its input, and the file's SHA-256.

    Raises:
        ModelError: if it is not such a file, or no network here has such an input.
    """
    from blazeface_ros.models.tflite_reader import input_size

    side = input_size(file)
    sha256 = sha256_of(file)
    models = [model for model in MODELS.values() if model.input_size == side]
    if not models:
        sizes = ', '.join(f'{model.name} {model.input_size}' for model in MODELS.values())
        raise ModelError(
            f"'{file}' is another network: its input is {side} pixels wide; known are: {sizes}"
        )
    known = [model for model in models if model.source_sha256 == sha256]
    return (known or models)[0], sha256


def tflite_to_torch(source: Path, target: Path) -> Model:
    """Convert MediaPipe's .tflite file to a .pth file (see `torch_file`).

    Returns:
        Which network it is.

    Raises:
        ModelError: if the source is not one of the networks; names the first difference.
        ConversionError: if the target cannot be written.
    """
    need('torch', 'tflite')
    import torch

    from blazeface_ros.models.networks import make_network
    from blazeface_ros.models.tflite_reader import load_weights
    from blazeface_ros.models.torch_file import pth_content

    model, sha256 = identify_tflite(source)
    network = make_network(model.name).eval()
    load_weights(network, source)
    with written_whole(target) as file:
        torch.save(pth_content(model, network, sha256), file)
    return model


def torch_to_onnx(
    source: Path,
    target: Path,
    *,
    opset: int = 13,
    batch: int | None = None,
    height: int | None = None,
    width: int | None = None,
) -> Model:
    """Convert a .pth file to ONNX.

    Args:
        source: the .pth file.
        target: the .onnx file.
        opset: ONNX operator set, 11 to 18.
        batch: a fixed batch size; None leaves it free.
        height: of the input in pixels, a multiple of 32; None: the network's own.
        width: likewise.

    Returns:
        Which network it is.

    Raises:
        ModelError: if the source is not one of the networks.
        ConfigurationError: if an option cannot work.
        ConversionError: if the target cannot be written.
    """
    need('torch', 'onnx')
    import onnx

    from blazeface_ros.models.onnx_export import to_onnx
    from blazeface_ros.models.torch_file import load_network

    if opset not in OPSETS:
        raise ConfigurationError(f'opset is {opset}; it must be from {OPSETS[0]} to {OPSETS[-1]}')
    if batch is not None and batch < 1:
        raise ConfigurationError(f"batch is {batch}; it must be 1 or more, or 'dynamic'")
    model, network, sha256 = load_network(source)
    converted = to_onnx(
        network,
        height or model.input_size,
        width or model.input_size,
        opset=opset,
        batch=batch,
        metadata={ONNX_MODEL: model.name, ONNX_SOURCE: sha256},
    )
    with written_whole(target) as file:
        onnx.save(converted, file)
    return model


@dataclass(frozen=True)
class OmConversion:
    """A call of Ascend's compiler `atc`, which makes an .om file of an .onnx file.

    Attributes:
        command: the words of the command line.
        aipp_file: the AIPP configuration that it names, if any.
        aipp_text: what is to stand in that file.
    """

    command: list[str]
    aipp_file: Path | None
    aipp_text: str

    def __str__(self) -> str:
        return shlex.join(self.command)

    def write_aipp(self) -> None:
        """Write the AIPP configuration, if there is one.

        Raises:
            ConversionError: if it cannot be written.
        """
        if self.aipp_file is not None:
            with written_whole(self.aipp_file) as file:
                file.write_text(self.aipp_text)

    def run(self) -> None:
        """Call atc.

        Raises:
            BackendError: if atc is not installed.
            ConversionError: if it fails, with what it printed.
        """
        if shutil.which('atc') is None:
            raise BackendError(
                'atc is not on PATH: it comes with the CANN toolkit '
                '(source /usr/local/Ascend/ascend-toolkit/set_env.sh)'
            )
        done = subprocess.run(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            raise ConversionError(f'atc failed (exit code {done.returncode}):\n{done.stdout}')


def onnx_to_om(
    source: Path,
    target: Path,
    *,
    soc_version: str,
    precision_mode: str = 'allow_fp32_to_fp16',
    aipp: Aipp = 'none',
    batch: int = 1,
) -> OmConversion:
    """Prepare the conversion of an .onnx file for an Ascend chip.

    Args:
        source: the .onnx file.
        target: the .om file; atc adds the suffix, and may add the system's name before it.
        soc_version: 'Ascend' and the chip's name as `npu-smi info` tells it, such as Ascend310B4.
        precision_mode: of atc.
        aipp: the colour order the device takes uint8 pixels in; 'none': float32 input.
        batch: windows at once; fixed in an .om file.

    Raises:
        ConfigurationError: if an option cannot work.
        ModelError: if the source cannot be read, or takes no pictures.
    """
    need('onnx')
    import onnx

    if not soc_version.startswith('Ascend'):
        raise ConfigurationError(
            f"soc_version is '{soc_version}'; it must be 'Ascend' and the chip's name as "
            '`npu-smi info` tells it, such as Ascend310, Ascend310P3 or Ascend310B4'
        )
    if batch < 1:
        raise ConfigurationError(f'batch is {batch}; it must be 1 or more')
    try:
        entry = onnx.load(source).graph.input[0]
    except Exception as error:  # protobuf's errors share no public base
        raise ModelError(f"'{source}' is not a readable ONNX file: {error}") from error
    sizes = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim]
    if len(sizes) != 4 or sizes[1] != 3 or not all(sizes[2:]):
        raise ModelError(
            f"'{source}' takes {sizes} (0: free); wanted is a network of this chain, which takes "
            '[N, 3, height, width]'
        )
    batch = sizes[0] or batch
    _, _, height, width = sizes
    stem = target.with_suffix('') if target.suffix == '.om' else target
    # With AIPP the device takes NHWC pixels, but the shape named here stays the network's own.
    command = [
        'atc',
        f'--model={source}',
        '--framework=5',
        f'--output={stem}',
        f'--soc_version={soc_version}',
        f'--precision_mode={precision_mode}',
        f'--input_shape={entry.name}:{batch},3,{height},{width}',
    ]
    if aipp == 'none':
        return OmConversion(command, None, '')
    aipp_file = stem.with_name(f'{stem.name}_aipp_{aipp}.cfg')
    text = AIPP_CONFIGURATION.format(
        width=width, height=height, swap=str(aipp == 'bgr').lower()
    )
    return OmConversion([*command, f'--insert_op_conf={aipp_file}'], aipp_file, text)
