"""Export trained weights as model files: one module per format; each file is verified."""

from __future__ import annotations

from .formats import EXPORTERS, ExportPrecision
from .report import ExportedFile, ExportReport
from .run import ExportRequest, export_model

__all__ = [
    "EXPORTERS",
    "ExportPrecision",
    "ExportReport",
    "ExportRequest",
    "ExportedFile",
    "export_model",
]
