"""Where things lie that are neither the corpus's nor the caller's."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

__all__ = ["home", "resource"]


def resource(name: str) -> Path:
    """A file or folder that ships with the toolkit: `schemas`, `annotations/communique`, …

    In a wheel these lie in the package; in a clone they lie beside it.
    """
    packaged = Path(str(resources.files("toolkit"))) / "data" / name
    return packaged if packaged.exists() else Path(__file__).parents[2] / name


def home() -> Path:
    """The private folder for servers and secrets: `TOOLKIT_HOME`, else the platform's data folder."""
    chosen = os.environ.get("TOOLKIT_HOME")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("toolkit", appauthor=False))
