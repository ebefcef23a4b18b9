"""Templates as data, their strict schema, and the contract that exported files carry."""

from __future__ import annotations

from .catalogue import find_template, template_names, template_path

__all__ = ["find_template", "template_names", "template_path"]
