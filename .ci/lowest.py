"""Print the oldest version of everything that pyproject.toml lets users install, as constraints."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for needed in (project["dependencies"], *project["optional-dependencies"].values()):
    for requirement in needed:
        print(re.sub(r"^([\w-]+)>=([\d.]+)", r"\1==\2", requirement))
