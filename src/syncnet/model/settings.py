"""Settings of a course of training from a JSON file and from name=value pairs, with clear words for what is wrong."""

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from syncnet.errors import InputError

T = TypeVar("T")


def read_settings(base: T, file: Path | None, pairs: Sequence[str], given: Mapping[str, Any]) -> T:
    """`base` (a frozen dataclass, others inside) changed by a JSON file, then "a.b=JSON" pairs, then `given`.

    Raises InputError for a file that cannot be read, an unknown name or a value of the wrong type.
    """
    config = base
    if file is not None:
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the settings {file}: {error}") from error
        if not isinstance(values, dict):
            raise InputError(f"{file} must hold one JSON object of settings.")
        config = apply(config, values)
    for pair in pairs:
        name, found, text = pair.partition("=")
        if not found:
            raise InputError(f"--set {pair}: write it as name=value.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        config = change(config, name, value)
    for name, value in given.items():
        config = change(config, name, value)
    return config


def apply(config: T, values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass with the values of nested mappings put in."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            child = _child(config, name, prefix)
            value = apply(child, value, f"{prefix}{name}.")
            config = replace(config, **{name: value})  # type: ignore[type-var]
        else:
            config = _set(config, name, value, prefix)
    return config


def change(config: T, name: str, value: Any, prefix: str = "") -> T:
    """A dataclass with the one setting `a.b.c` changed."""
    first, _, rest = name.partition(".")
    if not rest:
        return _set(config, first, value, prefix)
    child = change(_child(config, first, prefix), rest, value, f"{prefix}{first}.")
    return replace(config, **{first: child})  # type: ignore[type-var]


def _child(config: Any, name: str, prefix: str) -> Any:
    _known(config, name, prefix)
    child = getattr(config, name)
    if not is_dataclass(child):
        raise InputError(f"{prefix}{name} is one value, not a group of settings.")
    return child


def _known(config: Any, name: str, prefix: str) -> None:
    names = [f.name for f in fields(config)]
    if name not in names:
        raise InputError(f"there is no setting {prefix}{name}; there are: {', '.join(names)}.")


def _set(config: T, name: str, value: Any, prefix: str) -> T:
    _known(config, name, prefix)
    wanted = get_type_hints(type(config))[name]
    value = _tuples(value)
    if isinstance(value, int) and not isinstance(value, bool) and _accepts(1.5, wanted):
        value = float(value)
    if not _accepts(value, wanted):
        raise InputError(f"{prefix}{name} = {value!r} does not fit: it wants {wanted}.")
    try:
        return replace(config, **{name: value})  # type: ignore[type-var]
    except ValueError as error:
        raise InputError(f"{prefix}{name}: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _accepts(value: Any, wanted: Any) -> bool:
    origin, inside = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return any(_accepts(value, kind) for kind in inside)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = (inside[0],) * len(value) if inside[-1] is Ellipsis else inside
        return len(kinds) == len(value) and all(_accepts(v, k) for v, k in zip(value, kinds, strict=True))
    if origin is not None:  # Literal
        return value in inside
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))
