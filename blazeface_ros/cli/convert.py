"""`blazeface convert`: the chain TFLite → PyTorch → ONNX → Ascend OM, checked at every step."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from blazeface_ros.backends import open_backend
from blazeface_ros.cli.tables import bundled_pictures, print_differences
from blazeface_ros.errors import BackendError
from blazeface_ros.lab import parity
from blazeface_ros.models import conversion
from blazeface_ros.models.catalogue import Model

#: Exit code where everything was prepared for an .om file, but atc is not on this machine.
NO_ATC = 3


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb with its steps."""
    parser = verbs.add_parser(
        'convert',
        help='convert model files',
        description='TFLite to PyTorch to ONNX to Ascend OM. Every step is checked against the '
        'one before, and against LiteRT on the original where it is installed.',
    )
    steps = parser.add_subparsers(metavar='STEP', required=True)

    _add_step(steps, 'tflite-to-torch', tflite_to_torch, '.tflite', '.pth')

    step = _add_step(steps, 'torch-to-onnx', torch_to_onnx, '.pth', '.onnx')
    _add_onnx_options(step)
    step.add_argument('--height', type=int, help="of the input (default: the network's own)")
    step.add_argument('--width', type=int, help="of the input (default: the network's own)")

    step = _add_step(steps, 'onnx-to-om', onnx_to_om, '.onnx', '.om')
    _add_om_options(step, required=True)
    step.add_argument('--batch', type=int, default=1, help='windows at once (default: 1)')
    step.add_argument(
        '--dry-run', action='store_true', help='print the atc command and write nothing'
    )

    step = steps.add_parser('all', help='the whole way', description='The whole way.')
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
        type=lambda text: None if text == 'dynamic' else int(text),
        default=None,
        metavar='N|dynamic',
        help='windows at once (default: dynamic)',
    )


def _add_om_options(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        '--soc-version',
        required=required,
        default='Ascend310B4',
        help='Ascend and the chip as npu-smi info names it'
        + ('' if required else ' (default: Ascend310B4)'),
    )
    parser.add_argument(
        '--precision-mode',
        default='allow_fp32_to_fp16',
        help='of atc (default: allow_fp32_to_fp16; most exact: must_keep_origin_dtype)',
    )
    parser.add_argument(
        '--aipp',
        choices=('rgb', 'bgr', 'none'),
        default='none' if required else 'bgr',
        help='let the device take uint8 pixels in this colour order and normalise them '
        '(default: %(default)s)',
    )


def _target(options: argparse.Namespace) -> Path:
    output: Path = options.output or options.file.with_suffix(options.suffix)
    return output


def tflite_to_torch(options: argparse.Namespace) -> int:
    """Convert and compare with LiteRT."""
    target = _target(options)
    model = conversion.tflite_to_torch(options.file, target)
    print(f'{target}: {model.name}')
    return _check(model, 'torch', target, options.file)


def torch_to_onnx(options: argparse.Namespace) -> int:
    """Convert and compare with PyTorch and LiteRT."""
    target = _target(options)
    model = conversion.torch_to_onnx(
        options.file,
        target,
        opset=options.opset,
        batch=options.batch,
        height=options.height,
        width=options.width,
    )
    print(f'{target}: {model.name}')
    own_size = (options.height or model.input_size, options.width or model.input_size)
    if own_size != (model.input_size, model.input_size) or (options.batch or 1) != 1:
        print("not compared: only the network's own size, one window at a time, is")
        return 0
    return _check(model, 'onnxruntime', target, None, before=options.file)


def onnx_to_om(options: argparse.Namespace) -> int:
    """Prepare and call atc; 3 if it is not here."""
    om = conversion.onnx_to_om(
        options.file,
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
    """The whole way; ends with the atc command where atc is not here."""
    conversion.need('torch', 'tflite', 'onnx', 'tqdm')
    from tqdm import tqdm

    folder: Path = options.output
    with tqdm(total=5, disable=not sys.stderr.isatty(), leave=False) as progress:

        def begin(what: str) -> None:
            progress.set_description(what)
            progress.update()

        begin('tflite to torch')
        model, _ = conversion.identify_tflite(options.file)
        pth, onnx = (folder / f'blazeface_{model.name}{suffix}' for suffix in ('.pth', '.onnx'))
        conversion.tflite_to_torch(options.file, pth)
        begin('checking torch')
        failed = _check(model, 'torch', pth, options.file)
        begin('torch to onnx')
        conversion.torch_to_onnx(pth, onnx, opset=options.opset, batch=options.batch)
        begin('checking onnx')
        if options.batch in (None, 1):
            failed |= _check(model, 'onnxruntime', onnx, options.file, before=pth)
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
    # An .om file is the last step, and for another machine: its absence fails nothing.
    code = _compile(om)
    return 0 if code == NO_ATC else code


def _compile(om: conversion.OmConversion) -> int:
    om.write_aipp()
    if om.aipp_file is not None:
        print(f'{om.aipp_file}: AIPP configuration')
    if shutil.which('atc') is None:
        print(
            'atc is not on this machine: it comes with the CANN toolkit. Where that is installed '
            '(a board, or its host), after `source .../ascend-toolkit/set_env.sh`, run'
        )
        print(om)
        return NO_ATC
    print(om)
    om.run()
    print('atc is done')
    return 0


def _check(
    model: Model, backend: str, file: Path, original: Path | None, before: Path | None = None
) -> int:
    """Compare a file with the step before and with LiteRT; 1 if it is above the tolerance."""
    inputs = parity.make_inputs(model, bundled_pictures())
    run = open_backend(backend, model, file, device='cpu', threads=0).infer
    differences = []
    if before is not None:
        torch = open_backend('torch', model, before, device='cpu', threads=0)
        differences += parity.compare(f'{backend} - torch', run, torch.infer, inputs)
    try:
        reference = parity.LiteRt(model, original)
    except BackendError as error:
        print(f'not compared with the original: {error}', file=sys.stderr)
    else:
        differences += parity.compare(f'{backend} - LiteRT', run, reference.infer, inputs)
    return print_differences(differences, parity.TOLERANCE)
