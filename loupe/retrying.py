"""What a server says of when to ask it again."""

import re
from email.utils import parsedate_to_datetime


def retry_after_s(value: str, now: float) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or an HTTP date; None where it asks for nothing.

    `now` is in seconds since 1970.
    """
    if re.fullmatch(r"\d+(\.\d+)?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None
