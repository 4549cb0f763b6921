"""A step that the object store failed is taken again. Every step under `patiently` can be done twice."""

import re

from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

FAILED_BY_S3 = re.compile(r"LanceError\(.*Generic S3 error.*(HTTP error|status code: (5\d\d|408|429))", re.DOTALL)


def passes(error: BaseException) -> bool:
    """Whether a step that failed so may succeed when it is taken again.

    Told by the text, for the type tells nothing: of one cause Lance makes a ValueError when it opens a table, an
    OSError later, and LanceDB a RuntimeError. The text holds that of object_store, which says "HTTP error" where a
    connection broke or could not be made, and "status code: 503" where the server answered so. What is missing, denied
    or not a table reads otherwise, and so does all that happens to a local folder.
    """
    return isinstance(error, OSError | RuntimeError | ValueError) and FAILED_BY_S3.search(str(error)) is not None


patiently = retry(
    retry=retry_if_exception(passes),
    wait=wait_random_exponential(multiplier=0.1, max=20),
    stop=stop_after_attempt(10),
    reraise=True,
)
"""Try again up to ten times, within about half a minute; the last error is raised. Object_store has tried thrice."""
