"""The repositories whose datasets are registered in Rucio: each is opened once in a run and only read."""

from __future__ import annotations

from reconciler.errors import ObserveError
from reconciler.systems.butler.repository import Repository


class SourceRepositories:
    """Repositories that stay open between questions, because opening one takes longer than most questions."""

    def __init__(self) -> None:
        self._repositories: dict[str, Repository] = {}

    def get(self, uri: str) -> Repository | None:
        """Return the repository; `None` if it can't be opened here, which is tried again the next time."""
        repository = self._repositories.get(uri) or Repository(uri)
        repository.connection.read_only = True
        try:
            if not repository.ready:
                return None
        except ObserveError:
            return None
        self._repositories[uri] = repository
        return repository

    def forget(self) -> None:
        """Drop cached answers, because somebody may have added datasets since."""
        for repository in self._repositories.values():
            repository.forget()

    def close(self) -> None:
        """Close all repositories."""
        for repository in self._repositories.values():
            repository.close()
        self._repositories.clear()
