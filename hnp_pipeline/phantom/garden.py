"""One collection while rows are planted in it."""

from collections.abc import Iterator

from hnp_pipeline.phantom.population import Population
from hnp_pipeline.phantom.rows import Patient


class Garden:
    """One collection of a population, and the cohort patients there that can be given an extra row."""

    def __init__(
        self, population: Population, collection: str, hosts: list[Patient], guests: list[Patient]
    ) -> None:
        self.population = population
        self.collection = collection
        self.guests = guests  # development patients who may come back in the test collection
        self._hosts = self._in_turn(hosts)

    @staticmethod
    def _in_turn(hosts: list[Patient]) -> Iterator[Patient]:
        while True:
            yield from hosts

    def host(self) -> Patient:
        """The next cohort patient with one visit."""
        return next(self._hosts)

    def stranger(self) -> Patient:
        """A patient who has no row yet."""
        return self.population.new_patients(1, self.collection)[0]

    def coin(self) -> int:
        """One image or two."""
        return 1 + int(self.population.rng.random() < 0.3)
