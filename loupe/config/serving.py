"""The front of the served models."""

from pydantic import Field, model_validator

from loupe.config.section import Section

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Serving(Section):
    """The front of the served models: an OpenAI-compatible address."""

    host: str = "127.0.0.1"
    """Where the front listens. Where others reach it, `token_env` must be set."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Where the front listens."""
    token_env: str | None = None
    """Name of the environment variable with the bearer token that every request must bring."""
    replicas: int = Field(default=1, ge=1)
    """Of the front itself."""
    cpus: float = Field(default=0.5, ge=0)
    """Of one replica of the front."""
    body_bytes: int = Field(default=64 << 20, ge=1024)
    """Bytes of a request, at most."""
    images: int = Field(default=64, ge=0)
    """Images of a request, at most: a look of an agent has up to 60."""
    pixels: int = Field(default=2048 * 2048, ge=1)
    """Pixels of one image, at most."""
    sound_seconds: float = Field(default=600, ge=0)
    """Seconds of all sounds of a request together, at most."""
    timeout_s: float = Field(default=600, gt=0)
    """Until a request is given up with status 503."""

    @model_validator(mode="after")
    def _a_token_guards_what_others_reach(self) -> "Serving":
        if self.host not in LOOPBACK and not self.token_env:
            raise ValueError(
                f"other machines can reach host {self.host}: name the environment variable of a token in token_env"
            )
        return self

    @property
    def url(self) -> str:
        """The front's address for a client on this machine."""
        return f"http://{'127.0.0.1' if self.host in ('0.0.0.0', '::') else self.host}:{self.port}/v1"
