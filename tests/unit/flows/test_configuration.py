from pathlib import Path

import pytest

from flows.configuration import load_settings, preset_names
from propainter.core.errors import SettingsError


def test_the_command_line_wins_over_the_file_which_wins_over_the_preset(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("extract_frames:\n  max_side: 500\n  end: 30\ncomplete_flow:\n  subvideo_length: 40\n")
    settings = load_settings({"extract_frames": {"max_side": 700}}, preset="entry", config=config)
    assert (settings.extract_frames.max_side, settings.extract_frames.end) == (700, 30)
    assert settings.complete_flow.subvideo_length == 40
    assert settings.refine_frames.neighbor_length == 5


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid(name: str) -> None:
    load_settings({}, preset=name)


def test_every_preset_of_the_guide_is_there() -> None:
    quality, hardware = {"draft", "balanced", "high", "ultra"}, {"entry", "mainstream", "professional"}
    assert set(preset_names()) == quality | hardware | {"realtime", "offline", "cloud", "published"}


@pytest.mark.parametrize(("name", "frames"), [("entry", 5), ("mainstream", 8), ("professional", 12), ("ultra", 15)])
def test_a_preset_sets_what_the_guide_gives_it(name: str, frames: int) -> None:
    assert load_settings({}, preset=name).refine_frames.neighbor_length == frames


def test_a_time_in_a_file_is_a_time_and_off_is_a_word(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("roi: off\nextract_frames:\n  start: 1:10\n  end: 0:01:20.5\nencode_video: {keep_size: false}\n")
    settings = load_settings({}, config=config)
    assert (settings.extract_frames.start, settings.extract_frames.end) == ("1:10", "0:01:20.5")
    assert settings.roi == "off"
    assert not settings.encode_video.keep_size


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"masks": {"dilaton": 3}}, "no setting masks.dilaton. Did you mean dilation"),
        ({"engin": "classical"}, "no setting engin. Did you mean engine"),
        ({"masks": {"dilation": "x"}}, "masks.dilation is 'x'"),
        ({"masks": {"dilation": -1}}, "mask_dilation is -1"),
        ({"masks": 3}, "masks is 3. It is a section"),
        ({"extract_frames": {"start": "abc"}}, "start is 'abc'"),
        ({"encode_video": {"codec": "h26"}}, "encode_video.codec is 'h26'"),
        ({"encode_video": {"crf": 99}}, "crf is 99"),
        ({"complete_flow": {"subvideo_length": 1}}, "subvideo_length is 1"),
    ],
)
def test_a_bad_setting_is_named_with_its_value_or_its_nearest_name(overrides: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(overrides)


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no preset 'drft'\. Did you mean draft"):
        load_settings({}, preset="drft")


@pytest.mark.parametrize(("content", "message"), [("- 1\n", "holds a list"), ("a: [", "is not YAML")])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: str, message: str) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(content)
    with pytest.raises(SettingsError, match=message):
        load_settings({}, config=config)
