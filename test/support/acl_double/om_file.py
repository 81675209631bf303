"""The .om files of the double, the networks in them, and the gates that stop them."""

import functools
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime


def write_om(file, onnx, **variant):
    """Write a JSON file that stands for an .om file.

    Args:
        file: the file to write.
        onnx: the .onnx file of the network.
        variant: how the file was converted: batch (the batch size, 1 by default), aipp ('rgb' or
            'bgr': uint8 input in this order), swapped (the outputs in the other order), half
            (float16 outputs), padding (bytes after the values of each output), chip (the chip it
            is for). How it runs: gate (the file of a `Gate`), broken (a file: while it exists,
            every run fails). To be refused: input_type, input_bytes, inputs, output_type, which
            overwrite what the description says.

    Returns:
        The file.
    """
    file.write_text(json.dumps({'onnx': str(onnx), **variant}, default=str))
    return file


class Gate:
    """Stops the device before it finishes a run, for as long as a test wants.

    It works across processes, because its state is in files: the gate is closed while `file`
    exists, and a second file says that a run has reached it.

    Args:
        file: the file, in a folder of the test.
    """

    def __init__(self, file):
        self.file = Path(file)
        self._reached = Path(f'{file}.reached')

    def close(self):
        """Stop the next run."""
        self._reached.unlink(missing_ok=True)
        self.file.touch()

    def open(self):
        """Let the run finish."""
        self.file.unlink(missing_ok=True)

    @property
    def reached(self):
        """Whether a run waits at the gate, or has waited since it was closed."""
        return self._reached.exists()

    def wait(self):
        """Wait until the gate is open; called by the device."""
        while self.file.exists():
            self._reached.touch()
            time.sleep(0.001)


@functools.cache
def open_network(file):
    """The .onnx file in ONNX Runtime, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=['CPUExecutionProvider'])


class Network:
    """The network in an .om file, with what a model description says about it.

    Args:
        variant: the content of the JSON file.

    Attributes:
        variant: the same.
        aipp: the colour order of the uint8 input; None without AIPP.
        dims, sizes, data_type, format: of the inputs and outputs, by 'input' and 'output'.
    """

    def __init__(self, variant):
        self.variant = variant
        session = open_network(variant['onnx'])
        self._input = session.get_inputs()[0].name
        self.batch = variant.get('batch', 1)
        _, channels, *sides = session.get_inputs()[0].shape
        self.aipp = variant.get('aipp')
        dims = (self.batch, *sides, channels) if self.aipp else (self.batch, channels, *sides)
        self.input_dtype = np.dtype(np.uint8 if self.aipp else np.float32)
        outputs = sorted(session.get_outputs(), key=lambda output: -output.shape[-1])
        if variant.get('swapped'):
            outputs.reverse()
        self._names = [output.name for output in outputs]
        self.output_dtype = np.dtype(np.float16 if variant.get('half') else np.float32)
        shapes = [(self.batch, *output.shape[1:]) for output in outputs]
        self.dims = {'input': [dims] * variant.get('inputs', 1), 'output': shapes}
        size = variant.get('input_bytes', int(np.prod(dims)) * self.input_dtype.itemsize)
        itemsize, padding = self.output_dtype.itemsize, variant.get('padding', 0)
        self.sizes = {
            'input': [size] * variant.get('inputs', 1),
            'output': [int(np.prod(shape)) * itemsize + padding for shape in shapes],
        }
        self.data_type = {
            'input': variant.get('input_type', 4 if self.aipp else 0),
            'output': variant.get('output_type', 1 if variant.get('half') else 0),
        }
        self.format = {'input': 1 if self.aipp else 0, 'output': 2}

    def wait(self):
        """Wait at the gate, if there is one."""
        if 'gate' in self.variant:
            Gate(self.variant['gate']).wait()

    @property
    def broken(self):
        """Whether runs fail at present."""
        return 'broken' in self.variant and Path(self.variant['broken']).exists()

    def run(self, data):
        """Compute the bytes of the outputs from the bytes of an input."""
        size = int(np.prod(self.dims['input'][0])) * self.input_dtype.itemsize
        values = np.frombuffer(data[:size].ljust(size, b'\xff'), self.input_dtype)
        values = values.reshape(self.dims['input'][0])
        if self.aipp:
            # ATC's manual: out = (x - min) * var_reci, after the swap of red and blue.
            values = (values.astype(np.float32) - np.float32(127.5)) * np.float32(0.00784313725)
            values = values if self.aipp == 'rgb' else values[..., ::-1]
            values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        outputs = open_network(self.variant['onnx']).run(self._names, {self._input: values})
        return [output.astype(self.output_dtype).tobytes() for output in outputs]
