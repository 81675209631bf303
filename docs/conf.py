"""Configuration of Sphinx, which makes one site of the Markdown files and the docstrings.

`make docs` builds it. The sources start at the root of the repository, so that a link between two
files is the same on GitHub and in the site.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import blazeface_ros  # noqa: E402 - it is found in the folder above
from blazeface_ros.core.settings import DetectionSettings, declarations  # noqa: E402

#: napoleon's functions have Sphinx's default priority, 500.
BEFORE_NAPOLEON = 400
#: `npt.NDArray[np.float32]` as Sphinx writes it.
ARRAY = re.compile(
    r'~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(\w+)\]\]'
)

project = 'blazeface_ros'
version = release = blazeface_ros.__version__
project_copyright = '2026, the blazeface_ros maintainers'

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
root_doc = 'docs/index'
include_patterns = ['*.md', 'CHANGELOG.rst', 'docs/*.md', 'docs/*.rst']
# Other people's pages in environments and build folders are not looked at.
exclude_patterns = ['.[a-z]*', 'build', 'install', 'log', 'demo_output', 'test', 'tools']

myst_heading_anchors = 3  # as on GitHub, headings can be linked to

# ROS need not be installed.
autodoc_mock_imports = ['rclpy', 'std_msgs', 'vision_msgs']
autodoc_type_aliases = {'npt.ArrayLike': 'npt.ArrayLike'}
autodoc_member_order = 'bysource'
default_role = 'py:obj'  # `FaceDetector` in a docstring is a link
napoleon_attr_annotations = False  # docstrings tell shapes and units
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

html_theme = 'furo'
html_title = f'blazeface_ros {release}'
html_copy_source = False
html_extra_path = ['redirect']  # the site's own index.html leads to the index of the pages


def keep_text_whole(app, what, name, obj, options, lines):
    """Keep napoleon from taking text before a colon for a type: our types are annotations."""
    if what in ('attribute', 'data', 'property'):
        lines[:0] = ['..', '']  # a comment that napoleon reads in its place
    lines[:] = [':returns:' if line == 'Returns:' else line for line in lines]


def describe_settings(app, what, name, obj, options, lines):
    """Add to the docstring of a class of settings what its own fields mean."""
    if what == 'class' and issubclass(obj, DetectionSettings):
        for field, declaration in declarations(obj).items():
            if field in obj.__annotations__:
                text = f'{declaration.description} Default: {declaration.default!r}.'
                lines.extend([f':ivar {field}: {text}', ''])


def shorten_types(app, what, name, obj, options, signature, returns):
    """Write types of arrays as the sources do; a default that Sphinx cannot read becomes `...`."""
    texts = (text and ARRAY.sub(r'NDArray[\1]', text) for text in (signature, returns))
    return tuple(text and text.replace('<factory>', '...') for text in texts)


def setup(app):
    """Called by Sphinx."""
    app.connect('autodoc-process-docstring', keep_text_whole, priority=BEFORE_NAPOLEON)
    app.connect('autodoc-process-docstring', describe_settings)
    app.connect('autodoc-process-signature', shorten_types)
