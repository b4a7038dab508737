"""What the network learns, where it errs, and what it relies on."""

import numpy as np
import pandas as pd
import torch

from earwitness.frontends import LogSTFT
from earwitness.statistics import proportion_interval
from earwitness.studies.pages import Bars, Curves, Heat, Picture, Section
from earwitness.studies.scene_training import logits_of
from earwitness.studies.sobol_lab.accuracies import HOLDS, Accuracies, by_ingredient
from earwitness.studies.sobol_lab.lab import SNRS, Lab

NET = "the lab's network"
SHOWN = 4  # misclassified clips


def learning_curves(lab: Lab) -> Section:
    """The network, and its curves."""
    trained = lab.base
    epochs = pd.DataFrame(trained.history)
    sizes = pd.DataFrame(
        {"layer": name, "kind": type(part).__name__, "parameters": sum(p.numel() for p in part.parameters())}
        for name, part in trained.classifier.network.named_modules()
        if not list(part.children()) and list(part.parameters())
    )
    counted = [str(int(epoch)) for epoch in epochs["epoch"]]
    curves = [Curves(epochs["epoch"], {name: epochs[name]}, "epoch", name) for name in ("loss", "accuracy")]
    s = lab.settings
    return Section(
        "04-training", "4. The network and its training",
        f"Blocks of convolution (3 x 3), batch normalisation, ReLU and maximum pooling (2 x 2), a mean over time and frequency, "
        f"one linear layer: {sizes['parameters'].sum():,} parameters. {len(counted)} epochs of {s.clips[0]} clips in batches of "
        f"{s.batch}, AdamW at 1e-3 with a cosine. Accuracy on {s.clips[1]} other clips after the last epoch: "
        f"{epochs['accuracy'].iloc[-1]:.3f}.",
        tables={"layers": sizes, "epochs": epochs},
        pictures={"curves": Picture(curves, "Loss on the clips that are learnt from, accuracy on others.", columns=2)},
    )  # fmt: skip


def mistakes(lab: Lab) -> Section:
    """Accuracy by signal-to-noise ratio, and clips that are called by the wrong name."""
    found = _by_noise(lab)
    wrong, snr = _wrong(lab)
    pictures = {
        "snr": Picture(
            [found.curves(), found.separations()],
            "Accuracy on clips with ever more noise (it has learnt from 0 to 20 dB), and separation.",
            columns=2,
        )
    }
    if wrong:
        pictures["wrong"] = Picture(
            wrong,
            "Misclassified clips, with the true and the predicted label and the probability of the latter.",
            columns=2,
        )
    learnt = found.right(NET)[[value >= 0 for value in SNRS]]
    words = (
        f"The first errors, with more and more noise, come at {snr:g} dB." if wrong else "No clip was misclassified."
    )
    return Section(
        "05-errors", "5. Where it errs",
        f"At 0 dB and above, where it has learnt, {learnt.sum()} of {learnt.size} are right. {words} Separation is how often "
        "a high clip has a greater margin (logit of high minus logit of low) than a low one. It stays above 0.9 down to "
        f"{found.separates_down_to(NET):.1f} dB, accuracy down to {found.holds_down_to(NET):.1f} dB: in between the network "
        "still tells the labels apart, but noise has moved all margins to one side. Intervals are Wilson's, 95 %, over clips.",
        tables={"snr": found.table()}, pictures=pictures,
    )  # fmt: skip


def _by_noise(lab: Lab) -> Accuracies:
    """Of the lab's network, at each of `SNRS`."""
    return lab.once("by noise", lambda: by_ingredient(lab, {NET: lab.classifier}, "snr_db", SNRS))


def _wrong(lab: Lab) -> tuple[list[Heat], float]:
    """Misclassified clips at the best signal-to-noise ratio at which there are any."""
    frontend, labels = LogSTFT(8000, 256, 64), lab.classifier.labels
    for snr in reversed(SNRS):
        made = lab.scenes(lab.settings.tested, snr_db=snr)
        said = logits_of(lab.classifier, torch.stack([s.audio.samples for s in made])).softmax(1)
        wrong = [i for i, s in enumerate(made) if labels[int(said[i].argmax())] != s.label][:SHOWN]
        if wrong:
            break
    panels = []
    for i in wrong:
        axes = frontend.axes(len(made[i].audio.samples))
        title = f"true: {made[i].label}, predicted: {labels[int(said[i].argmax())]} ({said[i].max():.2f})"
        panels.append(Heat(frontend(made[i].audio.samples[None])[0, 0].numpy(), (axes[0], axes[1]), title))
    return panels, snr


def reliance(lab: Lab) -> Section:
    """What happens to the score and the accuracy when an ingredient is taken away."""
    broken = _by_noise(lab).accuracy(NET) < HOLDS
    noise = SNRS[int(np.flatnonzero(broken)[-1])] if broken.any() else SNRS[0]
    kinds = {
        "as it is": {},
        "without modulation": {"depth": 0.0},
        "without interferer": {"interferer": 0.0},
        "without noise": {"snr_db": None},
        "without the tone": {"cause": True},
    }
    rows = []
    for name, ingredients in kinds.items():
        made = lab.scenes(
            lab.settings.tested, **{"snr_db": noise, **{k: v for k, v in ingredients.items() if k != "cause"}}
        )
        x = torch.stack([s.audio.samples - (s.cause.samples if "cause" in ingredients else 0) for s in made])
        logits = logits_of(lab.classifier, x)
        truth = torch.tensor([lab.classifier.labels.index(s.label) for s in made])
        margin = (logits.gather(1, truth[:, None])[:, 0] * 2 - logits.sum(1)).numpy()
        right = proportion_interval(int((margin > 0).sum()), len(margin))
        rows.append(
            {"clips": name, "accuracy": right.mean, "low": right.low, "high": right.high, "margin": margin.mean()}
        )
    table = pd.DataFrame(rows)
    bars = Bars(
        table["clips"].tolist(), {"accuracy": table["accuracy"]}, "accuracy",
        errors={"accuracy": np.array([table["accuracy"] - table["low"], table["high"] - table["accuracy"]])},
    )  # fmt: skip
    plain, bare = table["accuracy"].iloc[0], table["accuracy"].iloc[-1]
    return Section(
        "06-reliance", "6. Does it rely on noise or modulation?",
        f"The same clips at {noise:g} dB, where it errs, with one ingredient taken away. A network that used the noise or the "
        f"modulation would lose by it. Accuracy is {plain:.3f} as it is, {table['accuracy'].iloc[1]:.3f} without modulation, "
        f"{table['accuracy'].iloc[2]:.3f} without interferer, {table['accuracy'].iloc[3]:.3f} without noise, and {bare:.3f} "
        "without the tone, where nothing of the label is left. The margin is the logit of the true label minus the other's.",
        tables={"ingredients": table}, pictures={"ingredients": Picture([bars], "Accuracy without one ingredient.")},
    )  # fmt: skip
