"""Core ML files executed without Apple's frameworks, from their specification.

It checks what a file means: every layer, operation and attribute is computed as Apple's
specification (coremltools/mlmodel/format, the MIL operation documents) says, in FP32, with each
result rounded to FP16 where a program types it so. It does not show the Neural Engine's own
arithmetic, nor its speed. What it does not know it refuses by name.
"""

from .model import Function, function_of

__all__ = ["Function", "function_of"]
