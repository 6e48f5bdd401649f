"""proctor.toml and the environment, read into one frozen Config."""

from proctor.config.load import Config, Env, UserSignal, load
from proctor.config.paid import ProviderSetup, Setups
from proctor.config.schema import RunDefaults, Throttle
from proctor.config.secret import Redactor, Secret, mask_url, redact
from proctor.config.service import Services, ServiceSetup

__all__ = [
    "Config",
    "Env",
    "ProviderSetup",
    "Redactor",
    "RunDefaults",
    "Secret",
    "ServiceSetup",
    "Services",
    "Setups",
    "Throttle",
    "UserSignal",
    "load",
    "mask_url",
    "redact",
]
