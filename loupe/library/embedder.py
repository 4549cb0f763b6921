"""Whose vectors a database holds: `<database>/_loupe/embedder.json`. To those of another embedder they mean nothing."""

import json

from loupe import storage
from loupe.library.tables import LibraryError


def require_embedder(database: str, embedder: str) -> None:
    """Raises LibraryError where the vectors are those of another embedder than `embedder`, a hash, and StorageError.

    A database that does not know whose they are is anybody's.
    """
    if _known(database) not in (None, embedder):
        raise LibraryError(
            f"another embedder than the config's made the embeddings in {database}: use the embedder that it was made "
            f"with, or a new database; where it is the same one from another place, delete {_place(database)}"
        )


def note_embedder(database: str, embedder: str) -> None:
    """Note whose vectors are written from now on, where nobody's are noted. For who may write. Raises StorageError."""
    if _known(database) is None:
        storage.write_bytes(_place(database), json.dumps({"embedder": embedder}).encode())


def _known(database: str) -> str | None:
    stored = storage.read_stored(_place(database))
    if stored is None:
        return None
    known: str = json.loads(stored.data)["embedder"]
    return known


def _place(database: str) -> str:
    return storage.join(database, "_loupe", "embedder.json")
