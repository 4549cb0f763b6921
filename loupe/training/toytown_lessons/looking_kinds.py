"""How each kind of question about toytown is answered by looking and listening."""

from collections.abc import Callable

from loupe.training.toytown_lessons.looking_films import (
    count_places,
    count_signs,
    first_sign,
    longest_person,
    longest_place,
    never_shown,
    never_with,
    order,
    when_place,
    when_sign,
)
from loupe.training.toytown_lessons.looking_heard import (
    hat_of_number,
    origin,
    own_number,
    place_when_said,
    price,
    said_unseen,
    seen_unsaid,
    sign_when_price,
    when_said,
    wish,
)
from loupe.training.toytown_lessons.looking_notes import found_in
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.looking_scenes import (
    does,
    handed,
    holds,
    last_has,
    shape,
    wears,
    when_event,
    who,
    word,
)
from loupe.training.toytown_lessons.oracle_steps import (
    Names,
    Plan,
    kind_of,
)

PLANS: dict[str, Callable[[Names, Explored], Plan]] = {
    "In which order": order,
    "What colour is the person who": who,
    "What is on the head of the {colour}": wears,
    "Which shape is": shape,
    "What does the {colour} person hold": holds,
    "Which of these does the": does,
    "Who is handed": handed,
    "Which of these signs is shown first": first_sign,
    "Which word is on the sign when": word,
    "Which of these words is on no sign": never_shown,
    "When is the sign": when_sign,
    "When is the film": when_place,
    "When is it, in the scene": when_event,
    "Who has the {thing} when": last_has,
    "Which of these people is in no scene": never_with,
    "How often does it happen, after the film": count_places,
    "How often does it happen, after the sign": count_signs,
    "In which of these places": longest_place,
    "Which of these people is in the picture": longest_person,
    "How many coins": price,
    "Which number does": own_number,
    "Which thing does": wish,
    "Which place does the {colour}": origin,
    "What is on the head of the person whose": hat_of_number,
    "Which place does the film show": place_when_said,
    "Which sign can be read": sign_when_price,
    "Which of these brands is seen": seen_unsaid,
    "Which of these brands is spoken": said_unseen,
    "When is the brand": when_said,
}
"""By how the wording of a template begins."""


def plan_of(seen: Explored) -> Plan:
    """The plan of a prompt's question. Raises ValueError for a question of no kind."""
    plan, names = kind_of(seen.question, PLANS)
    return _to_the_end(plan(names, seen))


def _to_the_end(plan: Plan) -> Plan:
    """The plan, and its answer again and again where that was refused."""
    step = next(plan)
    while step.tool != "answer":
        step = plan.send(found_in((yield step)))
    while True:
        yield step
