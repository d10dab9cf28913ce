"""What a prepared dataset says of itself: dataset.json, and the released trainer's train.json and test.json."""

from collections.abc import Mapping

from tasks.prepare_clip import Target, plan_frames
from tasks.prepare_layout import DATASET, FLOW_STAGE, FRAMES_STAGE, SCHEMA, ClipFiles, split_lists, write_json


def mark(target: Target) -> None:
    """Say that the folder is ours, before anything else is in it."""
    if not (target.out / DATASET).exists():
        write_lists(target, {}, {}, left_out={}, failed={})


def write_lists(
    target: Target,
    records: Mapping[str, ClipFiles],
    flows: Mapping[str, str],
    *,
    left_out: Mapping[str, str],
    failed: Mapping[str, str],
) -> None:
    """Write all three lists, each whole or not at all.

    Args:
        flows: by clip, the digest of its entry of estimate_flow.

    Raises:
        OutputError: they cannot be written.
    """
    splits = split_lists(records)
    for split, clips in splits.items():
        write_json(target.out / f"{split}.json", clips)
    counts: dict[str, int] = {
        "clips": len(records),
        **{split: len(clips) for split, clips in splits.items()},
        "frames": sum(record.frames for record in records.values()),
        "files": sum(len(record.files) for record in records.values()),
    }
    write_json(target.out / DATASET, {
        "schema": SCHEMA,
        **target.as_json(),
        "counts": counts,
        "clips": {
            name: {
                "split": record.split,
                "frames": record.frames,
                "source_digest": record.source_digest,
                "digest": record.digest,
                FRAMES_STAGE: plan_frames(record, target).key.digest,
                FLOW_STAGE: flows[name],
            }
            for name, record in records.items()
        },
        "left_out": dict(left_out),
        "failed": dict(failed),
    })  # fmt: skip
