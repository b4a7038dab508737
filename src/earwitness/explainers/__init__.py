"""One method per file; each is a frozen dataclass of hyper-parameters that answers a question."""

from earwitness.explainers.activation_map import ActivationMap
from earwitness.explainers.attention_rollout import AttentionRollout
from earwitness.explainers.base import Attribution, Budget, Explainer
from earwitness.explainers.conductance import Conductance
from earwitness.explainers.expected_gradients import ExpectedGradients
from earwitness.explainers.grad_cam import GradCAM
from earwitness.explainers.gradient import Gradient
from earwitness.explainers.gradient_input import GradientInput
from earwitness.explainers.gradient_shap import GradientSHAP
from earwitness.explainers.hires_cam import HiResCAM
from earwitness.explainers.hsic import HSIC
from earwitness.explainers.integrated_gradients import IntegratedGradients
from earwitness.explainers.kernel_shap import KernelSHAP
from earwitness.explainers.level_silence_map import LevelSilenceMap
from earwitness.explainers.lime import LIME
from earwitness.explainers.loudness import Loudness
from earwitness.explainers.lrp import LRP
from earwitness.explainers.occlusion import Occlusion
from earwitness.explainers.random_control import Random
from earwitness.explainers.rise import RISE
from earwitness.explainers.saliency import Saliency
from earwitness.explainers.score_cam import ScoreCAM
from earwitness.explainers.shapley import Shapley
from earwitness.explainers.silence_map import SilenceMap
from earwitness.explainers.smooth_grad import SmoothGrad
from earwitness.explainers.sobol import Sobol

METHODS = (
    *(Sobol, Shapley, KernelSHAP, LIME, HSIC, RISE, Occlusion),
    *(Saliency, Gradient, GradientInput, SmoothGrad, IntegratedGradients, ExpectedGradients, GradientSHAP),
    *(SilenceMap, LRP),
    *(GradCAM, HiResCAM, ScoreCAM, Conductance),
    *(AttentionRollout, ActivationMap),
    *(Loudness, LevelSilenceMap, Random),
)

__all__ = [
    "HSIC",
    "LIME",
    "LRP",
    "METHODS",
    "RISE",
    "ActivationMap",
    "AttentionRollout",
    "Attribution",
    "Budget",
    "Conductance",
    "ExpectedGradients",
    "Explainer",
    "GradCAM",
    "Gradient",
    "GradientInput",
    "GradientSHAP",
    "HiResCAM",
    "IntegratedGradients",
    "KernelSHAP",
    "LevelSilenceMap",
    "Loudness",
    "Occlusion",
    "Random",
    "Saliency",
    "ScoreCAM",
    "Shapley",
    "SilenceMap",
    "SmoothGrad",
    "Sobol",
]
