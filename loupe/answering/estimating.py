"""What the questions that are left would take, before any model is called: `--plan`."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loupe.agent.policies import find_policy
from loupe.agent.policy import Policy, needed_roles
from loupe.config import Answer, Config, Role
from loupe.estimating import PIXELS_PER_TOKEN
from schemas.messages import Usage

SHAPE = 9 / 16
"""Of a frame: its short side over its long one."""
ANY_LENGTH_MS = 1 << 62
"""A film that is longer than every bound."""
CONTEXT_TOKENS = 400
"""Of instructions, question and markers around what the config bounds."""


def estimate(config: Config, left: int, finished: pa.Table) -> dict[str, object]:
    """Upper bounds of calls, tokens and dollars of `left` questions; and what the finished ones let expect."""
    each = per_question(config, find_policy(config.answer.policy))
    prompt = left * sum(usage.prompt_tokens for usage in each.values())
    completion = left * sum(usage.completion_tokens for usage in each.values())
    return {
        "questions_left": left,
        "questions_finished": finished.num_rows,
        "prompt_tokens_at_most": prompt,
        "completion_tokens_at_most": completion,
        "cost_usd_at_most": round(left * sum(config.cost(usage, role) for role, usage in each.items()), 2),
        **expected(left, finished),
        "assumed": f"every action is taken, every prompt is full, {PIXELS_PER_TOKEN} pixels a token",
    }


def per_question(config: Config, policy: Policy) -> dict[Role, Usage]:
    """What one question takes of each role at most, when everything parses at once."""
    settings, roles = config.answer, needed_roles(policy, config.answer)
    reviews = settings.critic.max_reviews if "critic" in roles else 0
    turns = sum(policy.allowance(settings, round, ANY_LENGTH_MS) for round in range(1 + reviews))
    looks = settings.max_actions * (1 + reviews) if policy.acts else 0
    look = _look(config, settings.frames if policy.acts else settings.passive_frames)
    turn = Usage(prompt_tokens=settings.shown.prompt_tokens, completion_tokens=settings.turn_tokens)
    perceiving = turn + Usage(prompt_tokens=_pictures(config, settings.looking.frames))
    judged = Usage(prompt_tokens=settings.shown.prompt_tokens, completion_tokens=settings.verdict_tokens)
    most: Mapping[Role, Usage] = {
        "reasoner": _times(turn, turns),
        "vlm": _times(perceiving, turns) if policy.role == "vlm" and policy.acts else _times(look, looks or turns),
        "critic": _times(judged, 2 * reviews),
        "critic_vlm": _times(look, reviews),
    }
    return {role: most[role] for role in roles if role in most}  # a transcriber counts no tokens


def expected(left: int, finished: pa.Table) -> dict[str, object]:
    """Tokens and dollars of the questions that are left, if they take what the finished ones took on the average."""
    if not finished.num_rows:
        return {}
    sums: dict[str, Any] = {
        name: (pc.sum(finished[name]).as_py() or 0) / finished.num_rows * left
        for name in ("prompt_tokens", "completion_tokens", "cost")
    }
    return {
        "prompt_tokens_expected": round(sums["prompt_tokens"]),
        "completion_tokens_expected": round(sums["completion_tokens"]),
        "cost_usd_expected": round(sums["cost"], 2),
    }


def _look(config: Config, frames: int) -> Usage:
    """One request to a VLM."""
    settings: Answer = config.answer
    text = settings.shown.summary_letters / settings.shown.letters_per_token + CONTEXT_TOKENS
    return Usage(prompt_tokens=_pictures(config, frames) + round(text), completion_tokens=settings.ask_tokens)


def _pictures(config: Config, frames: int) -> int:
    """Tokens of so many frames."""
    return round(frames * config.index.long_side**2 * SHAPE / PIXELS_PER_TOKEN)


def _times(usage: Usage, count: int) -> Usage:
    return Usage(prompt_tokens=usage.prompt_tokens * count, completion_tokens=usage.completion_tokens * count)
