"""The documentation site. Build it with `sphinx-build -W --keep-going -n docs build/site`."""

import inspect
import pathlib
import re
import shutil
import sys

# The pages describe the checkout, not an installed version.
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import jlstm

project = "jlstm"
author = "The jlstm authors"
copyright = author
version = release = jlstm.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx-mathjax-offline",  # formulas are drawn without a network
    "sphinx_copybutton",
]

# Pages
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are shown with the outputs that they hold
NOTEBOOKS = pathlib.Path(__file__).parent.parent / "notebooks"

# Links in the sources lead to files of the checkout, so that they work where the checkout is read.
# The site has pages for some of these files.
PAGES = {
    r"(?:\.\./)?SECURITY\.md": "security.md",
    r"(?:\.\./)?CHANGELOG\.md": "changelog.md",
    r"(?:\.\./)?CONTRIBUTING\.md": "workflow.md",
    r"\.\./benchmarks/(?=\w+\.md)": "benchmarks/",
    r"\.\./docs/": "../",
    r"docs/": "",
    r"\.\./configs/": "../../configs/",  # from benchmarks/
    r"training\.jsonl": "../../benchmarks/training.jsonl",
    "LICENSE": "../LICENSE",
    r"(\w+)\.ipynb\)": r"notebooks/\1.ipynb)",  # from notebooks/
    r"(\w+)\.py\)": r"#\1py)",  # from examples/, whose programs are sections of one page
}


def copy_notebooks(app):
    """Brings the notebooks to the pages: Sphinx reads what lies below docs/ only."""
    folder = pathlib.Path(app.srcdir) / "notebooks"
    folder.mkdir(exist_ok=True)
    sources = {path.name: path for path in NOTEBOOKS.glob("*.ipynb")}
    for copy in folder.iterdir():
        if copy.name not in sources:
            copy.unlink()
    for name, source in sources.items():
        shutil.copy2(source, folder / name)  # with its time, so that Sphinx sees what changed


def link_to_pages(app, name, *arguments):
    """Replaces links to files of the checkout by links to the site's own pages."""
    *_, text = arguments
    for file, page in PAGES.items():
        text[0] = re.sub(rf"\]\({file}", f"]({page}", text[0])


# Reference. Docstrings give shapes and dtypes, which annotations cannot.
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_attr_annotations = False
napoleon_custom_sections = [("Attributes", "params_style")]
napoleon_use_param = False  # entries such as "c, h: ..." have several names
napoleon_use_rtype = False
default_role = "code"
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other packages have no pages here


def escape_shapes(app, what, name, value, options, lines):
    """Keeps reStructuredText from reading the stars of shapes such as [*batch, H] as emphasis."""
    for n, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[n] = re.sub(r"(?<![`\w*])\*(?=\w)", r"\\*", line)


def keep_colons(app, what, name, value, options, lines):
    """Keeps napoleon from reading the words before a colon in "Returns" as a type."""
    for n, line in enumerate(lines[:-1]):
        if line.strip() == "Returns:" and ":" in lines[n + 1]:
            indent = re.match(" *", lines[n + 1])[0]
            lines[n + 1] = f"{indent}: {lines[n + 1].strip()}"  # an empty type


def tidy_signature(app, what, name, value, options, signature, result):
    """Shows the arguments of modules: without linen's own fields, and those that nnx hides."""
    if signature == "(*args, **kwargs)":
        own = inspect.signature(value.__init__)
        bare = [p.replace(annotation=p.empty) for n, p in own.parameters.items() if n != "self"]
        signature = str(own.replace(parameters=bare, return_annotation=own.empty))
    signature = re.sub(r", parent=<.*", ")", signature or "")
    signature = signature.replace("<class 'jax.numpy.float32'>", "jax.numpy.float32")
    signature = signature.replace("mappingproxy({})", "{}")
    return signature or None, result


def setup(app):
    """Connects the changes of sources to the places where Sphinx reads them."""
    app.connect("builder-inited", copy_notebooks)
    app.connect("source-read", link_to_pages)
    app.connect("include-read", link_to_pages)
    app.connect("autodoc-process-docstring", escape_shapes, priority=100)
    app.connect("autodoc-process-docstring", keep_colons, priority=100)
    app.connect("autodoc-process-signature", tidy_signature)


# Appearance
html_theme = "sphinx_book_theme"
html_title = "jlstm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
}
