"""What pydantic found wrong with values, in sentences for whoever wrote them."""

from pydantic import ValidationError


def wrong_values(error: ValidationError) -> list[str]:
    """Each wrong value as `its.place: what is wrong with it`."""
    return [
        ": ".join([*filter(None, [".".join(map(str, wrong["loc"]))]), wrong["msg"].removeprefix("Value error, ")])
        for wrong in error.errors(include_url=False, include_context=False, include_input=False)
    ]
