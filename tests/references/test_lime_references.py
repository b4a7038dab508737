"""LIME against lime and captum, KernelSHAP against shap and captum: the same game, and where it can be, the same masks."""

import numpy as np
import pytest
import torch

import earwitness as ew

pytestmark = pytest.mark.reference

N = 10
HIDDEN = torch.tensor(np.random.default_rng(4).normal(size=(N, 6)))


def network(m):
    m = torch.as_tensor(m).double()
    hidden = torch.relu(m @ HIDDEN - 0.3)
    return torch.tanh(hidden.sum(1) / 3 - 1) * 2 + hidden[:, 0] + m[:, 1] * m[:, 2] * m[:, 3]


GAME = ew.Game(N, network)


def asked(explainer: ew.Explainer) -> np.ndarray:
    """The masks of an explainer, without the two ends that come first."""
    rows: list[np.ndarray] = []
    explainer(ew.Game(N, lambda m: (rows.append(m.numpy().copy()), network(m))[1]))
    return np.concatenate(rows)[2:].astype(float)


def theirs(explainer: ew.LIME, **options):
    """What lime makes of the same masks and weights: coefficients by component, and R²."""
    lime_base = pytest.importorskip("lime.lime_base")
    masks = asked(explainer)
    distances = 1 - np.sqrt(masks.mean(1))
    base = lime_base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / explainer.width**2)))
    labels = network(masks).numpy()[:, None]
    masks = np.vstack([np.ones(N), masks])  # they want the clip itself as the first row; of weight 0 here
    found = base.explain_instance_with_data(
        masks, np.vstack([labels[:1], labels]), np.concatenate([[1e3], distances]), 0, **options
    )
    coefficients = np.zeros(N)
    for index, weight in found[1]:
        coefficients[index] = weight
    return coefficients, found[2]


@pytest.mark.parametrize("design", ["iid", "hadamard"])
def test_lime_on_the_same_masks(design):
    linear = pytest.importorskip("sklearn.linear_model").LinearRegression
    ours = ew.LIME(500, design=design)
    coefficients, r2 = theirs(ours, num_features=N, model_regressor=linear())
    found = ours(GAME)
    np.testing.assert_allclose(found.values, coefficients, atol=1e-9)
    assert found.numbers["fidelity"] == pytest.approx(r2, abs=1e-9)


@pytest.mark.parametrize("features", [1, 3, 5, 8])
def test_lime_selects_the_same_features(features):
    linear = pytest.importorskip("sklearn.linear_model").LinearRegression
    ours = ew.LIME(500, features=features, selection="auto")
    coefficients, _ = theirs(ours, num_features=features, model_regressor=linear())
    np.testing.assert_allclose(ours(GAME).values, coefficients, atol=1e-9)


def test_limes_ridge_is_ours_of_8_over_the_samples():
    """Their Ridge(alpha=1) shrinks as ours does, to 15 % of the shrinkage: weights are about 1/2, variances about 1/4."""
    ours = ew.LIME.audiolime(500)
    plain = ew.LIME(500, design="iid")(GAME).values
    coefficients, _ = theirs(ours, num_features=N)
    off, shrunk = np.abs(ours(GAME).values - coefficients).max(), np.abs(plain - coefficients).max()
    assert 0 < off < 0.15 * shrunk


def test_captum_lime():
    """Independent masks of their own drawing, the same kernel: within both sampling errors of the fit to all masks."""
    from captum._utils.models.linear_model import SkLearnLinearRegression
    from captum.attr import Lime

    def similarity(original, perturbed, mask, **_):
        return torch.exp(-(((1 - mask.double().mean().sqrt()) / 0.25) ** 2) / 2)

    torch.manual_seed(0)
    lime = Lime(network, interpretable_model=SkLearnLinearRegression(), similarity_func=similarity)
    found = lime.attribute(torch.ones(1, N), n_samples=4000, perturbations_per_eval=500).numpy()[0]
    sampled, truth = ew.LIME(1000, design="iid")(GAME), ew.LIME(1024)(GAME).values
    assert (np.abs(found - truth) < 5 * sampled.stderr / 2).all()  # 4 times the samples, half the error


def test_captums_lasso_zeroes_a_small_score_where_ours_does_not():
    """Their default penalty is 0.01 in units of the score: the same game on a smaller scale is explained by nothing at all."""
    from captum.attr import Lime

    torch.manual_seed(0)
    small = ew.Game(N, lambda m: network(m) / 100)
    found = Lime(small.function).attribute(torch.ones(1, N), n_samples=500).numpy()
    assert (found == 0).all()
    np.testing.assert_allclose(ew.LIME(500)(small).values, ew.LIME(500)(GAME).values / 100, atol=1e-9)


def test_shap_with_all_coalitions():
    shap = pytest.importorskip("shap")
    explainer = shap.KernelExplainer(lambda m: network(m).numpy(), np.zeros((1, N)))
    found = explainer.shap_values(np.ones(N), nsamples=2**N, l1_reg=False, silent=True)
    np.testing.assert_allclose(ew.KernelSHAP(1022)(GAME).values, found, atol=1e-7)


def errors(ours: int, attribute, question: ew.Game, truth: np.ndarray, seeds: int) -> tuple[float, float]:
    """The mean squared errors of ours with so many samples, and of theirs, `attribute(seed)`, over seeds."""
    mine = [ew.KernelSHAP(ours, seed).attribute(question).values - truth for seed in range(seeds)]
    return float(np.mean(np.square(mine))), float(np.mean([(attribute(seed) - truth) ** 2 for seed in range(seeds)]))


def by_shap(function, size: int, samples: int):
    shap = pytest.importorskip("shap")
    explainer = shap.KernelExplainer(lambda m: function(m).numpy(), np.zeros((1, size)))

    def attribute(seed: int) -> np.ndarray:
        np.random.seed(seed)  # the only seed that they take
        return explainer.shap_values(np.ones(size), nsamples=samples, l1_reg=False, silent=True)

    return attribute


def by_captum(function, size: int, samples: int):
    from captum.attr import KernelShap

    def attribute(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        found = KernelShap(function).attribute(torch.ones(1, size), n_samples=samples, perturbations_per_eval=samples)
        return found.numpy()[0]

    return attribute


WEIGHTS = torch.tensor(np.random.default_rng(0).normal(size=(32, 8))) / 2


def rectified(m):
    return torch.relu(torch.as_tensor(m).double() @ WEIGHTS - WEIGHTS.sum(0) * 0.4).sum(1)


def test_samples_of_ours_shap_and_captum():
    """The same budget of 32 components: shap asks all of the smallest and largest coalitions, which leaves fewer for those
    between, and captum draws without opposites; their squared errors are about twice and many times ours."""
    question = ew.Game(32, rectified)
    truth = ew.KernelSHAP(1 << 15, seed=77)(question).values
    ours, theirs = errors(512, by_shap(rectified, 32, 512), question, truth, 15)
    assert ours < 0.75 * theirs
    ours, theirs = errors(512, by_captum(rectified, 32, 512), question, truth, 15)
    assert ours < 0.5 * theirs


def test_where_shap_samples_better():
    """200 of 1,022 coalitions, and products of three: shap, which asks no coalition twice, errs a third less. All are right in
    the mean."""
    truth = ew.KernelSHAP(1022)(GAME).values
    ours, theirs = errors(200, by_shap(network, N, 200), GAME, truth, 30)
    assert 1 < ours / theirs < 3
    for attribute in (by_shap(network, N, 200), by_captum(network, N, 200)):
        values = np.array([attribute(seed) for seed in range(30)])
        assert (np.abs(values.mean(0) - truth) < 5 * values.std(0) / np.sqrt(30)).all()
