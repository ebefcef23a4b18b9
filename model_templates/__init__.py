"""Templates, their strict schema, and the contract in exported files."""

from __future__ import annotations

from .catalogue import find_template, template_names, template_path

__all__ = ["find_template", "template_names", "template_path"]
