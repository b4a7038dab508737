"""earwitness: explain any audio classifier, hear the explanation, and cross-examine it.

    import earwitness as ew

    classifier = ew.load_classifier("models/esc10")
    explanation = ew.explain(classifier, ew.load("dog.wav"), ew.Sobol(), target="dog", components=ew.Grid(8, 8))
    explanation.top(3)
    explanation.hear(keep=0.2).save("why.wav")

A name is imported when it is first used, so that `import earwitness` is quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "audio": ("Audio", "load"),
    "axes": ("Axis",),
    "errors": ("EarwitnessError", "InputError", "ModelError", "UsageError"),
    "fingerprints": ("fingerprint",),
    "frontends": (
        *("FrontEnd", "LogCQT", "LogERB", "LogMel", "LogSTFT", "Picture", "Waveform"),
        *("ASTMel", "SeamlessMel", "WhisperMel"),
    ),
    "classifiers": ("BlackBox", "Classifier", "load_classifier", "neurons", "save_classifier"),
    "classifiers.hub": ("hugging_face",),
    "components": (
        *("Bands", "Bins", "Cells", "Components", "Factorization", "Frames", "Grid", "Segments"),
        *("DatasetMean", "HarmonicPercussive", "NMFAtoms", "Separated", "Stems", "Superpixels", "Units", "Words"),
    ),
    "questions": ("AudioQuestion", "Game", "Question", "ask"),
    "explanations": ("Explanation",),
    "explainers": (
        *("Budget", "Explainer", "LevelSilenceMap", "Loudness", "Random"),
        *("HSIC", "KernelSHAP", "LIME", "Occlusion", "RISE", "Shapley", "Sobol"),
        *("ExpectedGradients", "Gradient", "GradientInput", "GradientSHAP", "IntegratedGradients"),
        *("Saliency", "SilenceMap", "SmoothGrad", "GradCAM", "HiResCAM", "ScoreCAM"),
        *("ActivationMap", "AttentionRollout", "Conductance", "LRP"),
    ),
    "progress_bars": ("progress",),
    "studies.explaining": ("explain",),
    "studies.verifying": ("Verdict", "verify"),
    "studies.comparing": ("compare",),
}
_MODULE_OF = {name: module for module, names in _WHERE.items() for name in names}
_PARTS = ("metrics", "statistics")  # whose names are said with theirs: ew.metrics.Deletion()

__all__ = sorted([*_MODULE_OF, *_PARTS])


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"earwitness.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'earwitness' has no attribute {name!r}")
    value = getattr(import_module(f"earwitness.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
