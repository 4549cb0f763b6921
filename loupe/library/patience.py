"""A step that the object store failed is taken again, and one that storage failed for good ends with a StorageError."""

import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from loupe.storage import StorageError

FAILED_BY_S3 = re.compile(r"LanceError\(.*Generic S3 error.*(HTTP error|status code: (5\d\d|408|429))", re.DOTALL)

P = ParamSpec("P")
T = TypeVar("T")


def passes(error: BaseException) -> bool:
    """Whether a step that failed so may succeed when it is taken again.

    Told by the text, for the type tells nothing: of one cause Lance makes a ValueError when it opens a table, an
    OSError later, and LanceDB a RuntimeError. The text holds that of object_store, which says "HTTP error" where a
    connection broke or could not be made, and "status code: 503" where the server answered so. What is missing, denied
    or not a table reads otherwise, and so does all that happens to a local folder.
    """
    return isinstance(error, OSError | RuntimeError | ValueError) and FAILED_BY_S3.search(str(error)) is not None


again = retry(
    retry=retry_if_exception(passes),
    wait=wait_random_exponential(multiplier=0.1, max=20),
    stop=stop_after_attempt(10),
    reraise=True,
)
"""Try again up to ten times, within about half a minute; the last error is raised. Object_store has tried thrice."""


def patiently(step: Callable[P, T]) -> Callable[P, T]:
    """A step that can be done twice, tried as `again` says. Raises StorageError where no try is left, or none helps.

    That is an OSError, and what `passes`: all else that Lance raises is about what it was asked.
    """
    tried = again(step)

    @wraps(step)
    def told(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return tried(*args, **kwargs)
        except (OSError, RuntimeError, ValueError) as error:
            if not isinstance(error, OSError) and not passes(error):
                raise
            raise StorageError(f"the tables cannot be read or written: {str(error).splitlines()[0]}") from error

    return told
