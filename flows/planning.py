"""What a run will do, decided before it does anything: engine, scene cuts, six stages, and what of them is lacking."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flows.progress import progress
from propainter.core.errors import SettingsError
from propainter.core.settings import Settings
from propainter.media.encode_spec import EncodeSpec, plan_encoding
from propainter.models.raft.network import MIN_SIDE_PX
from propainter.runtime.precision import require_precision
from tasks.complete_flow import plan_complete_flow
from tasks.devices import resolve_devices
from tasks.encode_video import plan_encode_video
from tasks.estimate_flow import plan_estimate_flow, require_network_size
from tasks.extract_frames import plan_extract_frames
from tasks.find_cuts import find_cuts
from tasks.inspect_inputs import follow_shots
from tasks.output import Output
from tasks.plan import Demand, Inputs, Node, Plan, Run, StagePlan, demand
from tasks.propagate_pixels import plan_propagate_pixels
from tasks.refine_frames import plan_refine_frames
from tasks.weights import Weights, are_installed, find_weights

LONG_SEARCH_FRAMES = 5000
"""Half a minute: worth a remark."""

MOST_CUTS_NAMED = 20
"""In the remark on them."""

COMPRESSED_SHARE = {"extract_frames": 0.9, "estimate_flow": 0.5, "complete_flow": 0.5, "refine_frames": 0.9}
"""Stored bytes over raw bytes, rounded up from real clips; what is not named here is taken as raw."""


def prepare(
    inputs: Inputs,
    output: Output,
    settings: Settings,
    *,
    cache: Path,
    devices: str,
    weights: Path,
    verify_weights: bool,
) -> Run:
    """Decide everything that a run will do, before it changes anything but for what the cache keeps of scene cuts.

    Raises:
        ProPainterError: with one line that says what, the value and the way out.
    """
    encode = plan_encoding(inputs.info, settings.encode_video, inputs.geometry, output.path)
    settings, inputs = choose_engine(settings, inputs, weights)
    found = None
    if settings.engine == "propainter":
        require_precision(settings.precision, resolve_devices(devices))
        require_precision(settings.estimate_flow.precision, resolve_devices(devices))
        if settings.refine_frames.quantize == "int8" and set(resolve_devices(devices)) != {"cpu"}:
            raise SettingsError(
                f"quantize int8 is for the CPU, not for {devices}. Give --devices cpu, or leave it out."
            )
        found = find_weights(weights, verify=verify_weights)
    run = Run(
        inputs=inputs,
        settings=settings,
        plan=plan_stages(inputs, settings, encode, found),
        encode=encode,
        cache=cache,
        devices=resolve_devices(devices),
        weights=found,
    )
    return run if settings.cuts == "off" else mind_cuts(run)


def mind_cuts(run: Run) -> Run:
    """The run with nothing carried across a scene cut, and a remark on where those are; itself where there is none."""
    cuts = find_cuts(run.inputs, run.plan, run.settings.extract_frames.save_fps, run.store, _announce_search)
    if not cuts:
        return run
    places = [str(run.inputs.frames.start + cut) for cut in cuts]
    more = [f"{len(places) - MOST_CUTS_NAMED} more"] if len(places) > MOST_CUTS_NAMED else []
    note = f"Scene cuts, which nothing is carried across, at frame {', '.join(places[:MOST_CUTS_NAMED] + more)}."
    inputs = replace(run.inputs, cuts=cuts, notices=(*run.inputs.notices, note))
    inputs = follow_shots(inputs, run.settings)
    return replace(run, inputs=inputs, plan=plan_stages(inputs, run.settings, run.encode, run.weights))


def _announce_search(frames: int) -> None:
    if frames >= LONG_SEARCH_FRAMES:
        progress().note(f"Looking for scene cuts in {frames} frames, which is done once for a video.")


def choose_engine(settings: Settings, inputs: Inputs, weights: Path) -> tuple[Settings, Inputs]:
    """Settings with the engine decided, and inputs with what the user should know of it.

    Raises:
        ShapeError: the frames are too small for the networks.
    """
    if settings.engine == "classical":
        return settings, inputs
    note = None
    height_px, width_px = inputs.geometry.height_px, inputs.geometry.width_px
    if len(inputs.clip) == 1:
        note = "Engine classical: a single frame has no neighbours to take anything from."
    elif settings.engine == "auto" and not are_installed(weights):
        note = f"Engine classical: there are no ProPainter weights in {weights}; `propainter weights fetch` gets them."
    elif settings.engine == "auto" and min(height_px, width_px) < MIN_SIDE_PX:
        note = f"Engine classical: {width_px}x{height_px} is too small for the networks ({MIN_SIDE_PX} pixels a side)."
    if note is not None:
        return replace(settings, engine="classical"), replace(inputs, notices=(*inputs.notices, note))
    require_network_size(inputs.geometry)
    return replace(settings, engine="propainter"), inputs


def plan_stages(inputs: Inputs, settings: Settings, encode: EncodeSpec, weights: Weights | None) -> Plan:
    """All six stages, each chained to those that it reads."""
    plan: dict[str, StagePlan] = {"extract_frames": plan_extract_frames(inputs, settings)}
    plan["estimate_flow"] = plan_estimate_flow(inputs, settings, weights, plan)
    plan["complete_flow"] = plan_complete_flow(inputs, settings, weights, plan)
    plan["propagate_pixels"] = plan_propagate_pixels(inputs, settings, plan)
    plan["refine_frames"] = plan_refine_frames(inputs, settings, weights, plan)
    plan["encode_video"] = plan_encode_video(inputs, settings, encode, plan)
    return plan


def demand_of(run: Run) -> Demand:
    """What the result asks for and the store lacks."""

    def missing(stage: StagePlan, asked: Sequence[int]) -> Sequence[int]:
        run.store.create(stage.key, stage.spec, stage.recipe)
        return run.store.missing(stage.key, asked)

    return demand(run.plan, missing)


def projected_bytes(plan: Plan, nodes: Sequence[Node]) -> int:
    """What these segments will take on disk."""
    total = 0.0
    for stage, index in nodes:
        total += plan[stage].array_bytes(index) * COMPRESSED_SHARE.get(stage, 1.0)
    return int(total)
