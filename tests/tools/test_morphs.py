"""Faces of nobody: mixed of two faces of a list, and bent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.data.identities import read_identities
from pocketface.data.landmark_geometry import ARCFACE_POINTS
from pocketface.tools import morphs


def test_a_list_of_mixtures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = []
    for name, grey in (("dark", 60), ("light", 180)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((112, 112, 3), grey, np.uint8))
        points = np.asarray(ARCFACE_POINTS).tolist()
        photos.append({"image": f"{name}.png", "person": name, "landmarks": points})
    photos.append({"image": "dark.png", "person": "dark", "landmarks": None})
    listed = tmp_path / "all.identities.json"
    listed.write_text(json.dumps({"photos": photos}))
    output = tmp_path / "made"
    command = ["morphs.py", listed, tmp_path, "--number", 6, "--output", output]
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    morphs.main()
    made = read_identities([output / "morphs.identities.json"], [output]).photos
    assert len(made) == 6
    assert {photo.person for photo in made} == {None}
    pictures = [cv2.imread(str(photo.path)) for photo in made]
    middles = [float(picture.mean()) for picture in pictures]
    assert all(60 < middle < 180 for middle in middles)
    assert len({round(middle) for middle in middles}) > 2
    # More of the one here, more of the other there.
    assert max(int(np.ptp(picture)) for picture in pictures) > 30
    again = tmp_path / "again"
    monkeypatch.setattr(sys, "argv", [*map(str, command[:-1]), str(again)])
    morphs.main()
    assert (again / "000003.jpg").read_bytes() == (output / "000003.jpg").read_bytes()


def test_the_second_face_looks_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = [np.full((40, 40, 3), grey, np.uint8) for grey in (0, 50, 250)]
    looks = np.array([[0.0] * 11, [1.0] * 11, [9.0] * 11], np.float32)
    monkeypatch.setattr(morphs, "CANDIDATES", 2)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        first = int(rng.choice(3, 3, replace=False)[0])
        mixed = morphs.morph(faces, looks, np.random.default_rng(seed))
        low, high = sorted((first, {0: 1, 1: 0, 2: 1}[first]))
        assert faces[low].max() <= mixed.min() + 5
        assert mixed.max() <= faces[high].max() + 5  # cubic curves overshoot


def test_maps_are_smooth_and_alike_on_both_sides() -> None:
    for symmetry in (1, -1):
        rng = np.random.default_rng(0)
        drawn = np.array([morphs.smooth(rng, (64, 48), symmetry=symmetry) for _ in range(200)])
        assert 0.3 < drawn.std() < 1.3
        alike = np.array([np.abs(one - symmetry * one[:, ::-1]).max() < 1e-4 for one in drawn])
        assert 0.6 < alike.mean() < 0.8
        assert np.abs(np.diff(drawn, axis=1)).max() < 1
