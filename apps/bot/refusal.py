"""What a user is told instead of getting a picture."""

from __future__ import annotations

from .texts import Text


class Refusal(Exception):
    """Nothing comes back; the user is told why.

    Args:
        text: What the user is told.
    """

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self.text: Text = text
