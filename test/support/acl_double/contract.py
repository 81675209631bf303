"""The functions of pyACL and their rules."""

#: Return codes.
BAD_VALUE = 100000
NOT_INITIALISED = 100001
INITIALISED_ALREADY = 100002
BAD_DEVICE = 107001
NO_CONTEXT = 107002
OTHER_CONTEXT = 107003
BAD_HANDLE = 107017
TIMED_OUT = 545601

#: The number of devices.
DEVICES = 2

#: The first device address. No process on Linux has memory at such an address, so that a device
#: address never works as an address of the host.
DEVICE_MEMORY = 0x0012_0000_0000_0000

#: Every function: its arguments (i for int, s for str, optional in brackets) and what it returns
#: when it fails: a code; a value and a code; or a value, for functions that return no code. None
#: marks functions that cannot fail.
CODE = 'code'
FUNCTIONS = {
    'init': ('[s]', CODE),
    'finalize': ('', CODE),
    'get_soc_name': ('', None),
    'get_recent_err_msg': ('', None),
    'create_data_buffer': ('ii', 0),
    'destroy_data_buffer': ('i', CODE),
    'rt.set_device': ('i', CODE),
    'rt.reset_device': ('i', CODE),
    'rt.get_device_count': ('', (0, CODE)),
    'rt.get_run_mode': ('', (0, CODE)),
    'rt.create_context': ('i', (0, CODE)),
    'rt.get_context': ('', (0, CODE)),
    'rt.set_context': ('i', CODE),
    'rt.destroy_context': ('i', CODE),
    'rt.create_stream': ('', (0, CODE)),
    'rt.destroy_stream': ('i', CODE),
    'rt.synchronize_stream': ('i', CODE),
    'rt.synchronize_stream_with_timeout': ('ii', CODE),
    'rt.malloc': ('ii', (0, CODE)),
    'rt.free': ('i', CODE),
    'rt.malloc_host': ('i', (0, CODE)),
    'rt.free_host': ('i', CODE),
    'rt.memcpy': ('iiiii', CODE),
    'mdl.load_from_file': ('s', (0, CODE)),
    'mdl.unload': ('i', CODE),
    'mdl.create_desc': ('', 0),
    'mdl.get_desc': ('ii', CODE),
    'mdl.destroy_desc': ('i', CODE),
    'mdl.get_num_inputs': ('i', 0),
    'mdl.get_num_outputs': ('i', 0),
    'mdl.get_input_size_by_index': ('ii', 0),
    'mdl.get_output_size_by_index': ('ii', 0),
    'mdl.get_input_data_type': ('ii', -1),
    'mdl.get_output_data_type': ('ii', -1),
    'mdl.get_input_format': ('ii', -1),
    'mdl.get_output_format': ('ii', -1),
    'mdl.get_input_dims': ('ii', ({}, CODE)),
    'mdl.get_output_dims': ('ii', ({}, CODE)),
    'mdl.get_first_aipp_info': ('ii', (None, CODE)),
    'mdl.create_dataset': ('', 0),
    'mdl.add_dataset_buffer': ('ii', (0, CODE)),
    'mdl.destroy_dataset': ('i', CODE),
    'mdl.execute': ('iii', CODE),
    'mdl.execute_async': ('iiii', CODE),
}
#: The functions that release something. They do so even where a test makes them fail.
RELEASES = {
    'finalize', 'destroy_data_buffer', 'rt.reset_device', 'rt.destroy_context',
    'rt.destroy_stream', 'rt.free', 'rt.free_host', 'mdl.unload', 'mdl.destroy_desc',
    'mdl.destroy_dataset',
}  # fmt: skip
#: The functions that may be called before `init`.
ALWAYS = {'init', 'finalize', 'get_soc_name', 'get_recent_err_msg'}
#: The functions that need a context in the calling thread.
IN_CONTEXT = {
    'rt.get_run_mode', 'rt.create_stream', 'rt.destroy_stream', 'rt.malloc', 'rt.free',
    'rt.malloc_host', 'rt.free_host', 'rt.memcpy', 'rt.synchronize_stream',
    'rt.synchronize_stream_with_timeout', 'mdl.load_from_file', 'mdl.unload', 'mdl.execute',
    'mdl.execute_async',
}  # fmt: skip


class RefusedError(Exception):
    """A call that fails with a code."""

    def __init__(self, code):
        self.code = code
