"""The weights of every method's terms, as published or as documented, and what the other settings start from."""
import pytest
from hand_step import Hand

from mapkd_core.distill.methods import METHODS

MAPKD = {"attention_teacher": 0.5, "feature_teacher": 0.5, "response_teacher": 0.75, "attention_coach": 0.01,
         "feature_coach": 0.01, "response_coach": 0.01, "patches_teacher": 0.0, "patches_coach": 0.0,
         "sim_lidar": 0.0}  # fmt: skip
WEIGHTS = {
    "none": {},
    "kd_logit": {"response": 0.75},
    "kd_mse": {"feature": 0.5},
    "mapkd": MAPKD,
    "mapkd_code": MAPKD,
    "mapkd_final": {**dict.fromkeys(MAPKD, 0.0), "response_teacher": 0.75, "response_coach": 0.001},
    "mapkd_token": {**dict.fromkeys(MAPKD, 0.0), "patches_teacher": 0.5, "patches_coach": 0.01,
                    "response_teacher": 0.75, "response_coach": 0.01},
    "mapkd_coach": {**dict.fromkeys(MAPKD, 0.0),
                    "attention_teacher": 0.8, "feature_teacher": 0.8, "response_teacher": 0.8},
    "predictable": {"attention": 0.5, "feature": 0.5, "response": 0.75, "hallucination": 0.0},
    "line_space": {"response": 0.75, "hallucination": 0.1875},
    "ours": {"attention": 0.5, "feature": 0.5, "response": 0.75, "hallucination": 0.1875},
    "balanced": {"lines": 1.0, "background": 1.0, "feature": 0.0},
    "pyramid": {"overlap": 1.0, "feature": 0.0},
    "bridgeta": {"feature": 0.5, "decoder": 0.25, "response": 0.25, "assistant": 1.0},
    "dualdistill": {"lines": 6e-3, "background": 4e-2, "mistakes": 6e-2, "spatial": 2.5e-3, "head": 1.0,
                    "direction": 0.1},
    "distillbev": {"lines": 6e-3, "background": 4e-2, "mistakes": 6e-2, "spatial": 2.5e-3},
    "unidistill": {"feature": 10.0, "relation": 5.0, "response": 10.0, "direction": 10.0},
    "bevdistill": {"dense": 0.01, "instance": 0.2, "heat": 1.0},
    "tigbev": {"points": 100.0, "channels": 10.0},
    "mapdistill": {"relation": 1.0, "low": 1.0, "high": 1.0, "response": 0.1, "direction": 0.1},
    "x3kd": {"images": 1.0, "feature": 1.0, "adversary": 1.0, "output": 1.0},
    "labeldistill": {"label": 0.3, "teacher": 0.3, "response": 1.0, "encoder": 1.0},
}
SETTINGS = {
    "kd_mse": {"tap": "bev_small"},
    "mapkd": {"patch_m": 6.0, "as_released": False},
    "mapkd_code": {"patch_m": 6.0, "as_released": True},
    "predictable": {"patch_m": 6.0, "sharpness": 2.0},
    "balanced": {"coach_share": 0.0, "claimed": 0.3},
    "pyramid": {"coach_share": 0.0, "scales": (1, 2, 4, 8)},
    "bridgeta": {"eps": 1.0, "exact_young": False, "warmup_steps": 500},
    "dualdistill": {"temperature": 0.1, "inherit_head": True},
    "unidistill": {"teacher_temperature": 2.0},
    "bevdistill": {"temperature": 0.07},
    "tigbev": {"along": 24, "across": 9, "width_m": 1.6, "most_elements": 16},
    "mapdistill": {"relation": "patches", "patch_m": 6.0, "width": 64},
    "x3kd": {"strength": 0.1, "ramp": 0.2},
    "labeldistill": {"encoder_steps": 1000},
}
TAPS = {"mapkd": "bev_small", "mapkd_code": "bev_small", "mapkd_final": "semantic", "mapkd_token": "bev_small",
        "mapkd_coach": "bev_small",
        "kd_mse": "bev_small", "predictable": "bev_small", "ours": "bev_small", "bridgeta": "bev_small",
        "dualdistill": "enc3", "distillbev": "enc3", "unidistill": "enc3", "bevdistill": "bev_small",
        "tigbev": "up1", "mapdistill": "enc3", "x3kd": "bev_small", "labeldistill": "bev_small"}  # fmt: skip
COARSER = {"none", "kd_mse", "balanced", "pyramid"}


@pytest.mark.parametrize("name", METHODS)
def test_published_weights_and_settings(name):
    kind = METHODS[name]
    config = kind.Config()
    weights = {k.removesuffix("_weight"): v for k, v in vars(config).items() if k.endswith("_weight")}
    assert weights == WEIGHTS[name]
    for setting, value in SETTINGS.get(name, {}).items():
        assert getattr(config, setting) == value, setting
    assert kind.calibration_tap == TAPS.get(name, "semantic")
    assert kind.any_cells == (name in COARSER)


def test_a_weight_is_the_configs():
    hand = Hand()
    assert hand.method("mapkd", feature_coach_weight=0.125).weights() == {**MAPKD, "feature_coach": 0.125}
