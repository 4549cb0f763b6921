"""Policies: one file each, named here and nowhere else."""

from loupe.agent.policies import active_perception, investigator, passive, retrieval_critic, socratic
from loupe.agent.policy import Policy
from loupe.config import ConfigError

POLICIES: dict[str, Policy] = {
    each.POLICY.name: each.POLICY for each in (retrieval_critic, active_perception, investigator, passive, socratic)
}


def find_policy(name: str) -> Policy:
    """The policy of a config. Raises ConfigError for an unknown one."""
    if name not in POLICIES:
        raise ConfigError(f"no policy is called {name!r}; there are: {', '.join(POLICIES)}")
    return POLICIES[name]
