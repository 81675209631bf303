"""A real network that hangs on white pictures and fails on black ones, as a file.

It is the shipped network `back` with some operators more. A picture that is brighter than any
photograph makes it multiply matrices in a loop, until the test ends the hang. A picture that is
darker than any photograph makes it look up an element that does not exist. All other pictures have
the outputs of `back`.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from blazeface_ros.models.catalogue import find_model

SIZE = 1024
#: The number of matrix products that never ends within a test.
ENDLESS = 10**9
#: The number of values in the file of the switch. ONNX Runtime copies small constants instead of
#: mapping their files into memory.
SWITCH_VALUES = 4096


def write_moody_network(file, products=ENDLESS):
    """Write the network. White pictures hang until `end_hang` is called.

    Args:
        file: the .onnx file to write. A second file beside it is the switch that ends the hang.
        products: the largest number of matrix products that a white picture takes, each of 1024 x
            1024 values. By default the hang does not end by itself.
    """
    model = onnx.load(find_model('back')[1])
    graph = model.graph
    for node in graph.node:
        node.output[:] = ['back_logits' if name == 'logits' else name for name in node.output]

    def constant(name, values, dtype):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), name))

    constant('bright', 0.9, np.float32)
    constant('dark', -0.9, np.float32)
    constant('half', 0.5, np.float32)
    constant('products', products, np.int64)
    constant('nowhere', [7], np.int64)
    constant('nothing', [0], np.float32)
    constant('matrix', np.zeros((SIZE, SIZE)), np.float32)
    graph.initializer.append(_switch(file))
    start_hang(file)
    body = helper.make_graph(
        [
            helper.make_node('MatMul', ['before', 'matrix'], ['after']),
            # Without a sum with a value of the loop, ONNX Runtime would read the switch only once.
            helper.make_node('ReduceMax', ['after'], ['zero'], keepdims=0),
            helper.make_node('Add', ['switch', 'zero'], ['current_switch']),
            helper.make_node('ReduceMax', ['current_switch'], ['position'], keepdims=0),
            helper.make_node('Greater', ['position', 'half'], ['still_going']),
        ],
        'product',
        [
            helper.make_tensor_value_info('i', TensorProto.INT64, []),
            helper.make_tensor_value_info('going', TensorProto.BOOL, []),
            helper.make_tensor_value_info('before', TensorProto.FLOAT, [SIZE, SIZE]),
        ],
        [
            helper.make_tensor_value_info('still_going', TensorProto.BOOL, []),
            helper.make_tensor_value_info('after', TensorProto.FLOAT, [SIZE, SIZE]),
        ],
    )
    graph.node.extend(
        [
            helper.make_node('ReduceMean', ['input'], ['brightness'], keepdims=0),
            helper.make_node('Greater', ['brightness', 'bright'], ['is_white']),
            helper.make_node('Cast', ['is_white'], ['white'], to=TensorProto.INT64),
            helper.make_node('Mul', ['white', 'products'], ['rounds']),
            helper.make_node('Loop', ['rounds', '', 'matrix'], ['product'], body=body),
            helper.make_node('ReduceMax', ['product'], ['largest'], keepdims=0),
            helper.make_node('Less', ['brightness', 'dark'], ['is_black']),
            helper.make_node('Cast', ['is_black'], ['black'], to=TensorProto.INT64),
            helper.make_node('Mul', ['black', 'nowhere'], ['place']),
            helper.make_node('Gather', ['nothing', 'place'], ['looked_up']),
            helper.make_node('Add', ['looked_up', 'largest'], ['nil']),
            helper.make_node('Add', ['back_logits', 'nil'], ['logits']),
        ]
    )
    onnx.save(model, file)
    onnx.checker.check_model(str(file))


def start_hang(file):
    """Make white pictures hang, from now on."""
    _write_switch(file, 1)


def end_hang(file):
    """End the hang of a white picture, in any process. From now on no picture hangs."""
    _write_switch(file, 0)


def _write_switch(file, position):
    # ONNX Runtime maps the file into memory, so that a running loop reads what is written here. The
    # file must keep its size, as the memory beyond its end is gone.
    switch_file = _switch_file(file)
    switch_file.touch()
    with switch_file.open('r+b') as switch:
        switch.write(np.full(SWITCH_VALUES, position, np.float32).tobytes())


def _switch_file(file):
    return Path(f'{file}.switch')


def _switch(file):
    """The constant that is the content of the switch's file."""
    switch = TensorProto(name='switch', data_type=TensorProto.FLOAT, dims=[SWITCH_VALUES])
    switch.data_location = TensorProto.EXTERNAL
    for key, value in (('location', _switch_file(file).name), ('length', 4 * SWITCH_VALUES)):
        switch.external_data.add(key=key, value=str(value))
    return switch
