"""A real network with moods, as a file: BlazeFace that hangs on white pictures and fails on black.

The shipped back network with a few operators added: pictures brighter than any photograph send it
through seconds of matrix products, darker ones make it look up what is not there. All others it
answers as ever.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from blazeface_ros.models.catalogue import find_model

SIZE = 1024


def write_moody_network(file, products=400):
    """Write it. `products` is how many matrix products a white picture costs, some 10 ms each."""
    model = onnx.load(find_model('back')[1])
    graph = model.graph
    for node in graph.node:
        node.output[:] = ['calm_logits' if name == 'logits' else name for name in node.output]

    def constant(name, values, dtype):
        graph.initializer.append(numpy_helper.from_array(np.asarray(values, dtype), name))

    constant('bright', 0.9, np.float32)
    constant('dark', -0.9, np.float32)
    constant('products', products, np.int64)
    constant('nowhere', [7], np.int64)
    constant('nothing', [0], np.float32)
    constant('matrix', np.zeros((SIZE, SIZE)), np.float32)
    body = helper.make_graph(
        [
            helper.make_node('MatMul', ['before', 'matrix'], ['after']),
            helper.make_node('Identity', ['going'], ['still_going']),
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
            helper.make_node('ReduceMean', ['input'], ['mood'], keepdims=0),
            helper.make_node('Greater', ['mood', 'bright'], ['is_white']),
            helper.make_node('Cast', ['is_white'], ['white'], to=TensorProto.INT64),
            helper.make_node('Mul', ['white', 'products'], ['rounds']),
            helper.make_node('Loop', ['rounds', '', 'matrix'], ['labour'], body=body),
            helper.make_node('ReduceMax', ['labour'], ['effort'], keepdims=0),
            helper.make_node('Less', ['mood', 'dark'], ['is_black']),
            helper.make_node('Cast', ['is_black'], ['black'], to=TensorProto.INT64),
            helper.make_node('Mul', ['black', 'nowhere'], ['place']),
            helper.make_node('Gather', ['nothing', 'place'], ['looked_up']),
            helper.make_node('Add', ['looked_up', 'effort'], ['zero']),
            helper.make_node('Add', ['calm_logits', 'zero'], ['logits']),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, file)
