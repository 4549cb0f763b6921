"""What the questions that are left would take, before any model is called: `--plan`."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loupe.agent.policies import find_policy
from loupe.agent.policy import Policy, needed_roles
from loupe.config import Answer, Config, Role
from loupe.indexing.estimating import PIXELS_PER_TOKEN
from schemas.messages import Usage

SHAPE = 9 / 16
"""Of a frame: its short side over its long one."""
ANY_LENGTH_MS = 1 << 62
"""A film that is longer than every bound."""
SOUND_TOKENS = 25
"""Of a second of sound that a model hears itself: Qwen2.5-Omni's, a token every 40 ms; Qwen3-Omni takes half."""
CONTEXT_TOKENS = 400
"""Of instructions, question and markers around what the config bounds."""


def estimate(config: Config, left: int, finished: pa.Table) -> dict[str, object]:
    """Upper bounds of calls, tokens and dollars of `left` questions; and what the finished ones let expect."""
    policy = find_policy(config.answer.policy)
    each, sound = per_question(config, policy), seconds_of_sound(config, policy)
    written = sound if "transcriber" in needed_roles(policy, config.answer) else 0.0
    prompt = left * sum(usage.prompt_tokens for usage in each.values())
    completion = left * sum(usage.completion_tokens for usage in each.values())
    return {
        "questions_left": left,
        "questions_finished": finished.num_rows,
        "prompt_tokens_at_most": prompt,
        "completion_tokens_at_most": completion,
        "seconds_of_sound_at_most": left * sound,
        "cost_usd_at_most": round(
            left * (config.cost_of_sound(written) + sum(config.cost(usage, role) for role, usage in each.items())), 2
        ),
        **expected(left, finished),
        "assumed": f"every action is taken, every prompt is full, {PIXELS_PER_TOKEN} pixels a token, "
        f"{SOUND_TOKENS} tokens a second of sound that the vlm hears itself",
    }


def per_question(config: Config, policy: Policy) -> dict[Role, Usage]:
    """What one question takes of each role at most, when everything parses at once."""
    settings, roles = config.answer, needed_roles(policy, config.answer)
    reviews, turns = _reviews(config, policy), _turns(config, policy)
    asks = policy.acts and any("vlm" in each.asks for each in policy.tools)
    looks = turns - bool(policy.first) - 1 - reviews if asks else 0
    look = _look(config, settings.frames if policy.acts else settings.passive_frames)
    shown = policy.shown(settings).prompt_tokens
    turn = Usage(prompt_tokens=shown, completion_tokens=settings.turn_tokens)
    percept = Usage(prompt_tokens=_percept(config, policy))
    percepts = turns if settings.looking.purge else turns * (turns + 1) // 2  # each stays for all turns that follow
    judged = Usage(prompt_tokens=settings.shown.prompt_tokens, completion_tokens=settings.verdict_tokens)
    most: Mapping[Role, Usage] = {
        "reasoner": _times(turn, turns),
        "vlm": (_times(turn, turns) + _times(percept, percepts) if policy.perceives else Usage())
        + _times(look, looks if policy.acts else turns),
        "critic": _times(judged, 2 * reviews),
        "critic_vlm": _times(look, reviews),
    }
    return {role: most[role] for role in roles if role in most}  # a transcriber counts no tokens


def seconds_of_sound(config: Config, policy: Policy) -> float:
    """What one question has heard at most: as much as one may listen to at once, in every turn."""
    if "transcriber" not in policy.asks or config.answer.looking.hearing == "off":
        return 0.0
    return _turns(config, policy) * min(policy.limits.listen_s, config.answer.looking.listen_seconds)


def _reviews(config: Config, policy: Policy) -> int:
    return config.answer.critic.max_reviews if "critic" in needed_roles(policy, config.answer) else 0


def _turns(config: Config, policy: Policy) -> int:
    """Of all rounds."""
    rounds = range(1 + _reviews(config, policy))
    return sum(policy.allowance(config.answer, round, ANY_LENGTH_MS) for round in rounds)


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


def _percept(config: Config, policy: Policy) -> int:
    """Tokens of the largest look, watch or listening."""
    looking, limits = config.answer.looking, policy.limits
    frames = _pictures(config, looking.frames)
    if looking.hearing != "audio":
        return frames
    watched, listened = min(limits.watch_s, looking.watch_seconds), min(limits.listen_s, looking.listen_seconds)
    return round(max(frames + SOUND_TOKENS * watched, SOUND_TOKENS * listened))


def _pictures(config: Config, frames: int) -> int:
    """Tokens of so many frames."""
    return round(frames * config.index.long_side**2 * SHAPE / PIXELS_PER_TOKEN)


def _times(usage: Usage, count: int) -> Usage:
    return Usage(prompt_tokens=usage.prompt_tokens * count, completion_tokens=usage.completion_tokens * count)
