"""Folders of the official WIDER FACE protocol."""

from __future__ import annotations

from ..wider_folder import make_wider, plain_wider_ap

__all__ = ["make_wider", "plain_wider_ap"]
