"""What OCSF 1.8 says of the two classes that an export uses, as far as an export can touch it.

Taken down from the published schema (github.com/ocsf/ocsf-schema, its state for 1.8): the attributes of the
classes API Activity (6003) and Entity Management (3004) with base event and the profile `security_control`,
of the objects in them, which are required, of which type, and the values of their enumerations. Attributes
that an export never writes are left out, so what passes here is within the schema, and not the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["problems"]

# name: (type, required, values); a type in brackets is a list of it.
_Attributes = Mapping[str, tuple[str, bool, frozenset[int] | None]]


def _of(kind: str, required: bool = False, *values: int) -> tuple[str, bool, frozenset[int] | None]:
    return kind, required, frozenset(values) if values else None


_BASE: Final[_Attributes] = {
    "activity_id": _of("integer_t", True),
    "activity_name": _of("string_t"),
    "category_uid": _of("integer_t", True),
    "category_name": _of("string_t"),
    "class_uid": _of("integer_t", True),
    "class_name": _of("string_t"),
    "type_uid": _of("long_t", True),
    "type_name": _of("string_t"),
    "severity_id": _of("integer_t", True, 0, 1, 2, 3, 4, 5, 6, 99),
    "severity": _of("string_t"),
    "status_id": _of("integer_t", False, 0, 1, 2, 99),
    "status": _of("string_t"),
    "status_code": _of("string_t"),
    "time": _of("timestamp_t", True),
    "duration": _of("long_t"),
    "message": _of("string_t"),
    "metadata": _of("metadata", True),
    "unmapped": _of("object"),
}
_SECURITY_CONTROL: Final[_Attributes] = {
    "action_id": _of("integer_t", False, 0, 1, 2),
    "action": _of("string_t"),
    "disposition_id": _of("integer_t", False, *range(28), 99),
    "disposition": _of("string_t"),
    "authorizations": _of("[authorization]"),
    "policy": _of("policy"),
}
_CLASSES: Final[Mapping[int, tuple[int, frozenset[int], _Attributes]]] = {
    6003: (
        6,
        frozenset({0, 1, 2, 3, 4, 99}),
        {
            **_BASE,
            "actor": _of("actor", True),
            "api": _of("api", True),
            "src_endpoint": _of("network_endpoint", True),
            "resources": _of("[resource_details]"),
        },
    ),
    3004: (
        3,
        frozenset({*range(14), 99}),
        {
            **_BASE,
            "actor": _of("actor"),
            "entity": _of("managed_entity", True),
            "comment": _of("string_t"),
        },
    ),
}
_ENTITY: Final[_Attributes] = {"name": _of("string_t"), "uid": _of("string_t")}
_OBJECTS: Final[Mapping[str, _Attributes]] = {
    "actor": {
        "app_name": _of("string_t"), "app_uid": _of("string_t"), "user": _of("user"),
        "session": _of("session"),
    },
    "api": {
        "operation": _of("string_t", True), "request": _of("request"), "response": _of("response"),
        "version": _of("string_t"),
    },
    "authorization": {"decision": _of("string_t"), "policy": _of("policy")},
    "managed_entity": {
        **_ENTITY, "type": _of("string_t"), "type_id": _of("integer_t", False, *range(8), 99),
        "policy": _of("policy"), "version": _of("string_t"),
    },
    "metadata": {
        "version": _of("string_t", True), "product": _of("product", True), "profiles": _of("[string_t]"),
        "uid": _of("string_t"), "original_event_uid": _of("string_t"), "event_code": _of("string_t"),
        "sequence": _of("integer_t"), "tenant_uid": _of("string_t"), "log_name": _of("string_t"),
        "original_time": _of("string_t"), "correlation_uid": _of("string_t"),
    },
    "network_endpoint": {**_ENTITY},
    "policy": {**_ENTITY, "desc": _of("string_t"), "version": _of("string_t")},
    "product": {"name": _of("string_t"), "vendor_name": _of("string_t"), "version": _of("string_t")},
    "request": {"uid": _of("string_t", True)},
    "resource_details": {**_ENTITY, "type": _of("string_t"), "version": _of("string_t")},
    "response": {"error": _of("string_t")},
    "session": {"uid": _of("string_t")},
    "user": {**_ENTITY, "type_id": _of("integer_t", False, 0, 1, 2, 3, 4, 99)},
}  # fmt: skip
_AT_LEAST_ONE: Final[Mapping[str, tuple[str, ...]]] = {
    "actor": ("user", "session", "app_name", "app_uid"),
    "managed_entity": ("name", "uid", "policy"),
    "network_endpoint": ("name", "uid"),
    "policy": ("name", "uid"),
    "resource_details": ("name", "uid"),
    "user": ("name", "uid"),
    "product": ("name", "uid"),
}


def problems(event: Mapping[str, Any]) -> list[str]:
    """What of an event the schema does not allow."""
    number = event.get("class_uid")
    if number not in _CLASSES:
        return [f"class_uid: {number}"]
    category, activities, attributes = _CLASSES[number]
    profiles = event.get("metadata", {}).get("profiles", [])
    if "security_control" in profiles:
        attributes = {**attributes, **_SECURITY_CONTROL}
    found = list(_object("event", event, attributes))
    if event.get("category_uid") != category:
        found.append("category_uid: not the class's")
    if event.get("activity_id") not in activities:
        found.append(f"activity_id: {event.get('activity_id')}")
    if event.get("type_uid") != number * 100 + event.get("activity_id", 0):
        found.append("type_uid: not class and activity")
    if event.get("metadata", {}).get("version") != "1.8.0":
        found.append("metadata.version")
    return found


def _object(where: str, value: object, attributes: _Attributes) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: no object"
        return
    for name in value.keys() - attributes.keys():
        yield f"{where}.{name}: unknown"
    for name, (kind, required, values) in attributes.items():
        if name not in value:
            if required:
                yield f"{where}.{name}: missing"
            continue
        yield from _value(f"{where}.{name}", value[name], kind)
        if values is not None and value[name] not in values:
            yield f"{where}.{name}: {value[name]}"


def _value(where: str, value: object, kind: str) -> Iterator[str]:
    if kind.startswith("["):
        if not isinstance(value, list):
            yield f"{where}: no list"
        else:
            for item in value:
                yield from _value(where, item, kind[1:-1])
    elif kind == "string_t":
        if not isinstance(value, str) or not value:
            yield f"{where}: no text"
    elif kind in ("integer_t", "long_t", "timestamp_t"):
        if type(value) is not int:
            yield f"{where}: no whole number"
    elif kind == "object":
        if not isinstance(value, Mapping):
            yield f"{where}: no object"
    else:
        yield from _object(where, value, _OBJECTS[kind])
        one_of = _AT_LEAST_ONE.get(kind)
        if one_of is not None and isinstance(value, Mapping) and not any(name in value for name in one_of):
            yield f"{where}: none of {', '.join(one_of)}"
