from mapkd_core.metrics.tables import main_table, markdown, percent

AP = {"mAP": 0.5, "per_class": {"divider": 0.25, "ped_crossing": None, "boundary": 0.75}}
IOU = {"miou": 0.123456, "divider": 0.1, "ped_crossing": None, "boundary": 0.2}
LINE = {
    "true_m": 20.0, "predicted_m": 0.0, "recall": {"0.5": 0.5, "1": 0.6, "1.5": 0.7},
    "precision": {"0.5": None, "1": None, "1.5": None},
}  # fmt: skip
SUMMARY = {"frames": 3, "iou": IOU, "iou_exact_lines": None, "ap": {"ap_chamfer": {"0.5/1/1.5": AP}}}


def test_every_row_has_the_columns_of_its_heading():
    result = {
        **SUMMARY,
        "by_distance": {"0-10 m": {"iou": IOU, "ap_chamfer_corrected": {"0.5/1/1.5": AP}}},
        "by_condition": {"night": SUMMARY},
        "lines": {"0-15 m": {"boundary": LINE}},
        "aligned": {"lines": {"0-15 m": {"boundary": LINE}}, "motions": {"a": {"x_m": 1, "y_m": 0, "yaw_deg": -0.5}}},
        "latency_ms": {"network": 12.34},
        "notes": ["a note"],
    }
    text = markdown(result, "My model")
    assert text.startswith("# My model\n") and "- a note" in text and "| 12.3 |" in text
    assert "| aligned | 0-15 m | boundary | 20 | 0 | 50/60/70 | -/-/- |" in text
    assert "| a | 1.00 | 0.00 | -0.50 |" in text
    for block in text.split("\n\n"):
        widths = {row.count("|") for row in block.splitlines() if row.startswith("|")}
        assert len(widths) <= 1
    assert "| night | 3 | 12.35 | 50.00 |" in text


def test_percent_and_missing_values():
    assert percent(None) == "-" and percent(0.98765) == "98.77" and percent(0.0) == "0.00" and percent(0.5, 0) == "50"
    assert "| `ap_chamfer` | 0.5/1/1.5 | 25.00 | - | 75.00 | 50.00 |" in main_table(SUMMARY)


def test_words_of_a_file_stay_words():
    """No table cell, link, tag or heading of their own."""
    evil = "a|b <img src=x> [c](d) `e`\n# f"
    text = markdown({**SUMMARY, "by_condition": {evil: SUMMARY}, "notes": [evil], "by_distance": {}}, evil)
    shown = r"a\|b \<img src=x\> \[c\](d) \`e\` # f"
    assert text.startswith(f"# {shown}\n") and f"- {shown}" in text and f"| {shown} | 3 |" in text
    assert "<img" not in text.replace(r"\<img", "")


def test_each_number_stands_under_its_heading():
    line = {"true_m": 7.0, "predicted_m": 0.0, "recall": {"0.5": 0.1, "1": 0.2, "1.5": 0.3},
            "precision": {"0.5": 0.4, "1": 0.5, "1.5": 0.6}}  # fmt: skip
    nothing = {**line, "true_m": 0.0}
    other = {**line, "true_m": 0.0, "predicted_m": 9.0}
    ap = {"mAP": 0.9, "per_class": {"divider": 0.7, "ped_crossing": 0.8, "boundary": None}}
    every = {"ap_hdmapnet": {"a": AP}, "ap_hdmapnet_corrected": {"a": AP}, "ap_chamfer_corrected": {"a": ap}}
    text = markdown({
        **SUMMARY, "iou_exact_lines": {"miou": 0.4, "divider": 0.1, "ped_crossing": 0.2, "boundary": 0.3},
        "openlane_v2": ap, "lines": {"0-15 m": {"divider": line, "boundary": nothing, "ped_crossing": other}},
        "aligned": {"lines": {}, "motions": {str(k): {"x_m": k, "y_m": 0, "yaw_deg": 0} for k in range(25)}},
        "by_distance": {"0-10 m": {"iou": None, "ap_chamfer_corrected": {"a": ap}}},
        "by_condition": {"rain": {"frames": 4, "iou": None, "ap": every}},
        "latency_ms": {"decode": 1.04, "network": 20},
    })  # fmt: skip
    assert "| metric | thresholds m | divider | crossing | boundary | mean |" in text
    assert "| IoU, exact lines |  | 10.00 | 20.00 | 30.00 | 40.00 |" in text
    assert "| `det_a_openlane_v2` | 0.5/1/1.5 | 70.00 | 80.00 | - | 90.00 |" in text
    assert "| as it stands | 0-15 m | divider | 7 | 0 | 10/20/30 | 40/50/60 |" in text
    assert "| 0-15 m | crossing | 0 | 9 |" in text and "| 0-15 m | boundary |" not in text
    assert "| 19 | 19.00 | 0.00 | 0.00 |" in text and "| 20 |" not in text
    assert "| 0-10 m | `ap_chamfer_corrected` a | 70.00 | 80.00 | - | 90.00 |" in text and "| 0-10 m | IoU" not in text
    assert "| condition | frames | mIoU | `ap_hdmapnet` a | `ap_chamfer_corrected` a |" in text
    assert "| rain | 4 | - | 50.00 | 90.00 |" in text and "| decode | network |" in text and "| 1.0 | 20.0 |" in text
