"""Where yes ends and unsure begins."""

from __future__ import annotations

import numpy as np
import pytest

import pocketface
from pocketface import FaceRecognizer, UserError
from pocketface.apps.recognize_find import warn_of_many
from pocketface.apps.recognize_verdict import Judge, advised_fmr

from ..pixel_recognizer import MEASURED, write_recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FaceRecognizer:
    path = write_recognizer(tmp_path_factory.mktemp("model") / "pixels.onnx", **MEASURED)
    model = pocketface.load(path)
    assert isinstance(model, FaceRecognizer)
    return model


@pytest.mark.parametrize(
    ("max_fmr", "sure", "unsure"),
    [
        (0.001, 0.8, 0.6),
        (0.01, 0.6, 0.4),
        (0.03, 0.5046, 0.4),  # nothing was measured beyond 0.1
        (0.1, 0.4, 0.4),
        (0.5, 0.4, 0.4),
    ],
)
def test_unsure_is_up_to_ten_times_the_rate(
    model: FaceRecognizer, max_fmr: float, sure: float, unsure: float
) -> None:
    judge = Judge(model, max_fmr)
    assert (judge.sure, judge.unsure) == pytest.approx((sure, unsure), abs=1e-4)
    answers = [judge(at, small=False).answer for at in (1, sure + 1e-3, unsure - 1e-3, -1)]
    assert answers == ["yes", "yes", "no", "no"]
    if sure > unsure:
        assert judge(sure - 1e-3, small=False).answer == "unsure"
    assert {judge(at, small=True).answer for at in (1, 0, -1)} == {"unsure"}


def test_a_face_that_is_too_small_has_no_probability(model: FaceRecognizer) -> None:
    judge = Judge(model, 0.001)
    assert judge(0.7, small=False).probability == pytest.approx(0.5)
    assert judge(0.7, small=True).probability is None


@pytest.mark.parametrize(
    ("faces", "answer", "similarity"),
    [
        # Cosines, and whether the face is too small.
        ([(0.25, False), (-0.2, True)], "no", 0.25),
        ([(0.25, False), (0.3, True)], "unsure", 0.3),
        ([(0.65, False), (0.3, True)], "unsure", 0.65),
        ([(0.65, False), (0.7, True)], "unsure", 0.7),
        ([(0.85, False), (0.99, True)], "yes", 0.85),
        ([(0.1, False), (0.5, False)], "no", 0.5),
        ([(-0.9, True)], "unsure", -0.9),
    ],
)
def test_the_face_that_counts(
    model: FaceRecognizer, faces: list[tuple[float, bool]], answer: str, similarity: float
) -> None:
    judge = Judge(model, 0.001)
    for some in (faces, faces[::-1]):
        said = max((judge(at, small=small) for at, small in some), key=lambda one: one.rank)
        assert (said.answer, said.similarity) == (answer, similarity)


@pytest.mark.parametrize(
    ("people", "max_fmr", "advice"),
    [
        (40, 0.001, None),
        (20, 0.01, "20 faces of 20 people at --max-fmr 0.01: up to 18 % of strangers will be taken "
         "for one of them; --max-fmr 0.002 makes that 5 %"),
        (1000, 0.01, "; --max-fmr 0.001, the smallest that was measured, makes that 63 %, or "
         "`recognize calibrate` on photos of more people"),
        (1000, 0.001, "; that is the smallest rate that was measured: a smaller gallery helps, or "
         "`recognize calibrate` on photos of more people"),
    ],
)  # fmt: skip
def test_no_rate_is_advised_that_is_refused(
    model: FaceRecognizer,
    people: int,
    max_fmr: float,
    advice: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_of_many(Judge(model, max_fmr, people=people))
    assert [advice in one for one in caplog.messages] == ([] if advice is None else [True])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0.3, (0.3, True)),
        (0.0299, (0.02, True)),
        (0.0016, (0.001, True)),
        (0.001, (0.001, True)),
        (0.00096, (0.001, False)),
    ],
)
def test_what_is_advised_can_be_asked_for(
    model: FaceRecognizer, wanted: float, expected: tuple[float, bool]
) -> None:
    assert advised_fmr(model, wanted) == expected
    Judge(model, expected[0])


def test_rates_that_were_never_measured(model: FaceRecognizer) -> None:
    with pytest.raises(UserError, match=r"expected 0\.001, the smallest that was measured"):
        Judge(model, 1e-4)


def test_each_of_many_people_is_less_likely(model: FaceRecognizer) -> None:
    chances = [
        Judge(model, 0.001, people=people)(0.9, small=False).probability for people in (1, 4)
    ]
    # At even odds e to the power of 10 x 0.9 - 7; of four people each has a quarter of that.
    assert chances == pytest.approx([np.exp(2) / (1 + np.exp(2)), np.exp(2) / (4 + np.exp(2))])


def test_every_face_of_a_gallery_is_one_more_that_a_stranger_may_be_taken_for(
    model: FaceRecognizer, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_many(Judge(model, 0.001, people=40, faces=40))
    assert not caplog.messages
    warn_of_many(Judge(model, 0.001, people=40, faces=200))
    (said,) = caplog.messages
    assert said.startswith("200 faces of 40 people at --max-fmr 0.001: up to 18 % of strangers")


def test_people_whom_a_face_is_as_much_alike_share_the_probability(model: FaceRecognizer) -> None:
    judge = Judge(model, 0.001, people=4)
    alone = judge(1.0, small=False).probability
    assert alone is not None
    assert judge(1.0, small=False, others=[-1.0, -1.0, -1.0]).probability == pytest.approx(
        alone, abs=1e-3
    )
    for count in (1, 3):
        shared = judge(1.0, small=False, others=[1.0] * count).probability
        assert shared == pytest.approx(1 / (1 / alone + count))
    assert judge(0.5, small=False, others=[1.0]).probability < 0.01
