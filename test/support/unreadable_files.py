"""Files that cannot be read, whatever is expected in them, and the reason."""

import os

#: Names in a folder that `make_unreadable_files` has filled, and what an error says of them.
UNREADABLE_FILES = [
    ('missing', 'does not exist'),
    ('', 'it is a folder'),
    ('file/x', 'Not a directory'),
    ('x' * 300, 'File name too long'),
    ('/dev/zero', 'a device or a pipe'),
    ('pipe', 'a device or a pipe'),
    ('endless', 'more than the'),
]


def make_unreadable_files(folder):
    """Make what `UNREADABLE_FILES` names, and the file 'file' with one letter in it."""
    (folder / 'file').write_text('x')
    os.mkfifo(folder / 'pipe')
    with (folder / 'endless').open('wb') as stream:
        stream.truncate(2**40)  # takes no space
