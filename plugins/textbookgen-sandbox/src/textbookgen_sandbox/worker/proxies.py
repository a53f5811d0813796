"""Proxies in the process of the tests: stand-ins for the program's functions, classes and objects, which live elsewhere.

Threat: an object of the program that claims to equal, or to differ by zero from, whatever it is compared with. Comparisons that
decide a test are therefore made here, where the program cannot reach. An object of the program never equals a plain value,
unless its class inherits from that plain type and it has that value; and once arithmetic has revealed a number of the tests to
the program, no plain value is accepted from the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .borrowed import SPECIAL

if TYPE_CHECKING:
    from .proxy_client import ProxyClient

_FORWARDED_DUNDERS = frozenset({"__name__", "__qualname__", "__doc__", "__annotations__", "__defaults__", "__wrapped__"})
_OF_CLASSES = frozenset({"__members__", "__match_args__", "__annotations__", "__abstractmethods__"})


class ProxyClass(type):
    """Metaclass of proxies for classes: calling one creates an object in the program's process."""

    _sandbox_client: ProxyClient
    _sandbox_class: int  # prefixed, since the names of the program's own attributes must stay free

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any) -> Any:
        """Create a proxy; a class that tests derive from one gets a counterpart in the program's process."""
        created: Any = super().__new__(mcs, name, bases, body)
        if "_sandbox_class" not in body and bases != ():
            created._sandbox_client.create_subclass(created, body)
        return created

    def __call__(cls, *args: Any, **named: Any) -> Any:
        """Create an object in the program's process."""
        return cls._sandbox_client.call(cls._sandbox_class, args, named)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_sandbox_") or (name.startswith("__") and name.endswith("__") and name not in _OF_CLASSES):
            raise AttributeError(name)
        return cls._sandbox_client.request("get", cls._sandbox_class, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._sandbox_client.request("set", cls._sandbox_class, name, value)

    def __dir__(cls) -> list[str]:
        return list(cls._sandbox_client.request("dir", cls._sandbox_class))


def _of_class(name: str) -> Callable[..., Any]:
    def forward(cls: Any, *args: Any) -> Any:
        return cls._sandbox_client.request("special", cls._sandbox_class, name, *args)

    return forward


class EnumProxyClass(ProxyClass):
    """Metaclass of proxies for enumerations, which are collections of their members."""

    __iter__ = _of_class("__iter__")
    __len__ = _of_class("__len__")
    __getitem__ = _of_class("__getitem__")
    __contains__ = _of_class("__contains__")


class ObjectProxy:
    """Proxy for an object of the program; it has the special methods that the object's class has."""

    _sandbox_client: ProxyClient
    _sandbox_number: int
    _sandbox_tainted: bool  # whether it resulted from arithmetic with a number of the tests

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _FORWARDED_DUNDERS:
            raise AttributeError(name)
        return self._sandbox_client.request("get", self._sandbox_number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._sandbox_client.request("set", self._sandbox_number, name, value)

    def __delattr__(self, name: str) -> None:
        self._sandbox_client.request("delete", self._sandbox_number, name)

    def __dir__(self) -> list[str]:
        return list(self._sandbox_client.request("dir", self._sandbox_number))

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return dict(self._sandbox_client.request("get", self._sandbox_number, "__dict__"))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ObjectProxy):
            return self is other or self._sandbox_client.request("same", self._sandbox_number, other) is True
        plain = self._sandbox_client.plain(self)
        return bool(plain) and bool(plain[0] == other)

    def __hash__(self) -> int:
        return int(self._sandbox_client.special(self, "__hash__"))

    def __copy__(self) -> Any:
        return self._sandbox_client.call(self._sandbox_number, (), {"deep": False}, "copy")

    def __deepcopy__(self, _: Any) -> Any:
        return self._sandbox_client.call(self._sandbox_number, (), {"deep": True}, "copy")


def _forward(name: str) -> Callable[..., Any]:
    def forward(self: ObjectProxy, *args: Any) -> Any:
        return self._sandbox_client.special(self, name, *args)

    forward.__name__ = name
    return forward


def _call(self: ObjectProxy, *args: Any, **named: Any) -> Any:
    return self._sandbox_client.call(self._sandbox_number, args, named)


def forward_method(client: ProxyClient, class_number: int, name: str, docstring: str | None) -> Callable[..., Any]:
    """Return a function that calls a method of a class of the program."""

    def method(self: Any, *args: Any, **named: Any) -> Any:
        return client.call(class_number, (self, name, *args), named, "method")

    method.__name__, method.__doc__ = name, docstring
    return method


FORWARDS = {name: _forward(name) for name in SPECIAL - {"__hash__"}} | {"__call__": _call}
