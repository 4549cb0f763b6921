"""What pydantic found wrong with values, in sentences for whoever wrote them."""

from pydantic import ValidationError


def wrong_values(error: ValidationError) -> list[str]:
    """Each wrong value as `its.place: what is wrong with it`; the sentence alone where the whole is wrong."""
    sentences = []
    for wrong in error.errors(include_url=False, include_context=False, include_input=False):
        place, sentence = ".".join(map(str, wrong["loc"])), wrong["msg"].removeprefix("Value error, ")
        sentences.append(f"{place}: {sentence}" if place else sentence)
    return sentences
