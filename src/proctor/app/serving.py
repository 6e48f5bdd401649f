"""From a service of proctor.toml to a desk, and to what doctor says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proctor.config import Redactor, Services
from proctor.engine.desk import Desk
from proctor.errors import ProctorError
from proctor.model import Ask, Price, ProviderSeen, Reply, Spending
from proctor.ports import Provider


@dataclass(slots=True)
class LateService:
    """A service that is opened when it is first called: kept answers need no secret."""

    services: Services
    name: str
    opened: Provider | None = None

    @property
    def most_together(self) -> int:
        """See the port."""
        return 1

    def open(self) -> Provider:
        """The service; ConfigError where a variable or a library is missing."""
        if self.opened is None:
            from proctor.adapters.providers.service import open_service

            setup = self.services[self.name]
            secrets = {name: secret.reveal() for name, secret in setup.secrets.items()}
            self.opened = open_service(setup.settings, secrets, Redactor(secrets.values()))
        return self.opened

    async def call(self, ask: Ask) -> Reply:
        """See the port."""
        return await self.open().call(ask)

    async def call_many(self, asks: Sequence[Ask]) -> list[Reply]:
        """See the port."""
        return await self.open().call_many(asks)

    def price(self, model: str) -> Price | None:
        """See the port."""
        return self.open().price(model)

    async def aclose(self) -> None:
        """See the port."""
        if self.opened is not None:
            await self.opened.aclose()


def service_desk(services: Services, name: str) -> Desk:
    """A service, ready to be asked; ConfigError where its host or its JSON path is wrong."""
    from proctor.adapters.providers.service import picker_of

    settings = services.settings(name)
    return Desk(
        name=name,
        provider=LateService(services, name),
        model=settings.model,
        service=settings,
        pick=picker_of(settings),
    )


def service_seen(services: Services, name: str, spent: Spending | None) -> ProviderSeen:
    """A service as far as it can be looked at without calling it."""
    missing, needed = services.missing(name), services.needed(name)
    wrong, price = "", None
    try:
        desk = service_desk(services, name)
        price = desk.service.price if desk.service else None
    except ProctorError as error:
        wrong = f"{error.what}: {error.found}" if error.found else error.what
    return ProviderSeen(
        name=name,
        model=services.model(name),
        limits=services.limits[name],
        key_env=", ".join(missing or needed),
        key_is_set=bool(needed) and not missing,
        price=price,
        spent=spent or Spending(provider=name),
        service=True,
        wrong=wrong,
    )


__all__ = ["LateService", "service_desk", "service_seen"]
