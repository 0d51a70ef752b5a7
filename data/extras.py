"""Optional dependencies: imported when used, named with their install command when absent."""

import importlib
from typing import Any

from jsf.data.errors import JsfError


def require(module: str, extra: str) -> Any:
    """Imports `module`, or raises JsfError naming the extra of jsf that provides it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise JsfError(
            f"this needs the Python package '{module.split('.')[0]}', which could not be imported ({error}).",
            f"Install it with, in the folder of jsf's sources: pip install '.[{extra}]'",
        ) from error
