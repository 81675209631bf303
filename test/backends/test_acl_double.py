"""The double of `acl` records every breach of the contract of pyACL."""

import threading

import numpy as np
import pytest
from acl_double import DEVICE_MEMORY, Gate, Simulation, write_om
from ascend_support import wait_until
from shared import ROOT

pytestmark = pytest.mark.onnxruntime


@pytest.fixture
def om(tmp_path):
    return write_om(tmp_path / 'back.om', ROOT / 'weights' / 'blazeface_back.onnx')


class Program:
    """A program that keeps the contract until a test breaks it."""

    def __init__(self, om, **machine):
        self.simulation = Simulation(**machine)
        self.acl = acl = self.simulation.module
        acl.init()
        acl.rt.set_device(0)
        self.context, _ = acl.rt.create_context(0)
        self.stream, _ = acl.rt.create_stream()
        self.model, _ = acl.mdl.load_from_file(str(om))
        self.desc = acl.mdl.create_desc()
        acl.mdl.get_desc(self.desc, self.model)
        size = acl.mdl.get_input_size_by_index(self.desc, 0)
        self.array = np.zeros(size, np.uint8)
        self.host = self.array.ctypes.data
        self.inputs, self.memory, self.buffer = self.dataset(size)
        sizes = [acl.mdl.get_output_size_by_index(self.desc, i) for i in range(2)]
        self.outputs, self.result, _ = self.dataset(*sizes)
        assert self.simulation.violations == []

    def dataset(self, *sizes):
        dataset = self.acl.mdl.create_dataset()
        for size in sizes:
            memory, _ = self.acl.rt.malloc(size, 0)
            buffer = self.acl.create_data_buffer(memory, size)
            self.acl.mdl.add_dataset_buffer(dataset, buffer)
        return dataset, memory, buffer

    def submit(self, inputs=None):
        return self.acl.mdl.execute_async(
            self.model, inputs or self.inputs, self.outputs, self.stream
        )

    def elsewhere(self, function):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()


def free_twice(p):
    memory, _ = p.acl.rt.malloc(64, 0)
    p.acl.rt.free(memory)
    p.acl.rt.free(memory)


def before_init(p):
    p.simulation = Simulation()
    p.simulation.module.rt.malloc(8, 0)


def second_stream(p):
    p.submit()
    other, _ = p.acl.rt.create_stream()
    p.acl.mdl.execute_async(p.model, p.inputs, p.outputs, other)


def second_context(p):
    p.acl.rt.create_context(0)
    p.submit()


def mixed_up_host_memory(p):
    memory, _ = p.acl.rt.malloc_host(64)
    p.acl.rt.free(memory)


BREACHES = {
    'before init': before_init,
    'no context in this thread': lambda p: p.elsewhere(lambda: p.acl.rt.malloc(64, 0)),
    'a context that was destroyed': lambda p: p.acl.rt.set_context(0xDEAD),
    'another context': second_context,
    'a context destroyed before its stream': lambda p: p.acl.rt.destroy_context(p.context),
    'device reset too early': lambda p: p.acl.rt.reset_device(0),
    'device reset, never set': lambda p: p.acl.rt.reset_device(1),
    'free twice': free_twice,
    'free_host for malloc': lambda p: p.acl.rt.free_host(p.memory),
    'free for malloc_host': mixed_up_host_memory,
    'malloc of nothing': lambda p: p.acl.rt.malloc(0, 0),
    'host to device, wrong kind': lambda p: p.acl.rt.memcpy(p.memory, 64, p.host, 64, 2),
    'device address as the host': lambda p: p.acl.rt.memcpy(p.result, 64, p.memory, 64, 1),
    'host address as the device': lambda p: p.acl.rt.memcpy(p.host, 64, p.host, 64, 1),
    'more than the target': lambda p: p.acl.rt.memcpy(p.memory, 64, p.host, 128, 1),
    'more than was allocated': lambda p: p.acl.rt.memcpy(p.memory, 2**30, p.host, 786433, 1),
    'wild host address': lambda p: p.acl.rt.memcpy(p.memory, 64, 4096, 64, 1),
    'wild device address': lambda p: p.acl.rt.memcpy(DEVICE_MEMORY, 64, p.host, 64, 1),
    'buffer larger than its memory': lambda p: p.acl.create_data_buffer(p.memory, 2**30),
    'buffer destroyed twice': lambda p: [p.acl.destroy_data_buffer(p.buffer) for _ in 'ab'],
    'execute with a destroyed buffer': lambda p: p.acl.destroy_data_buffer(p.buffer) or p.submit(),
    'execute with freed memory': lambda p: p.acl.rt.free(p.memory) or p.submit(),
    'input too small': lambda p: p.submit(p.dataset(786400)[0]),
    'too few inputs': lambda p: p.submit(p.acl.mdl.create_dataset()),
    'a model twice at once': lambda p: p.submit() or p.submit(),
    'a model on two streams': second_stream,
    'input renewed while it runs': (
        lambda p: p.submit() or p.acl.rt.memcpy(p.memory, 64, p.host, 64, 1)
    ),
    'output read while it runs': (
        lambda p: p.submit() or p.acl.rt.memcpy(p.host, 64, p.result, 64, 2)
    ),
    'unloaded while it runs': lambda p: p.submit() or p.acl.mdl.unload(p.model),
    'memory freed while it runs': lambda p: p.submit() or p.acl.rt.free(p.memory),
    'unloaded twice': lambda p: [p.acl.mdl.unload(p.model) for _ in 'ab'],
    'empty description': lambda p: p.acl.mdl.get_num_inputs(p.acl.mdl.create_desc()),
    'no such output': lambda p: p.acl.mdl.get_output_dims(p.desc, 2),
    'finalize with things not released': lambda p: p.acl.finalize(),
    'finalize twice': lambda p: [p.acl.finalize() for _ in 'ab'],
    'init after finalize': lambda p: p.acl.finalize() or p.acl.init(),
}


@pytest.mark.parametrize('breach', BREACHES.values(), ids=BREACHES)
def test_a_breach_of_the_contract_is_recorded(om, breach):
    program = Program(om)
    breach(program)
    assert program.simulation.violations


@pytest.mark.parametrize(
    'wrong',
    [
        lambda p: p.acl.rt.malloc(np.int64(64), 0),
        lambda p: p.acl.rt.free(None),
        lambda p: p.acl.rt.free(-1),
        lambda p: p.acl.rt.malloc(64),
        lambda p: p.acl.mdl.load_from_file(ROOT),
        lambda p: p.acl.finalize(0),
    ],
)
def test_wrong_arguments_raise_and_are_recorded(om, wrong):
    program = Program(om)
    with pytest.raises(TypeError):
        wrong(program)
    assert program.simulation.violations


def test_only_copies_within_the_device_are_right_where_it_has_all_memory(om):
    program = Program(om, run_mode=0)
    assert program.acl.rt.memcpy(program.memory, 64, program.host, 64, 3) == 0
    assert program.simulation.violations == []
    assert program.acl.rt.memcpy(program.memory, 64, program.host, 64, 1) != 0
    assert program.simulation.violations


def test_a_larger_input_is_refused(om):
    program = Program(om)
    assert program.submit(program.dataset(786464)[0]) == 145000


def test_new_memory_is_nan_and_results_are_there_only_after_waiting(om):
    program = Program(om)
    acl, result = program.acl, np.zeros(896, np.float32)
    acl.rt.memcpy(program.memory, 786432, program.host, 786432, 1)

    def fetch():
        acl.rt.memcpy(result.ctypes.data, 3584, program.result, 3584, 2)
        return result

    assert np.isnan(fetch()).all()
    assert program.submit() == 0
    assert acl.rt.synchronize_stream(program.stream) == 0
    assert np.isfinite(fetch()).all()
    assert program.simulation.violations == []


def test_a_gate_stops_a_run_until_it_is_opened(tmp_path):
    gate = Gate(tmp_path / 'gate')
    onnx = ROOT / 'weights' / 'blazeface_back.onnx'
    program = Program(write_om(tmp_path / 'back.om', onnx, gate=gate.file))
    ends = []

    def work():
        program.acl.rt.set_context(program.context)
        assert program.submit() == 0
        ends.append(program.acl.rt.synchronize_stream(program.stream))

    gate.close()
    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: gate.reached)
    assert ends == []
    gate.open()
    thread.join()
    assert ends == [0]
    assert program.simulation.violations == []


def test_runs_fail_while_the_model_is_broken(tmp_path):
    broken = tmp_path / 'broken'
    onnx = ROOT / 'weights' / 'blazeface_back.onnx'
    program = Program(write_om(tmp_path / 'back.om', onnx, broken=broken))
    for wanted in (0, 507011, 0):
        if wanted:
            broken.touch()
        else:
            broken.unlink(missing_ok=True)
        assert program.submit() == 0
        assert program.acl.rt.synchronize_stream(program.stream) == wanted


def test_a_run_that_fails_is_reported_when_it_is_waited_for(om):
    program = Program(om)
    program.simulation.fail('execution', 507011)
    assert program.submit() == 0
    assert program.acl.rt.synchronize_stream(program.stream) == 507011


def test_init_twice_is_harmless(om):
    program = Program(om)
    assert program.acl.init() == 100002
    assert program.simulation.violations == []


def test_the_ledger_counts_what_is_not_released(om):
    assert Program(om).simulation.ledger == {
        'Device': 1, 'Context': 1, 'Stream': 1, 'LoadedModel': 1, 'Description': 1,
        'Dataset': 2, 'Memory': 3, 'Buffer': 3,
    }  # fmt: skip
