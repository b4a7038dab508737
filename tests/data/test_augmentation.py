"""Augmentations do what they say, to the copy and not to the original, and by the given generator alone."""

import numpy as np
import pytest
import torch

from earwitness.data.augmentation import EventMixing, gain, mixup, spec_augment, strongest_burst, time_shift


def rng(seed=0):
    return np.random.default_rng(seed)


def power(*shape, seed=0):
    return torch.from_numpy(rng(seed).random(shape)).float() + 0.1


def test_time_shift_turns_around_in_time_only():
    x = power(6, 1, 4, 10)
    turned = time_shift(x, rng(1))
    shifts = rng(1).integers(10, size=6)
    for one, other, shift in zip(x, turned, shifts, strict=True):
        assert torch.equal(torch.cat([one[..., -shift:], one[..., :-shift]], -1) if shift else one, other)
    assert len(set(shifts)) > 2


def test_gain_stays_within_its_decibels():
    x = power(200, 1, 3, 4)
    change = 10 * torch.log10(gain(x, rng(), 10.0) / x)
    assert torch.allclose(change, change[:, :1, :1, :1].expand_as(change), atol=1e-4)
    assert 9 < float(change.max()) <= 10.001 and -10.001 <= float(change.min()) < -9


def test_mixup_blends_targets_as_it_blends_sounds():
    x = torch.eye(8).reshape(8, 1, 1, 8)  # item i has all of its power in column i
    mixed, targets = mixup(x, torch.eye(8), rng(3))
    assert torch.allclose(mixed[:, 0, 0], targets, atol=1e-6)
    assert torch.allclose(targets.sum(1), torch.ones(8), atol=1e-6)
    blended = ((targets > 0.01).sum(1) == 2).float().mean()
    assert 0 < blended < 1


def test_spec_augment_leaves_most_and_fills_with_the_mean():
    x = power(20, 1, 40, 60)
    before = x.clone()
    masked = spec_augment(x, rng(2), masks=2, bands=8, frames=10)
    assert torch.equal(x, before)
    for one, other in zip(x, masked, strict=True):
        changed = one != other
        assert torch.allclose(other[changed], one.mean().expand(int(changed.sum())), atol=1e-6)
        rows, columns = changed[0].all(1).sum(), changed[0].all(0).sum()
        assert rows <= 16 and columns <= 20
    assert 0.1 < float((x != masked).float().mean()) < 0.5


def slow_burst(level, frames, range_db):
    """Grow from the peak to the louder neighbour, again and again."""
    inside = {int(np.argmax(level))}
    while len(inside) < frames:
        near = [i for i in (min(inside) - 1, max(inside) + 1) if 0 <= i < len(level)]
        near = [i for i in near if level[i] > level.max() * 10 ** (-range_db / 10)]
        if not near:
            break
        inside.add(max(near, key=lambda i: level[i]))
    return min(inside), max(inside) + 1


@pytest.mark.parametrize("frames", [1, 5, 50])
def test_the_strongest_burst_is_the_slow_one(frames):
    for seed in range(10):
        level = 10 ** (rng(seed).uniform(-5, 0, 30))
        x = torch.from_numpy(level)[None, None].expand(1, 4, 30) / 4
        assert strongest_burst(x, frames) == slow_burst(level, frames, 30.0)


def test_events_are_laid_over_backgrounds_at_the_level_asked():
    events = torch.zeros(2, 1, 4, 20)
    events[0, :, 0, 5:8] = 1.0  # event 0 sounds in row 0, event 1 in row 3; backgrounds in rows 1 and 2
    events[1, :, 3, 15:20] = torch.tensor([1.0, 2, 3, 2, 1])
    backgrounds = torch.zeros(3, 1, 4, 20)
    backgrounds[:, :, 1:3] = power(3, 1, 2, 20)
    originals = events.clone(), backgrounds.clone()
    mixing = EventMixing(events, torch.eye(2), backgrounds, frames=10, snr_db=(6.0, 6.0))
    mixed, targets = mixing(40, rng(5))
    assert torch.equal(events, originals[0]) and torch.equal(backgrounds, originals[1])
    assert {2, 3} > set() and set(targets.argmax(1).tolist()) == {0, 1}
    starts = set()
    for one, target in zip(mixed[:, 0], targets, strict=True):
        row = (0, 3)[int(target.argmax())]
        columns = one[row].nonzero().flatten()
        starts.add(int(columns[0]))
        assert len(columns) == (3, 5)[int(target.argmax())] and one[3 - row].sum() == 0
        ratio = one[row, columns].sum() / one[1:3, columns].sum()
        assert 10 * float(ratio.log10()) == pytest.approx(6, abs=1e-3)
        ground = one[1:3]
        assert any(torch.allclose(ground, b[0, 1:3].roll(s, -1)) for b in backgrounds for s in range(20))
    assert len(starts) > 5


def test_the_generator_decides_and_nothing_else():
    x, targets = power(8, 1, 16, 20), torch.eye(8)
    mixing = EventMixing(x[:4], targets[:4], x[4:], frames=5)

    def all_of_it(seed):
        generator = rng(seed)
        torch.manual_seed(seed + 100 * len(calls))
        calls.append(seed)
        mixed, y = mixup(time_shift(x, generator), targets, generator)
        mixed[:2], y[:2] = mixing(2, generator)
        return spec_augment(gain(mixed, generator), generator)

    calls = []
    assert torch.equal(all_of_it(1), all_of_it(1)) and not torch.equal(all_of_it(1), all_of_it(2))
