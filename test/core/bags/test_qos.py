"""Quality of service as it stands in bags: written for every release, read from every release."""
import pytest

from mapkd_core.bags.qos import LATCHED, Profile, as_text, parsed, profile_by_name


def test_what_is_written_is_what_rosbags_and_this_read():
    metadata = pytest.importorskip("rosbags.rosbag2.metadata", reason="rosbags is another reader of them")
    from rosbags.interfaces import QosDurability, QosReliability

    profiles = (Profile(7, reliable=False), LATCHED)
    assert parsed(as_text(profiles)) == profiles
    best_effort, latched = metadata.parse_qos(as_text(profiles))
    assert (best_effort.depth, best_effort.reliability) == (7, QosReliability.BEST_EFFORT)
    assert best_effort.durability == QosDurability.VOLATILE
    assert (latched.reliability, latched.durability) == (QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL)
    assert as_text(()) == "" and parsed("") == parsed(None) == parsed([]) == ()


def test_words_of_newer_releases_and_what_is_left_to_the_system():
    newer = [{"depth": 3, "reliability": "best_effort", "durability": "transient_local"}]
    assert parsed(newer) == (Profile(3, reliable=False, latched=True),)
    assert parsed([{"depth": 0, "reliability": "system_default", "durability": 0}]) == (Profile(10),)


@pytest.mark.parametrize("value", ["- [", "- 5", "word", 7, {"depth": 1}])
def test_what_is_no_list_of_profiles_is_refused(value):
    with pytest.raises(ValueError, match="offered_qos_profiles is"):
        parsed(value)


def test_static_transforms_are_latched_whatever_the_namespace():
    assert profile_by_name("/tf_static").latched and profile_by_name("/car/tf_static").latched
    assert not profile_by_name("/tf").latched and not profile_by_name("/not_tf_static").latched
