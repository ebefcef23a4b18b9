"""Learning rate over a training."""

from __future__ import annotations

import pytest

from pocketface.model_templates.recipe import OptimizerSpec, ScheduleSpec
from pocketface.training.schedule import learning_rate_factor, scaled_rate


def test_steps_divide_by_ten_at_each_milestone() -> None:
    spec = ScheduleSpec(type="step", milestones=[2, 4])
    factor = learning_rate_factor(spec, steps_per_epoch=10, epochs=5)
    assert [factor(s) for s in (0, 19, 20, 39, 40, 49)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_steps_multiply_by_gamma() -> None:
    spec = ScheduleSpec(type="step", milestones=[1, 2], gamma=0.2)
    factor = learning_rate_factor(spec, steps_per_epoch=10, epochs=3)
    assert [factor(s) for s in (9, 10, 20)] == pytest.approx([1, 0.2, 0.04])
    with pytest.raises(ValueError, match="gamma is not of schedule 'cosine'"):
        ScheduleSpec(type="cosine", gamma=0.2)


def test_cosine_falls_from_one_to_one_percent() -> None:
    factor = learning_rate_factor(ScheduleSpec(type="cosine"), steps_per_epoch=10, epochs=10)
    values = [factor(step) for step in range(101)]
    assert values[0] == pytest.approx(1)
    assert values[50] == pytest.approx(0.505)
    assert values[100] == pytest.approx(0.01)
    assert values == sorted(values, reverse=True)


def test_wsd_stays_and_falls_at_the_end() -> None:
    spec = ScheduleSpec(type="wsd", decay=0.2)
    factor = learning_rate_factor(spec, steps_per_epoch=10, epochs=10)
    assert [factor(s) for s in (0, 40, 80, 90, 100)] == pytest.approx([1, 1, 1, 0.505, 0.01])
    longer = learning_rate_factor(spec, steps_per_epoch=10, epochs=20)
    assert {longer(s) for s in range(80)} == {factor(s) for s in range(80)}


def test_warmup_takes_at_most_a_tenth_of_the_steps() -> None:
    spec = ScheduleSpec(type="step", milestones=[9], warmup_iterations=1200)
    factor = learning_rate_factor(spec, steps_per_epoch=10, epochs=10)
    assert [factor(s) for s in (0, 5, 10, 50)] == pytest.approx([0.1, 0.55, 1, 1])


def test_a_recipe_that_counts_steps_has_its_whole_warmup() -> None:
    spec = ScheduleSpec(type="step", milestones=[9], warmup_iterations=60)
    factor = learning_rate_factor(spec, steps_per_epoch=10, epochs=10, counts_steps=True)
    assert [factor(s) for s in (0, 30, 60, 80)] == pytest.approx([0.1, 0.55, 1, 1])


def test_taking_up_at_an_epoch_goes_on_with_its_rate() -> None:
    spec = ScheduleSpec(type="cosine")
    whole = learning_rate_factor(spec, steps_per_epoch=10, epochs=10)
    rest = learning_rate_factor(spec, steps_per_epoch=10, epochs=10, first_epoch=4)
    assert [rest(s) for s in (0, 30, 60)] == pytest.approx([whole(s) for s in (40, 70, 100)])


@pytest.mark.parametrize(
    ("epochs", "fine_tuning", "first", "last"),
    [(75, 0.3, 0.3, 0.003), (75, 0.03, 0.03, 0.0003), (148, 0.03, 1.0, 0.01)],
)
def test_fine_tuning_begins_at_its_own_rate(
    epochs: int, fine_tuning: float, first: float, last: float
) -> None:
    """A few epochs more are not the end of the schedule; as many more as before are its middle."""
    spec = ScheduleSpec(type="wsd", fine_tuning=fine_tuning)
    factor = learning_rate_factor(
        spec, steps_per_epoch=10, epochs=epochs, first_epoch=74, fine_tunes=True
    )
    values = [factor(step) for step in range(10 * (epochs - 74) + 1)]
    assert values[0] == pytest.approx(first, rel=0.01)
    assert values[-1] == pytest.approx(last)
    assert values == sorted(values, reverse=True)


def test_rates_for_other_batch_sizes() -> None:
    sgd = OptimizerSpec(type="sgd", momentum=0.9, weight_decay=0.0)
    adamw, muon = (sgd.model_copy(update={"type": name}) for name in ("adamw", "muon"))
    for optimizer, rate in ((sgd, 0.0125), (adamw, 0.025), (muon, 0.025)):
        found = scaled_rate(0.05, optimizer, batch_size=16, meant_batch_size=64)
        assert found == pytest.approx(rate)
        assert scaled_rate(0.05, optimizer, batch_size=64, meant_batch_size=64) == 0.05
