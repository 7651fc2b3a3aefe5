"""A search over budgets on disk: its result, and the folders of its branches."""

from pathlib import Path
from typing import Any

from ..files import read_json
from ..schedules import ScheduleError

#: Where the result stands in the output folder of a search.
BUDGETS = "budgets.json"


def read_branches(folder: Path) -> tuple[dict[str, Any], list[Path]] | None:
    """Read the result of a search in a folder, with the folders of its branches; `None` where there is no search.

    The folders are where the search is now, also if it was moved.

    Raises:
        ScheduleError: The file is corrupted.
    """
    if not (folder / BUDGETS).is_file():
        return None
    data = read_json(folder / BUDGETS)
    try:
        places = [(int(branch["seed"]), str(branch["folder"])) for branch in data["branches"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ScheduleError(f"{folder / BUDGETS} is corrupted: {error!r}.") from error
    return data, [folder / (f"seed-{seed}" if seed else "") / Path(place).name for seed, place in places]
