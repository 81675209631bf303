"""`blazeface parity` notices an .om file whose weights are slightly wrong."""

import re

import numpy as np
import onnx
import pytest
from ascend_support import BACK, assert_clean, run_on_double

pytest_plugins = ['ascend_fixtures']
pytestmark = [pytest.mark.torch, pytest.mark.onnxruntime]


def test_parity_notices_one_layer_with_weights_2_percent_off(om, tmp_path):
    network = onnx.load(BACK)
    weights = next(w for w in network.graph.initializer if len(w.dims) == 4)
    values = onnx.numpy_helper.to_array(weights) * np.float32(1.02)
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(network, tmp_path / 'damaged.onnx')
    ended = run_on_double(tmp_path / 'report.json', 'parity', '--om', om(tmp_path / 'damaged.onnx'))
    assert ended.returncode == 1
    assert re.search('pictures +logits .* above', ended.stdout)
    assert re.search('of score apart, above the tolerance', ended.stdout)
    assert_clean(tmp_path / 'report.json')
