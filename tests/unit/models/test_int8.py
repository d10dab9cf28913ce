import pytest
import torch
from torch import nn

from propainter.core.errors import SettingsError
from propainter.core.settings import RefineFrames, Settings
from propainter.models.generator.attention import Windows
from propainter.models.generator.int8 import use_int8
from propainter.models.generator.network import Generator


def test_the_attention_in_int8_is_near_that_in_float32_and_not_the_same() -> None:
    torch.manual_seed(0)
    generator = Generator().eval()
    tokens_TRSC = torch.randn(2, 5, 9, 512)
    windows = Windows.of(torch.ones(5, 9, dtype=torch.bool))

    def attend() -> torch.Tensor:
        attention = generator.transformers.transformer[0].attention
        with torch.inference_mode():
            out: torch.Tensor = attention(tokens_TRSC, windows, queries=2, first_key=0, windows_at_once=1)
        return out

    exact = attend()
    use_int8(generator)
    assert not any(isinstance(layer, nn.Linear) for name, layer in generator.named_modules() if ".attention." in name)
    off = (attend() - exact).abs()
    assert 0 < off.mean() < 0.05 * exact.abs().mean()


def test_int8_and_half_precision_do_not_go_together() -> None:
    with pytest.raises(SettingsError, match="quantize int8 and precision bf16 do not go together"):
        Settings(precision="bf16", refine_frames=RefineFrames(quantize="int8"))
