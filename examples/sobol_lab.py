# %% [markdown]
# # Sobol attribution for audio: a lab of two hours
#
# A small network tells a low tone from a high one. We ask it what it listened to, see and hear the answer, and find out how
# far the answer can be trusted.
#
# This file is a notebook: VS Code and Spyder run its cells as they stand, Jupyter opens it with jupytext (*Open With →
# Notebook*), and `python examples/sobol_lab.py` runs all of it. Pictures and sounds are written into one folder,
# `sobol-lab-notebook/`, where you start it. With `EARWITNESS_QUICK=1` in the environment
# much less is measured, in about half a minute; a full run takes some minutes.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

import earwitness as ew
from earwitness.classifiers.zoo import SmallSpecCNN
from earwitness.data.synthetic import Tones, scenes
from earwitness.statistics import rank_stability
from earwitness.studies.scene_training import logits_of, stacked, train_scenes

# %% [markdown]
# How much is measured. All chance comes from `SEED`: the same seed gives the same clips, weights and maps.

# %%
SEED = 225
QUICK = bool(os.environ.get("EARWITNESS_QUICK"))
CLIPS, EPOCHS, BATCH = ((240, 80), 3, 16) if QUICK else ((2000, 400), 6, 64)
TESTED, EXPLAINED = (40, 6) if QUICK else (400, 20)  # clips for each accuracy; clips whose maps are judged
GRID, SAMPLES = (8, 16) if QUICK else (8, 256)  # of the maps that are looked at
OUT = Path("sobol-lab-notebook")
OUT.mkdir(exist_ok=True)


# %% [markdown]
# Three helpers: to keep a picture, to draw numbers over time and frequency, and to keep a sound (a notebook also shows a
# player).


# %%
def keep(figure, name):
    figure.savefig(OUT / f"{name}.png", dpi=110)


def draw(panel, values, axes, title, top=2000, signed=False):
    limit = abs(values).max()
    colours = {"cmap": "PuOr_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "magma", "vmin": 0}
    panel.pcolormesh(axes[1].edges, axes[0].edges, values, **colours)
    panel.set(title=title, xlabel="time (s)", ylabel="frequency (Hz)", ylim=(0, top))


# %%
def play(audio, name):
    audio.save(OUT / f"{name}.wav")
    if "get_ipython" in globals():
        from IPython.display import Audio, display

        display(Audio(str(OUT / f"{name}.wav")))


# %% [markdown]
# ## 1. A scene
#
# Half a second at 8 kHz. A tone of 220 Hz is called *low*, one of 880 Hz *high*. Its amplitude swells by 30 % two to six
# times a second; beside it sound another tone, which means nothing, and white noise 0 to 20 dB below the tone. A pair of
# numbers is a range from which each clip draws its own; a single number is the same for all clips.

# %%
recipe = Tones(seconds=0.5, sample_rate=8000, frequencies=(220.0, 880.0), depth=0.3, interferer=0.3, snr_db=(0.0, 20.0))
print(recipe)

# %% [markdown]
# A scene knows its cause: the tone that makes the label, alone. Listen to both.

# %%
scene = recipe(seed=SEED, label="high")
print(scene.label, scene.audio, f"cause alone: {scene.cause.rms_db:.1f} dB")
play(scene.audio, "scene")
play(scene.cause, "scene-cause")

# %% [markdown]
# ## 2. Four waveforms
#
# The first 50 ms of four clips, the tone alone drawn on top. Which of them could you label by eye?

# %%
four = list(scenes(recipe, 4, (SEED, 2)))
figure, panels = plt.subplots(2, 2, figsize=(10, 5), layout="constrained", sharex=True, sharey=True)
for panel, scene in zip(panels.flat, four, strict=True):
    near = 1000 * np.arange(400) / scene.audio.sample_rate
    panel.plot(near, scene.audio.samples[:400], color="0.6", label="clip")
    panel.plot(near, scene.cause.samples[:400], label="tone alone")
    panel.set(title=scene.label, xlabel="time (ms)")
panels[0, 0].legend()
keep(figure, "waveforms")

# %% [markdown]
# ## 3. What the network sees
#
# The spectrogram log(1 + |X|) of windows of 256 samples (32 ms), one every 64 (8 ms): rows of 31.25 Hz. The network gets each
# clip's spectrogram with mean 0 and variance 1, so how loud a clip is played does not matter to it; for the picture we leave
# that out.

# %%
frontend = ew.LogSTFT(sample_rate=8000, n_fft=256, hop_length=64, standardise=True)
plain = ew.LogSTFT(sample_rate=8000, n_fft=256, hop_length=64)
axes = frontend.axes(len(scene.audio.samples))
print(f"{axes[0].size} rows of frequency x {axes[1].size} columns of time")

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for panel, scene in zip(panels, four[:2], strict=True):
    draw(panel, plain(scene.audio.samples[None])[0, 0], axes, scene.label)
keep(figure, "spectrograms")

# %% [markdown]
# ## 4. The data set
#
# 2000 clips to learn from and 400 others to test on, no two alike. The network eats them in batches.

# %%
x, y = stacked(recipe, CLIPS[0], (SEED, 0))
x_test, y_test = stacked(recipe, CLIPS[1], (SEED, 1))
print(f"to learn from: {list(x.shape)}, {int((y == 0).sum())} of them low; to test on: {list(x_test.shape)}")
print(f"a batch: waveforms {list(x[:BATCH].shape)}, features {list(frontend(x[:BATCH]).shape)}")

# %% [markdown]
# ## 5. The network
#
# Four blocks of convolution, batch normalisation, ReLU and pooling; the mean over all places; one linear layer.


# %%
def network(classes):
    return SmallSpecCNN(classes).to(memory_format=torch.channels_last)  # the same answers, twice as fast on a CPU


with torch.random.fork_rng(devices=[]):  # leaves your own random numbers alone
    untrained = network(len(recipe.labels))
print(untrained)
print(f"{sum(p.numel() for p in untrained.parameters()):,} parameters")

# %% [markdown]
# ## 6. Training
#
# `train_scenes` makes the clips of section 4 (the same seeds), trains on the first lot and tests on the other after each
# epoch.

# %%
trained = train_scenes(
    recipe, frontend, network=network, clips=CLIPS, epochs=EPOCHS, batch=BATCH, seed=SEED,
    progress=lambda epoch, epochs, record: print(f"epoch {epoch} of {epochs}: loss {record['loss']:.3f}"),
)  # fmt: skip
classifier = trained.classifier
print(f"accuracy on clips that it has not seen: {trained.history[-1]['accuracy']:.3f}")

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
for panel, name in zip(panels, ("loss", "accuracy"), strict=True):
    panel.plot(range(1, EPOCHS + 1), [record[name] for record in trained.history], "o-")
    panel.set(xlabel="epoch", title=name, xticks=range(1, EPOCHS + 1))
keep(figure, "training")

# %% [markdown]
# ## 7. Where it errs
#
# Between 0 and 20 dB there is little to see: it is nearly always right. So we go on, to noise far louder than it has learnt
# from. The scenes are the same at each level of noise, and always the lab's own, whatever `recipe` the network has learnt
# from.


# %%
def tested(snr_db):
    made = list(scenes(Tones(snr_db=snr_db), TESTED, (SEED, 2)))
    logits = logits_of(classifier, torch.stack([scene.audio.samples for scene in made]))
    return [(scene, classifier.labels[i]) for scene, i in zip(made, logits.argmax(1).tolist(), strict=True)]


levels = (20.0, 10.0, 0.0, -10.0, -15.0, -20.0, -25.0)
answers = {snr: tested(snr) for snr in levels}
accuracy = [np.mean([scene.label == said for scene, said in answers[snr]]) for snr in levels]

# %%
figure, panel = plt.subplots(figsize=(6, 3), layout="constrained")
panel.plot(levels, accuracy, "o-")
panel.set(xlabel="signal-to-noise ratio (dB)", ylabel="accuracy", ylim=(0.4, 1.02))
panel.axvspan(0, 20, alpha=0.1, label="learnt from")
panel.legend()
keep(figure, "accuracy-by-noise")

# %% [markdown]
# Clips that are called by the wrong name, those with the least noise first. Can you see the tone?

# %%
wrong = [(snr, scene, said) for snr in levels for scene, said in answers[snr] if scene.label != said]
figure, panels = plt.subplots(1, 4, figsize=(14, 3.5), layout="constrained", sharey=True)
for panel, (snr, scene, said) in zip(panels, wrong[:4], strict=False):
    draw(panel, plain(scene.audio.samples[None])[0, 0], axes, f"{scene.label}, called {said}, {snr:g} dB")
keep(figure, "misclassified")

# %% [markdown]
# ## 8. A Sobol map
#
# The spectrogram is cut into 8 x 8 cells. Each cell gets a random level between silence (0) and what it was (1), many times
# over, and each time the network is asked. The total Sobol index of a cell is the share of the score's variance in which the
# cell has a part, alone or together with others. One *design* is a set of levels for all cells; it costs an evaluation, and
# one more per cell.

# %%
method = ew.Sobol(designs=SAMPLES, seed=SEED)
shown = Tones(snr_db=10.0)(seed=SEED, label="high")
explanation = ew.explain(classifier, shown.audio, method, components=ew.Grid(GRID, GRID))
print(explanation.prediction, f"{explanation.evaluations:,} evaluations")
for region in explanation.top(3):
    print(region)

# %%
explanation.plot(OUT / "sobol-map.png")

# %% [markdown]
# Where the network is right, the predicted and the true class are one. On a clip that it gets wrong we can ask twice: why
# what it said, and why (not) what is true? An index has no sign, so below each map stands the slope of the score on each
# cell's level: does the cell speak for the class, or against it? And where does the score start, in silence?

# %%
snr, lost, said = wrong[0]
maps = {name: method(ew.ask(classifier, lost.audio, ew.Grid(GRID, GRID), name)) for name in (said, lost.label)}
figure, panels = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
draw(panels[0, 0], plain(lost.audio.samples[None])[0, 0], axes, f"{lost.label}, called {said}, {snr:g} dB", 4000)
panels[1, 0].axis("off")
for column, (name, found) in enumerate(maps.items(), 1):
    draw(panels[0, column], found.values, found.axes, f"why {name}?", 4000)
    draw(panels[1, column], found.signed, found.axes, f"for (orange) or against {name}", 4000, signed=True)
keep(figure, "predicted-and-true")
print(f"rank correlation of the two maps: {rank_stability([found.values for found in maps.values()]):.2f}")
for name, found in maps.items():
    print(f"score of {name}: {found.baseline:.2f} for silence, {found.score:.2f} for the clip")

# %% [markdown]
# ## 9. Listen to it
#
# The best fifth of the cells as one sound, everything else as another; together they are the clip. The network is asked about
# each sound itself, so the answer beside it is its answer to what you hear.

# %%
kept, removed = explanation.hear(keep=0.2), explanation.hear(keep=0.2, remove=True)
print("kept:   ", kept)
print("removed:", removed)
for name, part in {"clip": shown, "kept": kept, "removed": removed}.items():
    play(part.audio, name)

# %% [markdown]
# ## 10. Grids and samples
#
# Nine maps of one clip, and how well each is known. Its standard error, over the mean index, is what the map says of itself;
# rank stability is the mean rank correlation of maps that differ only in the seed of their random levels. 64 samples are drawn
# with three seeds, 256 with two, 1024 with one only, as the finest of these maps alone costs 148,480 evaluations. To repeat it
# too, change its 1 into a 3 and have a coffee.

# %%
SIDES = (2, 4, 6) if QUICK else (4, 8, 12)
SEEDS = {4: 2, 8: 2, 16: 1} if QUICK else {64: 3, 256: 2, 1024: 1}  # samples: how many seeds
questions = {side: ew.ask(classifier, shown.audio, ew.Grid(side, side), shown.label) for side in SIDES}
print("grid  samples  evaluations  error/index  rank stability")
drawn = {}
for side, samples in [(side, samples) for side in SIDES for samples in SEEDS]:
    runs = [ew.Sobol(samples, seed=SEED + number)(questions[side]) for number in range(SEEDS[samples])]
    error = runs[0].stderr.mean() / runs[0].values.mean()
    stability = f"{rank_stability([found.values for found in runs]):.3f}" if len(runs) > 1 else "one seed"
    print(f"{side:4} {samples:8} {runs[0].evaluations:12,} {error:12.2f} {stability:>15}")
    drawn[side, samples] = runs[0]

# %%
figure, panels = plt.subplots(3, 3, figsize=(11, 9), layout="constrained")
for panel, ((side, samples), found) in zip(panels.flat, drawn.items(), strict=True):
    draw(panel, found.values, found.axes, f"{side} x {side}, {samples} samples", 4000)
keep(figure, "grids-and-samples")

# %% [markdown]
# ## 11. Gradient saliency beside Sobol
#
# The gradient says how steep the score is at the clip itself: one backward pass, and a value for each single bin. On the left
# as it is, in the middle summed over Sobol's cells, on the right Sobol. `Sobol` moves whole cells all the way; the gradient,
# each bin a hair's breadth.

# %%
question = ew.ask(classifier, shown.audio, ew.Grid(GRID, GRID), shown.label)
fine = ew.Saliency()(ew.ask(classifier, shown.audio, ew.Bins(), shown.label))
saliency = ew.Saliency()(question)
figure, panels = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
for panel, (name, found) in zip(panels, {"bins": fine, "cells": saliency, "Sobol": explanation}.items(), strict=True):
    draw(panel, found.values, found.axes, name if name == "Sobol" else f"saliency, {name}", 4000)
keep(figure, "saliency-and-sobol")
print(f"rank correlation over cells: {rank_stability([saliency.values, explanation.values]):.2f}")

# %% [markdown]
# ## 12. Is it true?
#
# Here the cause is known. Pointing game: does the best cell lie on the tone? Deletion: the area below the score while cells
# are removed, best first; the lower, the more the order means to the network. `Random` knows nothing: whatever doesn't beat
# it has explained nothing.

# %%
methods = {"Sobol": ew.Sobol(designs=8 if QUICK else 32, seed=SEED), "saliency": ew.Saliency()}
pointing, deletion = ew.metrics.PointingGame(), ew.metrics.Deletion()
hits, falls = {}, {}
for number, scene in enumerate(scenes(Tones(), EXPLAINED, (SEED, 3))):
    question = ew.ask(classifier, scene.audio, ew.Grid(8, 8), scene.label, truth=scene.truth)
    for name, asked in {**methods, "random": ew.Random(seed=SEED + number)}.items():
        found = asked(question)
        hits.setdefault(name, []).append(pointing(question, found))
        falls.setdefault(name, []).append(deletion(question, found))

# %%
figure, panel = plt.subplots(figsize=(6, 4), layout="constrained")
for name, found in falls.items():
    print(f"{name:>8}: pointing game {np.mean(hits[name]):.2f}, deletion {np.mean(found):.2f} logits")
    panel.plot(found[0].shares, np.mean([score.values for score in found], axis=0), label=name)
panel.set(xlabel="share of the cells removed, best first", ylabel="score (logits)")
panel.legend()
keep(figure, "deletion")

# %% [markdown]
# ## The old call and ours
#
# The lab's old sheet asked for its map like this. By the package's source, the call fails at its first keyword:
#
# ```python
# explanation = SobolAttributionMethod(model, grid_size=8, nb_samples=256, batch_size=32).explain(x, target=c)
# ```
#
# The same here; `x` is the recording, the target has a name, and batches, devices and gradients are looked after:
#
# ```python
# explanation = ew.explain(classifier, audio, ew.Sobol(designs=256), target="high", components=ew.Grid(8, 8))
# ```
#
# What the published package (`fel-thomas/Sobol-Attribution-Method`, PyTorch part, by reading its source) makes of the old
# call:
#
# | the old sheet | the package | here |
# |---|---|---|
# | `nb_samples=256` | no such argument: `nb_design`, a power of two | `designs`, any number from 2 |
# | `.explain(x, target=c)` | no such method: one calls `explainer(inputs, labels)` | `ew.explain(...)` |
# | a number as the target | an iterable of labels, one for each input | a label, its number, `"high - low"` |
# | a tensor comes back | a list of 2-D numpy arrays, so no `.detach()` | an `Explanation`: axes, errors |
# | runs anywhere | moves its masks to CUDA when it is built | runs where the network is |
# | any spectrogram | swaps the sides: 129 x 63 gives a stretched map of 63 x 129 | any shape |
# | repeated maps differ | one unscrambled sequence: always the same map | another `seed`, other masks |
#
# Its setting, to compare with ours (deterministic, so without standard errors): `ew.Sobol.paper(designs=64)`.

# %% [markdown]
# ## Exercises
#
# Twelve questions. Each names the line to change; run the notebook again from there. Write down what you expect *first*.
# Measured answers to all of them come from `earwitness study sobol-lab`; those of our own run stand in
# `docs/results/sobol-lab/README.md`.

# %% [markdown]
# **Q1. Why a tone that swells?** Would the task be trivial if the tone kept its amplitude, or is it trivial anyhow?
#
# *Change* section 1: `recipe = Tones(depth=0.0)`; section 7 still tests on swelling tones. Then `depth=0.9` in section 7 as
# well. Could you solve the task with two rows of the spectrogram?

# %% [markdown]
# **Q2. Always the same phase and level?** What could a network learn then, that fails on the next recording?
#
# *Change* section 1: `recipe = Tones(phase=0.0, level=0.75, peak=None)`, and section 3: `standardise=False` in `frontend`. In
# section 7 test the same clips played more softly: `0.1 * torch.stack(...)`. Would a network on samples, not on spectrograms,
# suffer more?

# %% [markdown]
# **Q3. Why log(1 + |X|) and not |X|?** Which parts of a spectrogram does the logarithm bring out, and what does it do to a
# mask?
#
# *Change* section 3: `level="linear"` in both front ends. Look at the spectrograms, at the accuracy by noise, and at how
# concentrated the map of section 8 is.

# %% [markdown]
# **Q4. What do `n_fft` and `hop_length` trade?** What is gained and what is lost with longer windows? And with a smaller hop?
#
# *Change* section 3: `n_fft=1024, hop_length=256`, then `n_fft=64, hop_length=16`, in both front ends. In which can you still
# see the tone beside its neighbour, in which the swelling? Watch the time that training takes.

# %% [markdown]
# **Q5. Why does a CNN see local patterns?** How large is the piece of the spectrogram that one number behind the last block
# depends on?
#
# *Change* section 5: `SmallSpecCNN(classes, channels=(16,))`, one block that sees 4 x 4 bins. What can it still tell apart?
# Then two and three blocks. Does the map get narrower?

# %% [markdown]
# **Q6. Shifted in time, shifted in frequency.** Which of the two should leave the answer alone, and which does? What in the
# network makes it so, the convolutions or the mean at its end?
#
# *Add* behind section 6: `logits_of(classifier, torch.roll(frontend(x_test), 5, dims=3), "features").argmax(1)` and hold it
# against `y_test`; `dims=3` rolls along time, `dims=2` along frequency. How far can you roll?

# %% [markdown]
# **Q7. Finer grids.** Why is each cell of a fine grid harder to estimate, with the same number of samples and with the same
# cost?
#
# *Change* section 10: `SIDES = (4, 8, 12, 16)`; for equal cost take about `20000 // (side * side + 1)` samples. Read the
# columns of the table: what happens to the mean index, and what to its error?

# %% [markdown]
# **Q8. Where should the map be bright?** Write down for each class which rows of the 8 x 8 grid matter. Should the row of the
# *other* tone?
#
# *Add* behind section 8: `print(explanation.values.sum(1) / explanation.values.sum())`, for a scene of each label. *Change*
# the scene to `Tones(snr_db=10.0, interferer_hz=1300.0)`: how much lies on the interferer, in the third row?

# %% [markdown]
# **Q9. What does Sobol show that saliency doesn't, and the reverse?** Think of two cells of which either would do, of a score
# that has saturated, and of details smaller than a cell.
#
# *Change* section 8: `ew.Sobol(designs=SAMPLES, seed=SEED, amplitude=0.05)`, levels close to the clip itself. Is the map
# nearer to saliency now?

# %% [markdown]
# **Q10. Choose a grid.** Name two criteria and defend your choice with numbers from section 10.
#
# *Change* section 8: `ew.Grid(16, 4)` has as many cells as 8 x 8, cut to the shape of a tone: thin and long. Which of your
# criteria does it serve, and what does it hide?

# %% [markdown]
# **Q11. A map that looks nice and misleads.** Draw one: smooth, plausible, on something that can be seen, and wrong. How is
# it caught?
#
# *Add* behind section 12: `guess = np.zeros((8, 8)); guess[2] = 1` for clips of `Tones(interferer=0.6,
# interferer_hz=1300.0)`, and `found = ew.Explanation.of(question, guess)`. What do `pointing` and `deletion` say? What does
# `found.hear()`?

# %% [markdown]
# **Q12. A network that lives on noise.** Train one that is right for the wrong reason, and find the reason without looking at
# its data.
#
# *Change* section 1: `from earwitness.studies.sobol_lab.shortcuts import Confounded` and `recipe = Confounded()`: low clips
# are noisy, high ones are not. What does its accuracy in section 6 say, what in section 7, and where is its map bright?
