"""Tells the language of a text by py3langid, whose model comes with its package: no network."""

from __future__ import annotations

import functools

from typing import Any

from proctor.errors import ConfigError


def detect(text: str) -> tuple[str, float]:
    """The likeliest language and how sure that is; ConfigError where the library is missing."""
    found, sure = _identifier().classify(text)
    return str(found), float(sure)


@functools.cache
def _identifier() -> Any:
    """The model: it takes a second to load, and then a sixth of a millisecond a text."""
    try:
        from py3langid.langid import (  # type: ignore[import-untyped]
            MODEL_FILE,
            LanguageIdentifier,
        )
    except ImportError as error:
        raise ConfigError(
            "check language has nothing that tells languages",
            found="the package py3langid is not installed here",
            fix="pip install 'proctor[language]'",
        ) from error
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


__all__ = ["detect"]
