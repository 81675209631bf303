"""The functions of `acl.mdl`: models, their descriptions, and their runs."""

import json

from acl_double.contract import BAD_VALUE, RefusedError
from acl_double.handles import Buffer, Dataset, Description, LoadedModel, Stream, Task
from acl_double.om_file import Network
from acl_double.runtime_calls import RuntimeCalls


class ModelCalls(RuntimeCalls):
    """The functions of `acl.mdl`."""

    def _mdl_load_from_file(self, file):
        try:
            with open(file) as text:
                variant = json.load(text)
        except OSError:
            raise RefusedError(145002) from None
        except ValueError:
            raise RefusedError(145000) from None
        if variant.get('chip', self.chip) != self.chip:
            raise RefusedError(500002)
        return self._new(LoadedModel(self._context(), Network(variant)), next(self._numbers))

    def _mdl_unload(self, handle):
        model = self._get(handle, LoadedModel)
        self._check_context(model.context, 'the model')
        if any(task.model == handle for task in self._tasks()):
            self.violations.append('a model is unloaded while it runs')
        self._end(handle, LoadedModel)

    # Descriptions

    def _mdl_create_desc(self):
        return self._new(Description())

    def _mdl_get_desc(self, description, model):
        self._get(description, Description).network = self._get(model, LoadedModel).network

    def _mdl_destroy_desc(self, handle):
        self._end(handle, Description)

    def _network(self, description):
        network = self._get(description, Description).network
        if network is None:
            self._violate('a description that is empty is read', BAD_VALUE)
        return network

    def _described(self, description, index, what, way):
        values = getattr(self._network(description), what)[way]
        if isinstance(values, int):
            return values
        if index >= len(values):
            self._violate(f'{way} {index} of {len(values)}', BAD_VALUE)
        return values[index]

    def _mdl_get_num_inputs(self, description):
        return len(self._network(description).dims['input'])

    def _mdl_get_num_outputs(self, description):
        return len(self._network(description).dims['output'])

    def _mdl_get_input_size_by_index(self, description, index):
        return self._described(description, index, 'sizes', 'input')

    def _mdl_get_output_size_by_index(self, description, index):
        return self._described(description, index, 'sizes', 'output')

    def _mdl_get_input_data_type(self, description, index):
        return self._described(description, index, 'data_type', 'input')

    def _mdl_get_output_data_type(self, description, index):
        return self._described(description, index, 'data_type', 'output')

    def _mdl_get_input_format(self, description, index):
        return self._described(description, index, 'format', 'input')

    def _mdl_get_output_format(self, description, index):
        return self._described(description, index, 'format', 'output')

    def _mdl_get_input_dims(self, description, index):
        return self._dims(description, index, 'input')

    def _mdl_get_output_dims(self, description, index):
        return self._dims(description, index, 'output')

    def _dims(self, description, index, way):
        dims = [*self._described(description, index, 'dims', way)]
        return {'name': f'{way}_{index}', 'dimCount': len(dims), 'dims': dims}

    def _mdl_get_first_aipp_info(self, model, index):
        network = self._get(model, LoadedModel).network
        if not network.aipp or index:
            raise RefusedError(100038)
        return {'rbuvSwapSwitch': int(network.aipp == 'bgr')}

    # Datasets and runs

    def _mdl_create_dataset(self):
        return self._new(Dataset())

    def _mdl_add_dataset_buffer(self, dataset, buffer):
        self._get(dataset, Dataset).buffers.append(self._get(buffer, Buffer))
        return dataset

    def _mdl_destroy_dataset(self, handle):
        self._check_unused(self._get(handle, Dataset).buffers, 'a dataset is destroyed')
        self._end(handle, Dataset)

    def _mdl_execute(self, model, inputs, outputs):
        stream = self._rt_create_stream()
        self._mdl_execute_async(model, inputs, outputs, stream)
        try:
            self._synchronise(stream)
        finally:
            self._end(stream, Stream)

    def _mdl_execute_async(self, handle, inputs, outputs, stream_handle):
        model = self._get(handle, LoadedModel)
        stream = self._get(stream_handle, Stream)
        self._check_context(model.context, 'the model')
        self._check_context(stream.context, 'the stream')
        if any(task.model == handle for task in self._tasks()):
            self._violate('a model runs twice at the same time', BAD_VALUE)
        sets = {'input': inputs, 'output': outputs}
        for way, dataset in sets.items():
            sets[way] = buffers = list(self._get(dataset, Dataset).buffers)
            sizes = model.network.sizes[way]
            if len(buffers) != len(sizes):
                self._violate(f'{len(buffers)} {way} buffers for {len(sizes)}', BAD_VALUE)
            for buffer, size in zip(buffers, sizes):
                if not any(buffer is known for known in self._all(Buffer)):
                    self._violate(f'an {way} buffer was destroyed', BAD_VALUE)
                self._bytes_of(buffer)
                if buffer.size > size and way == 'input':
                    raise RefusedError(145000)
                if buffer.size < size:
                    # A board accepts such an input without an error.
                    self.violations.append(f'{way} of {buffer.size} bytes where {size} are wanted')
        code = self._named_fault('execution') or (507011 if model.network.broken else 0)
        stream.tasks.append(Task(handle, sets['input'], sets['output'], code))
