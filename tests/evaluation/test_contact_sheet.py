"""Pictures of any shape in one."""

from __future__ import annotations

import numpy as np

from pocketface.evaluation.contact_sheet import contact_sheet


def test_pictures_keep_their_shape_and_order() -> None:
    wide = np.full((10, 40, 3), 250, np.uint8)
    high = np.full((200, 50, 3), 90, np.uint8)
    sheet = contact_sheet([wide, high, wide], columns=2, side=80)
    assert sheet.shape == (160, 160, 3)
    expected = np.zeros((160, 160), np.uint8)
    expected[30:50, :80] = expected[110:130, :80] = 250
    expected[:80, 110:130] = 90
    assert (sheet == expected[..., None]).all()


def test_captions_have_rows_of_their_own() -> None:
    picture = np.full((140, 140, 3), 90, np.uint8)
    sheet = contact_sheet([picture], ["a name"])
    assert (sheet[18:, :140] == 90).all()
    assert 0 < np.count_nonzero(sheet[:18, :140].max(axis=2)) < 18 * 140 / 2
    assert not sheet[:, 140:].any()
