"""Settings chosen for one video on one machine: measure, apply the rules, fit into memory, and say why.

The rules are propainter.core.tuning's; this is what `propainter tune` prints and `--preset auto` uses.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from flows.configuration import load_settings, nested
from propainter.core.errors import SettingsError
from propainter.core.settings import Settings
from propainter.core.tuning import GB_BYTES, Choice, Machine, Value, VideoMeasures, fit_into, guide_choices
from propainter.runtime.budget import Budget, free_ram_bytes
from tasks.devices import resolve_devices
from tasks.measure_video import measure_video
from tasks.memory import Job
from tasks.weights import are_installed, weights_folder

AUTO = "auto"
"""The name that stands for this in place of a preset's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What was chosen. about: a line each on the video, the machine and the memory. kept: what the user had given."""

    about: tuple[str, ...]
    choices: tuple[Choice, ...]
    kept: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        return _settings_of(self.choices)

    def as_yaml(self) -> str:
        """For --config, the reasons as comments."""
        entries = [(choice.setting, choice.value, choice.reason) for choice in self.choices]
        entries += [(setting, value, "as given") for setting, value in self.kept.items()]
        lines, section = [f"# {line}" for line in self.about], ""
        for setting, value, reason in sorted(entries, key=lambda entry: _place(entry[0])):
            *above, name = setting.split(".")
            if above and above[0] != section:
                section = above[0]
                lines.append(f"{section}:")
            said = str(value).lower() if isinstance(value, bool) else value
            lines.append(f"{'  ' * len(above)}{name}: {said}  # {reason}")
        return "\n".join(lines) + "\n"

    def as_notices(self) -> tuple[str, ...]:
        """A line for each setting that is not as it is by default."""
        default = _flat(asdict(Settings()))
        changed = [choice for choice in self.choices if choice.value != default[choice.setting]]
        lines = tuple(f"Chosen: {choice.setting} {choice.value} ({choice.reason})." for choice in changed)
        return lines or ("Chosen: the defaults, which suit this video and this machine.",)


def tune(
    video: Path,
    mask: Path | None,
    given: Mapping[str, Any],
    *,
    config: Path | None = None,
    memory_gb: float | None = None,
    devices: str = "auto",
    weights: Path | None = None,
) -> Tuning:
    """Choose what the user has not given.

    Args:
        given: settings of the command line, nested; like those of the configuration file they are left as they are.
        memory_gb: of the GPU to choose for; None: of this machine's devices.

    Raises:
        ProPainterError: a video, mask or setting that cannot be used.
    """
    settings = load_settings(given, config=config)
    measures = measure_video(video.absolute(), mask.absolute() if mask else None, settings)
    machine, device, where = _machine(memory_gb, devices, settings.memory.gpu_gb)
    chosen = guide_choices(measures, machine)
    layered = _flat(asdict(load_settings(given, preset=_settings_of(chosen), config=config)))
    free = tuple(choice for choice in chosen if layered[choice.setting] == choice.value)
    default, freely = _flat(asdict(Settings())), {choice.setting for choice in free}
    kept = {path: value for path, value in layered.items() if path not in freely and value != default[path]}

    engine = settings.engine
    if engine == "auto":
        learned = memory_gb is not None or are_installed(weights_folder(weights))
        engine = "propainter" if learned else "classical"

    def peak_bytes(values: Mapping[str, Value]) -> int:
        tried = load_settings(given, preset=nested(values), config=config)
        return projected_peak_bytes(measures, replace(tried, engine=engine), device)

    budget_bytes = int(settings.memory.fraction * machine.memory_gb * GB_BYTES)
    choices = fit_into(budget_bytes, free, peak_bytes, machine)
    needed_gb = peak_bytes({choice.setting: choice.value for choice in choices}) / GB_BYTES
    memory = (
        f"Engine {engine} needs at least {needed_gb:.2f} GB of memory, with {budget_bytes / GB_BYTES:.2f} GB to use"
        f"{'' if needed_gb * GB_BYTES <= budget_bytes else ': it will not fit'}."
    )
    return Tuning(about=(_said_of(video, measures), where, memory), choices=choices, kept=kept)


def projected_peak_bytes(measures: VideoMeasures, settings: Settings, device: str) -> int:
    """What the hungriest stage takes at least: of the GPU's memory, or on a CPU of all memory."""
    from tasks.projection import project  # seconds: it brings Prefect along

    scale = settings.extract_frames.resize_ratio / measures.resize_ratio
    height_px, width_px = (max(round(side_px * scale), 8) for side_px in measures.worked_size_px)
    job = Job(frames=measures.frames, height_px=height_px, width_px=width_px, settings=settings, device=device)
    nothing = Budget(ram_bytes=0, device_bytes=None if device == "cpu" else 0)  # with it, every portion is the least
    return max(stage.ram_bytes if device == "cpu" else stage.device_bytes for stage in project(job, nothing))


def _settings_of(choices: Iterable[Choice]) -> dict[str, Any]:
    """Nested, as `Settings` is."""
    return nested({choice.setting: choice.value for choice in choices})


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """By dotted names: what `nested` undoes."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {above + name: value}
    return flat


def _place(setting: str) -> tuple[bool, int]:
    """Where a setting goes in a file: what has no section first, then the sections in their order."""
    return "." in setting, [field.name for field in fields(Settings)].index(setting.split(".")[0])


def _machine(memory_gb: float | None, devices: str, most_gb: float | None) -> tuple[Machine, str, str]:
    """The machine, the name of a device of its kind, and a line on it. most_gb: of each GPU, by the user's settings."""
    if memory_gb is not None:
        if not 0 < memory_gb <= 4096:
            raise SettingsError(f"gpu_memory is {memory_gb:g}. Give the GPU's memory in GB.")
        machine = Machine(memory_gb=memory_gb, has_fp16=True)
        return machine, "cuda:0", f"For a GPU with {memory_gb:g} GB of memory."
    import torch  # seconds to import: only when asked

    from propainter.runtime.precision import has_precision

    names = resolve_devices(devices)
    has_fp16 = all(has_precision("fp16", name) for name in names)
    if "cpu" in names:
        free_gb = free_ram_bytes() / len(names) / GB_BYTES
        machine = Machine(memory_gb=free_gb, has_fp16=has_fp16)
        return machine, "cpu", f"For the CPU, with {free_gb:.3g} GB of memory free."
    smallest_bytes = min(torch.cuda.get_device_properties(name).total_memory for name in names)
    has_gb = round(smallest_bytes / GB_BYTES)  # sold as 16, it has 15.7
    machine = Machine(memory_gb=has_gb if most_gb is None else min(has_gb, most_gb), has_fp16=has_fp16)
    return machine, names[0], f"For {', '.join(names)}, with {machine.memory_gb:g} GB of memory."


def _said_of(video: Path, measures: VideoMeasures) -> str:
    said = (
        f"{video.name}: {measures.frames} frames in {measures.seconds:.1f} s, "
        f"worked on at {measures.width_px}x{measures.height_px}"
    )
    if measures.has_mask and measures.holed_share < 1:
        said += f"; about {100 * measures.holed_share:.0f} % of the frames have a hole, the others cost decoding only"
    return f"{said}."
