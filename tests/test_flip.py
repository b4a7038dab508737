"""The flip: a planted cause whose removal must change the decision, a slow search beside ours, and what cannot flip."""

import numpy as np
import pytest

import earwitness as ew
from earwitness.questions import counting


@pytest.fixture
def question(listener, tone):
    """A short "high" burst (3 of 16 columns) in front of a longer, weaker "low" one; silence would be "low", the first label."""
    high, low = tone(880, span=(0.25, 0.4375), level=0.5)[0], tone(440, span=(0.0, 0.9), level=0.02)[1]
    return ew.ask(listener, ew.Audio(low.samples + high.samples, 8000), ew.Grid(4, 16, baseline="silence"), "high")


def given(question, values, kind="effect", **known):
    return ew.Explanation.of(question, np.asarray(values, float), kind=kind, score=0.0, baseline=0.0, **known)


def slowly(question, values):
    """Component by component, one mask at a time."""
    order = sorted(range(question.size), key=lambda i: (-values.flat[i], i))
    decided = int(question.clip_logits.argmax())

    def decision(kept):
        mask = np.zeros(question.size)
        mask[kept] = 1
        return int(question.logits(mask.reshape(1, *question.shape))[0].argmax())

    fewest = next((k for k in range(question.size + 1) if decision(order[k:]) != decided), None)
    enough = next(k for k in range(question.size + 1) if decision(order[:k]) == decided)
    return fewest, enough


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_a_slow_search_finds_the_same(question, seed, batch):
    object.__setattr__(question, "batch", batch)
    values = np.random.default_rng(seed).integers(-3, 4, question.shape) / 2  # with ties
    values = values + ew.Occlusion()(question).values * 100 * (seed % 2)
    found = given(question, values).flip()
    assert (found.fewest, found.enough) == slowly(question, values)


def test_the_planted_cause_flips_it_at_once(question):
    found = ew.Occlusion()(question).flip()
    assert (found.decision, found.becomes, found.size) == ("high", "low", 64)
    assert found.fewest <= 4 and found.enough == 1
    assert given(question, -ew.Occlusion()(question).values).flip().fewest > 50
    np.testing.assert_array_equal(found.without, 1 - ew.Occlusion()(question).mask(found.fewest / 64))
    np.testing.assert_array_equal(found.alone, ew.Occlusion()(question).mask(1 / 64))
    assert found.removed.prediction.label == "low" and found.kept.prediction.label == "high"
    assert float((found.removed.audio.samples - question.audio.samples).abs().max()) > 0.3  # the burst is gone
    assert str(found) == (
        f"high: without the best {found.fewest} of 64 components it is low; the best 1 alone still give it"
    )


def test_importances_go_by_what_argues_for_the_target(question):
    slopes = ew.Occlusion()(question).values
    signed = given(question, np.abs(slopes), "importance", signed=slopes)
    assert signed.flip().fewest == given(question, np.maximum(slopes, 0)).flip().fewest


def test_a_decision_that_stays(rows, tone):
    """A constant says the same to everything, and so does its baseline."""
    frontend = ew.LogSTFT(8000, n_fft=256, hop_length=64)
    deaf = ew.Classifier(rows([(0, 129), (0, 129)]), frontend, ["first", "second"])
    found = ew.Random()(ew.ask(deaf, tone()[0], ew.Grid(2, 4))).flip()
    assert (found.fewest, found.becomes, found.without, found.removed, found.enough) == (None, "", None, None, 0)
    assert str(found) == "first: it stays first whatever is removed; the baseline alone gives it as well"
    assert not found.alone.any() and found.kept.audio.peak == 0


def test_a_margin_is_decided_between_its_two(listener, tone):
    frontend, network = listener.frontend, listener.network
    network.rows = [*network.rows, (7, 40)]  # hears both
    three = ew.Classifier(network, frontend, ["low", "high", "either"])
    clip = tone(440, level=0.3)[0]
    plain, margin = (ew.ask(three, clip, ew.Grid(4, 8), target) for target in ("low", "low - high"))
    assert ew.Occlusion()(margin).flip().becomes == "high"
    assert ew.Occlusion()(plain).flip().becomes in ("high", "either")


def test_baselines_are_averaged(listener, tone):
    clip = tone(440)[0]
    question = ew.ask(listener, clip, ew.Grid(4, 8, baseline=tone(880, level=0.01)[0]))
    assert ew.Occlusion()(question).flip().fewest is not None


def test_what_it_costs(question):
    with counting() as asked:
        found = ew.Random()(question).flip()
    counted = sum(min(question.size + 1, -(-(count + 1) // 8) * 8) for count in (found.fewest, found.enough))
    assert (
        asked.evaluations == counted + 3
    )  # the ends of the explanation, the decision; sounds are not asked through the question


def test_what_cannot_flip(question, listener, tone):
    with pytest.raises(ew.UsageError, match="a decision needs a classifier and its clip"):
        ew.Random()(ew.Game(4, lambda m: m.sum(1))).flip()
    with pytest.raises(ew.UsageError, match="the model says 'low', and what is explained is 'high'"):
        ew.Random()(ew.ask(listener, tone(440)[0], ew.Grid(2, 4), "high")).flip()


def test_ready_features_have_no_sound(rows, listener, tone):
    features = listener.frontend(tone(440)[0].samples[None])[0]
    bare = ew.Classifier(rows([(7, 21), (21, 35)]), None, ["low", "high"])
    found = ew.Occlusion()(ew.ask(bare, features, ew.Grid(4, 8))).flip()
    assert found.removed is None and found.kept is None and found.enough <= 1


def test_a_model_that_answers_nan_decides_nothing(tone):
    def deaf(samples):
        level = np.sqrt(np.mean(samples**2, -1))
        return np.stack([np.where(level > 0.1, level, np.nan), 0 * level], -1)

    question = ew.ask(ew.BlackBox(deaf, 8000, ["loud", "quiet"]), tone(level=0.5)[0], ew.Segments(count=4))
    with pytest.raises(ew.ModelError, match="NaN or infinity to some of the masked inputs"):
        given(question, np.arange(4.0)).flip()
