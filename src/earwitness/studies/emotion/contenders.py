"""Who takes part, and by which experiments they are judged.

The notebook has four: LIME, Grad-CAM, "LRP" (which is the gradient times the input) and the smooth silence map. Every other
method that applies takes part beside them, and two controls: a random map, and the loudness of each bin.

What is removed becomes the mean of the clip's own features, as in the notebook.
"""

from torch import nn

from earwitness.classifiers import Classifier
from earwitness.components import Bins, Factorization, Grid, Units
from earwitness.components.base import features_of
from earwitness.errors import UsageError
from earwitness.explainers import (
    HSIC,
    LIME,
    LRP,
    RISE,
    ActivationMap,
    Conductance,
    ExpectedGradients,
    Explainer,
    GradCAM,
    Gradient,
    GradientInput,
    GradientSHAP,
    HiResCAM,
    IntegratedGradients,
    KernelSHAP,
    LevelSilenceMap,
    Loudness,
    Occlusion,
    Random,
    Saliency,
    ScoreCAM,
    Shapley,
    SilenceMap,
    SmoothGrad,
    Sobol,
)
from earwitness.metrics import Comprehensiveness, Deletion, ImportantAgainstRandom, Insertion, Metric
from earwitness.questions.audio import prepared
from earwitness.studies.emotion.carried import Carried
from earwitness.studies.emotion.notebook import AsInTheNotebook
from earwitness.studies.emotion.trials import Settings

GRID = (8, 12)  # the notebook's rectangles for LIME: frequency x time
SHARE = 0.2  # of the bins, that count as important
FILL = "flat"
LIME_NAME, CAM_NAME, LRP_NAME, SILENCE_NAME = "lime", "grad-cam", "notebook-lrp", "level-silence-map"
NOTEBOOK = {
    LIME_NAME: "LIME",
    CAM_NAME: "Grad-CAM",
    LRP_NAME: "“LRP” (gradient x input)",
    SILENCE_NAME: "level silence map",
}
RANDOM_NAME, LOUDNESS_NAME = "random", "loudness"
SCATTERED, SHIFTED, DROP, PUBLISHED = "scattered", "shifted", "drop", "notebook"
LOGIT = " (logit)"


def taking_part(classifier: Classifier, clip: object, settings: Settings) -> dict[str, Explainer]:
    """The methods by their names on the page, controls last. clip: one that they are asked about, for its size.

    Raises `UsageError` for a model without a spectrogram.
    """
    seed, few = settings.seed, settings.samples
    size = features_of(classifier, prepared(classifier, clip))[0].shape[-2:]  # type: ignore[arg-type]
    if len(size) < 2:
        raise UsageError(
            "this model takes samples: the study compares maps of spectrograms. Take one with a spectral front end"
        )
    grid = Grid(min(GRID[0], size[0]), min(GRID[1], size[1]), baseline=FILL)
    cells = grid.frequency * grid.time
    asking = {
        LIME_NAME: LIME(few, seed), "sobol": Sobol(max(2, few // (cells + 1)), seed=seed),
        "shapley": Shapley(max(1, few // cells), seed=seed), "kernel-shap": KernelSHAP(few, seed), "hsic": HSIC(few, seed=seed),
        "rise": RISE(few, seed=seed), "occlusion": Occlusion(),
    }  # fmt: skip
    found: dict[str, Explainer] = {name: Carried(method, grid, cells) for name, method in asking.items()}
    layer = last_layer(classifier.network)
    if layer is not None:
        at_a_layer = {
            CAM_NAME: GradCAM(), "hi-res-cam": HiResCAM(), "score-cam": ScoreCAM(), "activation-map": ActivationMap(),
            "conductance": Conductance(),
        }  # fmt: skip
        found |= {name: Carried(method, Units(layer, baseline=FILL), 20) for name, method in at_a_layer.items()}
    found |= {
        LRP_NAME: GradientInput.paper(), "gradient-input": GradientInput(), "gradient": Gradient(), "saliency": Saliency(),
        "smooth-grad": SmoothGrad(seed=seed), "integrated-gradients": IntegratedGradients(),
        "expected-gradients": ExpectedGradients(50, seed), "gradient-shap": GradientSHAP(seed=seed), "lrp": LRP(),
        "silence-map": SilenceMap(seed=seed), SILENCE_NAME: LevelSilenceMap(seed=seed),
    }  # fmt: skip
    controls = {} if classifier.frontend is None else {LOUDNESS_NAME: Loudness()}
    return found | controls | {RANDOM_NAME: Random(seed)}


def judges(settings: Settings) -> dict[str, Metric]:
    """The experiments by their names on the page."""
    seed, found = settings.seed, dict[str, Metric]()
    for of, ending in (("probability", ""), ("score", LOGIT)):
        for regions in (SCATTERED, SHIFTED):
            found[regions + ending] = ImportantAgainstRandom(SHARE, regions, settings.draws, of, seed)
        found[DROP + ending] = Comprehensiveness((SHARE,), of, seed)
    found |= {"deletion": Deletion(settings.steps, seed=seed), "insertion": Insertion(settings.steps, seed=seed)}
    return found | {PUBLISHED: AsInTheNotebook(seed=seed)}


def pixels() -> Factorization:
    """Every bin, filled with the mean of the clip's features where it is removed."""
    return Bins(baseline=FILL)


def last_layer(network: nn.Module) -> str | None:
    """Where the CAM family looks: behind the last stage of a ResNet, else behind the last convolution over a picture."""
    if "layer4" in dict(network.named_children()):
        return "layer4"
    return next((n for n, part in reversed(list(network.named_modules())) if isinstance(part, nn.Conv2d)), None)
