"""What the architecture does: it sees local patterns, and it hardly knows where they stand.

After layers of kernels k_i that are moved by s_i, one unit sees

    r = 1 + sum_i (k_i - 1) s_1 ... s_(i-1)        places of the features, either way,

that is r bins of rate / n_fft hertz, and (r - 1) hop + n_fft samples; its neighbour stands s = s_1 s_2 ... places further on. A
convolution answers to a shifted pattern with a shifted answer and a mean over all places forgets the shift, but not wholly:

* poolings look at a grid of s places, so that only shifts by multiples of s are forgotten exactly;
* at the edges zeros stand in for what is missing, so that a pattern near an edge is another one.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from earwitness.classifiers import Classifier
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.frontends import LogSTFT
from earwitness.studies.pages import Curves, Heat, Picture, Section
from earwitness.studies.sobol_lab.accuracies import HOLDS, Accuracies, by_ingredient, clips_of, margins_of
from earwitness.studies.sobol_lab.lab import LAB, SAMPLE_RATE, Lab, lab_frontend

PLAIN, SHUFFLED = "bins in order", "bins shuffled"
LAB_NET, EDGELESS = "the lab's network", "without edges"
AXES = {"time": "s", "frequency": "Hz"}
STEPS = {"time": 64 / SAMPLE_RATE, "frequency": SAMPLE_RATE / 256}  # of the lab's features: seconds, hertz
FARTHEST = {"time": 31, "frequency": 24}  # steps that features are shifted, either way
PITCHES = tuple(range(100, 1520, 20))  # Hz


class Shuffled(nn.Module):
    """A network whose features come with their bins in another order, drawn once from a seed.

    order: `[F]`, which bin comes in each place.
    """

    order: Tensor

    def __init__(self, network: nn.Module, bins: int, seed: int) -> None:
        super().__init__()
        self.network, self.bins, self.seed = network, bins, seed
        self.register_buffer("order", torch.from_numpy(np.random.default_rng(seed).permutation(bins)))

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x[:, :, self.order])


def layers_of(classifier: Classifier) -> nn.Module:
    """The layers of a `SmallSpecCNN` before its mean over all places."""
    return classifier.network.get_submodule("features")


def receptive_field(features: nn.Module) -> tuple[int, int]:
    """How many places of its input one unit behind these layers sees, either way, and how far on its neighbour stands."""
    seen, stride = 1, 1
    for layer in features.modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            kernel, step = (size if isinstance(size, int) else size[0] for size in (layer.kernel_size, layer.stride))
            seen, stride = seen + (kernel - 1) * stride, stride * step
    return seen, stride


def influence(features: nn.Module, x: Tensor) -> Tensor:
    """`[F, T]`: how strongly, over clips and channels, the middle unit behind these layers depends on each place of its input.

    x: `[N, 1, F, T]`. The root of the mean square of the gradients; 0 where there is no path.
    """
    x = x.clone().requires_grad_()
    units = features(x)
    middle = units[..., units.shape[2] // 2, units.shape[3] // 2]
    squares = [torch.autograd.grad(unit.sum(), x, retain_graph=True)[0].square().mean((0, 1)) for unit in middle.T]
    return torch.stack(squares).mean(0).sqrt()


def support(along: Tensor) -> int:
    """How many places lie from the first to the last that is not 0."""
    places = along.nonzero()
    return int(places.max() - places.min()) + 1


def local_patterns(lab: Lab) -> Section:
    """Q5: why does a CNN see local patterns, and what if the bins are shuffled?"""
    frontend = lab_frontend()
    x, _ = clips_of(lab.scenes(max(4, lab.settings.explained // 5)))
    fields, heat = _fields(layers_of(lab.classifier), frontend, x)
    shuffled = lab.train(
        "a network on shuffled bins",
        network=lambda classes: Shuffled(SmallSpecCNN(classes), frontend.n_fft // 2 + 1, lab.settings.seed),
    )
    noisy = by_ingredient(lab, {PLAIN: lab.classifier, SHUFFLED: shuffled.classifier})
    trained = {PLAIN: lab.base, SHUFFLED: shuffled}
    epochs = pd.concat([pd.DataFrame(t.history).assign(network=name) for name, t in trained.items()])
    losses = {name: t.history[-1]["loss"] for name, t in trained.items()}
    loss = Curves(
        [record["epoch"] for record in lab.base.history], {n: [r["loss"] for r in t.history] for n, t in trained.items()},
        "epoch", "loss", "training", logarithmic="y",
    )  # fmt: skip
    return Section(
        "q5-local-patterns", "Q5. Local patterns, and shuffled bins",
        "A kernel of 3 x 3 sees three bins and three frames; each pooling doubles what the next one spans. The gradient of "
        "the middle unit of the last layer with respect to the features shows what it depends on: it ends where the sum over "
        f"the layers says, but half of it comes from a much smaller patch in the middle. {_fields_say(fields)}\n\nA second "
        "network of the same layers has learnt with its bins in another order, drawn once. Nothing is lost by that: a network "
        "of dense layers could not tell the difference. What goes is that neighbours in the features are neighbours in "
        "frequency: the three bins of a tone lie apart, and none has the noise around it beside it. "
        f"{_shuffled_says(noisy, losses)} Each network was trained once.",
        "Why does a convolutional network see local patterns, and what does it lose when the bins are shuffled?",
        _local_answer(fields, noisy, shuffled.history[-1]["accuracy"]),
        tables={"receptive-field": fields, "epochs": epochs, "noise": noisy.table()},
        pictures={
            "receptive-field": Picture([heat], "How strongly the middle unit of the last layer depends on each place."),
            "shuffled": Picture(
                [loss, noisy.curves(), noisy.separations()], "Bins in order, and shuffled: loss, accuracy, separation."
            ),
        },
    )  # fmt: skip


def _fields(layers: nn.Module, frontend: LogSTFT, x: Tensor) -> tuple[pd.DataFrame, Heat]:
    """The receptive field, computed and measured; and its picture."""
    strength = influence(layers, frontend(x))
    axes = frontend.axes(x.shape[1])
    (computed, _), rate = receptive_field(layers), frontend.sample_rate
    rows = []
    for name, unit, step, window, along in (
        ("frequency", "Hz", rate / frontend.n_fft, 0.0, strength.sum(1)),
        ("time", "s", frontend.hop_length / rate, (frontend.n_fft - frontend.hop_length) / rate, strength.sum(0)),
    ):
        places = {"computed": computed, "gradient": support(along), "half_of_gradient": narrowest_half(along)}
        rows.append(
            {
                "along": name,
                "unit": unit,
                **{k: v * step + window for k, v in places.items()},
                "of_clip": len(along) * step,
            }
        )
    return pd.DataFrame(rows), Heat(strength.numpy(), (axes[0], axes[1]), "one unit of the last layer", "importance")


def narrowest_half(along: Tensor) -> int:
    """How many places has the shortest stretch that holds half of the sum?"""
    total = np.concatenate([[0.0], along.double().cumsum(0).numpy()])
    return min(
        end - start
        for start in range(len(along))
        for end in [int(np.searchsorted(total, total[start] + total[-1] / 2))]
        if end < len(total)
    )


def _fields_say(fields: pd.DataFrame) -> str:
    frequency, time = fields.to_dict("records")
    return (
        f"In frequency {frequency['computed']:.0f} Hz computed, {frequency['gradient']:.0f} Hz measured, half of it from "
        f"{frequency['half_of_gradient']:.0f} Hz; in time {time['computed']:.3f} s, {time['gradient']:.3f} s, and "
        f"{time['half_of_gradient']:.3f} s, of clips of {time['of_clip']:.1f} s."
    )


def _shuffled_says(noisy: Accuracies, losses: Mapping[str, float]) -> str:
    apart = {name: noisy.separates_down_to(name) for name in (PLAIN, SHUFFLED)}
    if losses[SHUFFLED] < losses[PLAIN]:
        learnt = "lower: in order, every tone looks alike but for its place, which such layers hardly tell (Q6)"
    else:
        learnt = "no lower: in order, the pattern of a tone is learnt once for all places"
    return (
        f"The loss of the last epoch is {losses[SHUFFLED]:.4f} shuffled and {losses[PLAIN]:.4f} in order, {learnt}; shuffled, "
        "each bin has neighbours of its own. Noise asks for more: separation, how often a high clip has a greater margin than "
        f"a low one, stays above 0.9 down to {apart[PLAIN]:.1f} dB in order and {apart[SHUFFLED]:.1f} dB shuffled, while for "
        f"accuracy, which depends on where the threshold comes to lie, {noisy.verdict(SHUFFLED, PLAIN)}."
    )


def _local_answer(fields: pd.DataFrame, noisy: Accuracies, accuracy: float) -> str:
    field, half = fields["computed"], fields["half_of_gradient"]
    apart = {name: noisy.separates_down_to(name) for name in (PLAIN, SHUFFLED)}
    return (
        f"One unit of the last layer sees {field[0]:.0f} Hz and {field[1]:.2f} s, half of it within {half[0]:.0f} Hz and "
        f"{half[1]:.2f} s; with shuffled bins the network {'learns as well' if accuracy > HOLDS else 'learns badly'} (accuracy "
        f"{accuracy:.3f}); it separates the labels down to {apart[SHUFFLED]:.1f} dB, with the bins in order down to "
        f"{apart[PLAIN]:.1f} dB."
    )


def invariance(lab: Lab) -> Section:
    """Q6: is it invariant in time, and in frequency?"""
    _, grid = receptive_field(layers_of(lab.classifier))
    moved = {along: _moved(lab, along, grid) for along in AXES}
    tones, period = _by_pitch(lab), grid * STEPS["frequency"]
    again = _again(tones, period)
    panels = [
        Curves(
            moved[along][LAB_NET].values, {name: found.accuracy(name) for name, found in moved[along].items()},
            f"shift ({unit})", "accuracy", f"shifted in {along}",
        )
        for along, unit in AXES.items()
    ]  # fmt: skip
    sweep = {"mean margin": tones.mean(1), "threshold": np.zeros(len(PITCHES))}
    panels.append(Curves(PITCHES, sweep, "frequency of the tone (Hz)", "logit of high - logit of low", "other tones"))
    reach = pd.DataFrame(_reach(along, found) for along, kinds in moved.items() for found in kinds.values())
    return Section(
        "q6-invariance", "Q6. Shifts in time and in frequency",
        "The features of clips are shifted round and labelled again. In time, what is moved is still the same tone. In "
        "frequency it is another one, so that a network that has learnt what low and high are should change its mind once, on "
        f"the way from one to the other ({np.ptp(LAB.frequencies):g} Hz). But nothing in these layers says how high a bin is: "
        "kernels are the same everywhere, and the mean at the end forgets places. Two things could still tell: the zeros "
        f"beyond the edges, and the grid of the poolings, which comes round every {grid} places. The same weights without "
        f"edges (circular padding) {_edges_say(moved['frequency'], period)}. Other tones, which were never learnt, are the "
        f"test of it (20 dB, no interferer): {_again_says(again)}. (Downwards, 220 Hz leave at the bottom and come back at the "
        "top, where the grid lies otherwise, as the number of bins is odd.)\n\nOn the lab's clips this costs little, as only "
        "two tones are to be told apart. No map of them can show it: the map rightly lies on the tone, since it says where "
        "the network looks, and not what it makes of what is there.",
        "Is the network invariant to shifts in time, and to shifts in frequency?",
        _invariance_answer(moved, again, period),
        tables={"reach": reach, "other-tones": again},
        pictures={"shifts": Picture(
            panels, "Accuracy on clips whose features are shifted round, with and without edges; and the margin of tones of any "
            "frequency: below 0 they are called low.",
        )},
    )  # fmt: skip


def without_edges(classifier: Classifier) -> Classifier:
    """The same weights with circular padding: on features whose sides are multiples of the poolings' grid, no edges at all."""
    changed = copy.deepcopy(classifier)
    for layer in changed.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "circular"
    return changed


def _moved(lab: Lab, along: str, grid: int) -> dict[str, Accuracies]:
    """Margins of features that are shifted round, in steps of one place: the lab's network, and it without edges."""
    x, second = clips_of(lab.scenes(lab.settings.explained))
    whole = lab_frontend()(x)
    even = whole[:, :, : whole.shape[2] // grid * grid, : whole.shape[3] // grid * grid]
    places = np.arange(-FARTHEST[along], FARTHEST[along] + 1)
    found = {}
    for name, classifier, features in (
        (LAB_NET, lab.classifier, whole),
        (EDGELESS, without_edges(lab.classifier), even),
    ):
        rolled = (features.roll(int(place), 3 if along == "time" else 2) for place in places)
        margins = np.array([margins_of(classifier, each, "features") for each in rolled])
        found[name] = Accuracies("shift", (places * STEPS[along]).tolist(), {name: margins}, second)
    return found


def _reach(along: str, found: Accuracies) -> dict[str, float | str]:
    """How far shifts go before accuracy falls below 0.9, and how much they change the margin of the true label."""
    (name,) = found.margins
    distance, middle = np.abs(found.values), len(found.values) // 2
    broken = found.accuracy(name) < HOLDS
    margins = found.margins[name] * np.where(found.second, 1, -1)
    change = np.abs(margins - margins[middle]).mean(1)
    return {
        "along": along, "unit": AXES[along], "network": name, "accuracy": found.accuracy(name)[middle],
        "holds_to": float(distance[~(distance >= distance[broken].min(initial=np.inf))].max(initial=0.0)),
        "farthest": float(distance.max()), "least_accuracy": found.accuracy(name).min(),
        "margin": margins[middle].mean(), "greatest_change": change.max(),
    }  # fmt: skip


def _by_pitch(lab: Lab) -> np.ndarray:
    """`[pitches, clips]`: margins of clips of one tone in a little noise, at each of `PITCHES`."""
    rows = []
    for hertz in PITCHES:
        recipe = replace(LAB, labels=("tone",), frequencies=(float(hertz),), interferer=0.0, snr_db=20.0)
        rows.append(margins_of(lab.classifier, clips_of(lab.scenes(max(2, lab.settings.tested // 20), recipe))[0]))
    return np.array(rows)


def _again(margins: np.ndarray, period: float) -> pd.DataFrame:
    """How often tones whole periods (Hz) above or below a learnt one are called by its name."""
    rows = []
    for number, (label, learnt) in enumerate(zip(LAB.labels, LAB.frequencies, strict=True)):
        for hertz in learnt + period * np.arange(-3, 4):
            if hertz in PITCHES:
                called = (margins[PITCHES.index(hertz)] > 0) == (number == 1)
                rows.append(
                    {"hz": hertz, "like": label, "learnt_hz": learnt, "called_so": called.mean(), "clips": len(called)}
                )
    return pd.DataFrame(rows)


def _again_says(again: pd.DataFrame) -> str:
    others = again[again["hz"] != again["learnt_hz"]]
    parts = [
        f"{' and '.join(f'{hertz:g}' for hertz in rows['hz'])} Hz are called {label} in {rows['called_so'].mean():.2f}"
        for label, rows in others.groupby("like", sort=False)
    ]
    return "; ".join(parts) + " of the clips"


def _edges_say(found: Mapping[str, Accuracies], period: float) -> str:
    """What it means that accuracy without edges is what it is."""
    middle = len(found[EDGELESS].values) // 2
    bare = found[EDGELESS].accuracy(EDGELESS)[middle]
    if bare > HOLDS:
        return (
            f"still label {bare:.3f} rightly, so that it is not the edges: what tells is the grid, and the network hears "
            f"frequency modulo {period:g} Hz"
        )
    return f"label only {bare:.3f} rightly, so that it is the edges that tell, if not they alone"


def _invariance_answer(moved: Mapping[str, Mapping[str, Accuracies]], again: pd.DataFrame, period: float) -> str:
    time, found = _reach("time", moved["time"][LAB_NET]), moved["frequency"][LAB_NET]
    accuracy = dict(zip(found.values, found.accuracy(LAB_NET), strict=True))
    step, back = STEPS["frequency"], accuracy[period]
    others = again[again["hz"] != again["learnt_hz"]]["called_so"].mean()
    return (
        f"In time yes: accuracy is at least {time['least_accuracy']:.3f} for shifts of up to {1000 * time['farthest']:.0f} ms; "
        f"in frequency no: it is {(accuracy[step] + accuracy[-step]) / 2:.3f} after one bin ({step:.0f} Hz) either way and at "
        f"worst {min(accuracy.values()):.3f}, {'but again' if back > HOLDS else 'and'} {back:.3f} after {period:g} Hz upwards, "
        "the grid of the poolings; tones so many hertz (or twice that) from the learnt ones are taken for them in "
        f"{others:.2f} of the clips."
    )
