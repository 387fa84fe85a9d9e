"""Builds the documentation: `make docs`. The page of settings is made from the schema."""

from __future__ import annotations

from pathlib import Path

from trainkit import __version__
from trainkit.cli.document import settings_page

project = "trainkit"
release = __version__
author = "The trainkit authors"

extensions = ["myst_parser"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_copyright = False
html_title = f"trainkit {release}"
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]

Path(__file__).with_name("settings.md").write_text(settings_page())
