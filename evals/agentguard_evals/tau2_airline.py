"""tau2 airline: what its calls change, and what an operator's booking system would tell a guard of a call.

The facts are `context.clock` (the time at which the data stands still), `context.customer` (who is signed
in), `context.reservation` (that of the call), `context.flights` (those that it asks for, with prices in the
cabin that it asks for) and `context.booking` (what a new booking costs, and what the call pays).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentguard_evals.tau2_records import Records

__all__ = ["BAG", "CLOCK", "AirlineDesk"]

CLOCK: Final = "2024-05-15T15:00:00-05:00"
"""The time that the written policy gives, with its zone."""
_FLOWN: Final = frozenset({"landed", "flying"})
BAG: Final = 50
INSURANCE: Final = 30
"""Dollars, each bag and each passenger."""


class AirlineDesk:
    """The airline while one customer is served."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], customer: str) -> None:
        self.records: Final = Records(tables)
        self._customer = customer

    def apply(self, tool: str, args: Mapping[str, Any]) -> None:
        """What a call that ran has changed. A new booking has no number yet that a later call could name."""
        for one in args.get("payment_methods", ()):
            self._spend(args["user_id"], one["payment_id"], one["amount"])
        key = args.get("reservation_id")
        if not isinstance(key, str):
            return
        if tool == "cancel_reservation":
            self.records.change("reservations", key, status="cancelled")
        elif tool == "update_reservation_flights":
            flights = [{**one, **self._ends(one)} for one in args["flights"]]
            self.records.change("reservations", key, cabin=args["cabin"], flights=flights)
        elif tool == "update_reservation_baggages":
            bags = {name: args[name] for name in ("total_baggages", "nonfree_baggages")}
            self.records.change("reservations", key, **bags)
        elif tool == "update_reservation_passengers":
            self.records.change("reservations", key, passengers=args["passengers"])

    def facts(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What is known about a call; a reservation that does not exist is left out."""
        user = self.records.find("users", self._customer)
        reservation = self.records.find("reservations", args.get("reservation_id"))
        found: dict[str, Any] = {
            "clock": CLOCK,
            "customer": {
                "id": self._customer,
                "membership": user["membership"],
                "payment_methods": user["payment_methods"],
                "may_be_compensated": self._may_be_compensated(user),
            },
        }
        if reservation is not None:
            found["reservation"] = self._reservation(reservation)
        if "flights" in args:
            held = reservation["flights"] if reservation is not None else []
            found["flights"] = list(self._flights(args, {_key(one) for one in held}))
            if "passengers" in args:
                found["booking"] = _booking(args, found["flights"])
        return found

    def _spend(self, user: str, method: str, amount: float) -> None:
        """A gift card keeps what is left on it, a certificate is used up."""
        if method.startswith("certificate"):
            held = (self.records.find("users", user) or {}).get("payment_methods", {})
            amount = held.get(method, {}).get("amount", amount)
        self.records.pay(user, method, "amount", amount)

    def _reservation(self, reservation: Mapping[str, Any]) -> dict[str, Any]:
        statuses = [self._date(one).get("status") for one in reservation["flights"]]
        same = ("user_id", "cabin", "origin", "destination", "flight_type", "insurance", "total_baggages")
        return {
            **{name: reservation[name] for name in same},
            "passengers": len(reservation["passengers"]),
            "flights": [_key(one) for one in reservation["flights"]],
            "created_at": reservation["created_at"] + CLOCK[-6:],
            "flown": any(status in _FLOWN for status in statuses),
            "cancelled_by_airline": "cancelled" in statuses,
            "status": reservation.get("status") or "booked",
        }

    def _flights(self, args: Mapping[str, Any], held: set[str]) -> Iterator[dict[str, Any]]:
        for one in args["flights"]:
            date = self._date(one)
            yield {
                "id": _key(one),
                **self._ends(one),
                "held": _key(one) in held,
                "available": date.get("status") == "available",
                "seats": date.get("available_seats", {}).get(args.get("cabin"), 0),
                "price": date.get("prices", {}).get(args.get("cabin"), 0),
            }

    def _date(self, flight: Mapping[str, Any]) -> Mapping[str, Any]:
        found = self.records.find("flights", flight["flight_number"]) or {"dates": {}}
        date: Mapping[str, Any] = found["dates"].get(flight["date"], {})
        return date

    def _ends(self, flight: Mapping[str, Any]) -> dict[str, str]:
        found = self.records.find("flights", flight["flight_number"]) or {}
        return {name: found.get(name, "") for name in ("origin", "destination")}

    def _may_be_compensated(self, user: Mapping[str, Any]) -> bool:
        held = [self.records.find("reservations", key) for key in user["reservations"]]
        covered = any(one["insurance"] == "yes" or one["cabin"] == "business" for one in held if one)
        return user["membership"] != "regular" or covered


def _key(flight: Mapping[str, Any]) -> str:
    return f"{flight['flight_number']} {flight['date']}"


def _booking(args: Mapping[str, Any], flights: list[dict[str, Any]]) -> dict[str, Any]:
    people = len(args["passengers"])
    insured = INSURANCE if args.get("insurance") == "yes" else 0
    due = people * (sum(one["price"] for one in flights) + insured) + BAG * args["nonfree_baggages"]
    return {"due": due, "paid": sum(one["amount"] for one in args["payment_methods"])}
