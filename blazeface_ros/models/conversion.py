"""The conversion TFLite → PyTorch → ONNX → Ascend OM, one function for each step.

Each step reads one file and writes one. A file that cannot be written completely is not written.
"""

from __future__ import annotations

import contextlib
import importlib
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

#: Configuration of Ascend's AIPP, which orders the colours and normalises the pixels on the device.
#: The input is uint8 NHWC, a quarter of the bytes. AIPP computes (pixel - min) * var_reci, which is
#: pixel / 127.5 - 1 here.
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
    """Check that the Python packages for the conversion are installed.

    Raises:
        BackendError: if one is missing.
    """
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
    """A context with a temporary file that replaces the target once it is complete.

    Raises:
        ConversionError: if the target cannot be written. No temporary file is left then.
    """
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f'.{target.name}.')
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes files that only their owner may read
        temporary.replace(target)
    except (OSError, RuntimeError) as error:  # PyTorch reports a full disk as a RuntimeError
        raise ConversionError(f"'{target}' cannot be written: {error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def identify_tflite(file: Path) -> tuple[Model, str]:
    """Identify the network in a .tflite file by the SHA-256 of the file and the size of its input.

    Returns:
        The network and the SHA-256.

    Raises:
        BackendError: if the package tflite is missing.
        ModelError: if the file is not a .tflite file, or no network has such an input.
    """
    need('tflite')
    from blazeface_ros.models.tflite_file import input_size

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
    """Convert a .tflite file of MediaPipe to a .pth file (see `torch_file`).

    Returns:
        The network in the file.

    Raises:
        BackendError: if torch or tflite is missing.
        ModelError: if the source is not one of the networks. The text names the first difference.
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
) -> Model:
    """Convert a .pth file to ONNX.

    Args:
        source: the .pth file.
        target: the .onnx file.
        opset: the ONNX operator set, 11 to 18.
        batch: a fixed batch size; None leaves it free.

    Returns:
        The network in the file.

    Raises:
        BackendError: if torch or onnx is missing.
        ModelError: if the source is not one of the networks.
        ConfigurationError: if the opset or the batch size is out of its range.
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
        model.input_size,
        opset=opset,
        batch=batch,
        metadata={ONNX_MODEL: model.name, ONNX_SOURCE: sha256},
    )
    with written_whole(target) as file:
        onnx.save(converted, file)
    return model


@dataclass(frozen=True)
class OmConversion:
    """A call of Ascend's compiler `atc`, which converts an .onnx file to an .om file.

    Attributes:
        command: the words of the command line.
        aipp_file: the AIPP configuration that the command names; None without AIPP.
        aipp_text: the content of that file.
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
            ConversionError: if it fails. The text has what atc printed.
        """
        if shutil.which('atc') is None:
            raise BackendError(
                'atc is not on PATH: install the CANN toolkit, and source its set_env.sh in this '
                'shell (such as /usr/local/Ascend/ascend-toolkit/set_env.sh)'
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
        target: the .om file. atc adds the suffix, and may add the name of the system before it.
        soc_version: 'Ascend' and the name of the chip that `npu-smi info` prints, such as
            'Ascend310B4'.
        precision_mode: the option --precision_mode of atc.
        aipp: the colour order of the uint8 input with AIPP; 'none' gives a float32 input.
        batch: the batch size, which is fixed in an .om file. Where the .onnx file has a fixed batch
            size, that one is used.

    Raises:
        BackendError: if onnx is missing.
        ConfigurationError: if the chip's name or the batch size is not valid.
        ModelError: if the source cannot be read, or does not take pictures.
    """
    need('onnx')
    import onnx

    if not soc_version.startswith('Ascend'):
        raise ConfigurationError(
            f"soc_version is '{soc_version}'; it must be 'Ascend' and the name of the chip that "
            '`npu-smi info` prints, such as Ascend310, Ascend310P3 or Ascend310B4'
        )
    if batch < 1:
        raise ConfigurationError(f'batch is {batch}; it must be 1 or more')
    try:
        entry = onnx.load(source).graph.input[0]
    except Exception as error:  # the errors of protobuf have no public base class
        raise ModelError(f"'{source}' is not a readable ONNX file: {error}") from error
    sizes = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim]
    if len(sizes) != 4 or sizes[1] != 3 or not all(sizes[2:]):
        raise ModelError(
            f"'{source}' takes {sizes} (0: free), but must take [N, 3, height, width]: give a file "
            'that `blazeface convert torch-to-onnx` wrote'
        )
    batch = sizes[0] or batch
    _, _, height, width = sizes
    stem = target.with_suffix('') if target.suffix == '.om' else target
    # With AIPP the device takes NHWC pixels, but the shape named here is still that of the network.
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
    text = AIPP_CONFIGURATION.format(width=width, height=height, swap=str(aipp == 'bgr').lower())
    return OmConversion([*command, f'--insert_op_conf={aipp_file}'], aipp_file, text)
