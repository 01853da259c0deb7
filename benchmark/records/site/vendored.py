"""The libraries that the board's pages use, taken from installed packages and written beside them.

Vega, Vega-Lite and vega-embed come from vl-convert, DataTables from itables: both carry their JavaScript inside the
wheel, so nothing is fetched, neither when the site is built nor when it is read.
"""

from __future__ import annotations

import re
from importlib import resources

from benchmark.types import ExitbenchError

_EXPORT = re.compile(r"export\s*\{([^{}]*)\};?")


def scripts() -> dict[str, str]:
    """File name -> content of the libraries' scripts and styles.

    Raises:
        ExitbenchError: the extra is not installed, or a library has another layout than the one known here.
    """
    try:
        import itables
        import vl_convert
    except ImportError as error:
        raise ExitbenchError(f"site: needs {error.name}; pip install 'exitbench[site]'") from error
    html = resources.files(itables) / "html"
    return {
        "vega.js": f"(() => {{\n{vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;')}\n}})();\n",
        "datatables.js": as_classic_script((html / "dt_bundle.js").read_text(encoding="utf-8"), "DataTable"),
        "datatables.css": (html / "dt_bundle.css").read_text(encoding="utf-8"),
    }


def as_classic_script(module: str, name: str) -> str:
    """An ES module as a plain script that sets `window.<name>` to its default export.

    Browsers refuse to import modules from `file:` addresses, and the board is opened from a file.
    """
    found = list(_EXPORT.finditer(module))
    defaults = re.findall(r"([\w$]+) as default", found[-1][1]) if found else []
    if len(defaults) != 1:
        raise ExitbenchError("site: expected one default export in itables' bundle; try another version of itables")
    start, end = found[-1].span()
    return f"(() => {{\n{module[:start]}window.{name} = {defaults[0]};\n{module[end:]}\n}})();\n"
