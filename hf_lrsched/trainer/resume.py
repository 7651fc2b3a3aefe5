"""The plot of a resume, saved beside the run."""

import io
import math
from pathlib import Path

from ..plots.resume import draw_resume
from ..scheduler.schedule_lr import ScheduleLR
from ..schedules import ScheduleError


def save_resume(scheduler: "ScheduleLR", folder: str | Path) -> str:
    """Saves the picture of the resume that a scheduler has just made, as `resume_at_<t>.png`; says where it is.

    No file is overwritten: where there is one, the name gets a number.

    Args:
        scheduler ([`ScheduleLR`]): One that went on with other settings than its checkpoint's.
        folder (`str` or `Path`): Made where it is missing.

    Returns:
        `str`: One line; also where matplotlib is missing, with what to install.

    Raises:
        OSError: The file can't be written. What there is of it is removed.
    """
    if scheduler.before_resume is None:
        raise ScheduleError("nothing to draw: the run goes on with the checkpoint's own settings.")
    events, groups = scheduler.events, scheduler.optimizer.param_groups
    resumes = [(event["t"], event["how"].partition("(")[0].strip()) for event in events if event["kind"] == "resume"]
    # These replaced the curve, so that the trajectory no longer tells the LRs before them.
    replaced = [t for t, how in resumes[:-1] if how in ("switch", "rewarm")]
    drops = [(event["t"], event["scale_after"] / event["scale_before"]) for event in events if "scale_after" in event]
    since = max(replaced, default=0)
    if scheduler.horizon.unit != "updates":  # events are dated in updates
        since = scheduler.position if replaced else 0
        drops = [(0, math.prod(factor for _, factor in drops))]
    file = io.BytesIO()
    try:
        figure = draw_resume(
            scheduler.before_resume,
            scheduler.trajectory,
            scheduler.position,
            on_resume=scheduler.on_resume,
            end=scheduler.settings.horizon.num_updates,
            since=since,
            names=[str(group.get("name", f"group_{index}")) for index, group in enumerate(groups)],
            drops=drops,
            scales=scheduler._scales,
        )
    except ImportError as error:
        return f"no picture of the resume: {error}"
    figure.savefig(file, format="png")
    return f"picture of the resume: {_write_new(Path(folder), f'resume_at_{scheduler.last_epoch}', file.getvalue())}"


def _write_new(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = folder / (f"{name}.png" if number == 1 else f"{name}_{number}.png")
        try:
            with path.open("xb") as file:
                file.write(content)
        except FileExistsError:
            number += 1
            continue
        except OSError:  # a full disk: half a picture is none
            path.unlink(missing_ok=True)
            raise
        return path
