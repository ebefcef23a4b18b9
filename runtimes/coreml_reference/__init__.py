"""Run Core ML files without Apple's frameworks, by their specification.

It checks what a file computes: every layer, operation and attribute follows Apple's specification
(coremltools/mlmodel/format, the MIL operation documents), in FP32, with results rounded to FP16
where a program types them so. It does not show the Neural Engine's own arithmetic or speed.
Unknown layers and settings are refused by name.
"""

from .model import Function, function_of

__all__ = ["Function", "function_of"]
