import pytest
import torch

from propainter.core.errors import SettingsError
from propainter.runtime.precision import require_precision


def test_fp32_is_everywhere() -> None:
    require_precision("fp32", ["cpu", "cuda:7"])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_what_a_processor_would_only_emulate_is_refused(monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported", lambda: True)
    require_precision(precision, ["cpu"])  # type: ignore[arg-type]
    monkeypatch.setattr(torch.ops.mkldnn, f"_is_mkldnn_{precision}_supported", lambda: False)
    with pytest.raises(SettingsError, match=rf"^cpu has no {precision} arithmetic\. Give --precision fp32"):
        require_precision(precision, ["cpu"])  # type: ignore[arg-type]


def test_a_gpu_before_ampere_has_no_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    require_precision("fp16", ["cuda:0"])
    with pytest.raises(SettingsError, match=r"^cuda:0 has no bf16"):
        require_precision("bf16", ["cuda:0"])
