"""The commented configuration file that `oms-sync init` writes."""

from importlib import resources
from pathlib import Path

_MODE = 0o600  # an operator may write secrets into it


def template_text() -> str:
    """The file's text; it passes `oms-sync check` as it is."""
    file = resources.files("oms_sync.runtime").joinpath("config_template.yaml")
    return file.read_text(encoding="utf-8")


def write_template(path: Path) -> None:
    """Write it, readable by its owner alone; raises FileExistsError rather than replace a file."""
    path.touch(mode=_MODE, exist_ok=False)
    path.write_text(template_text(), encoding="utf-8")
