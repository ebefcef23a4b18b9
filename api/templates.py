"""`pocketface.templates`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..apps.template_table import TemplateRow


def templates() -> list[TemplateRow]:
    """The templates in the package, with their sizes and measured figures.

    Returns:
        A row for each, by name. `row.template.name` is what `load`, `train`, `export` and the
        others take.
    """
    from ..apps.template_table import template_rows

    return template_rows()
