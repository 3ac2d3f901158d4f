"""tau2 retail: what its calls change, and what an operator's order system would tell a guard about a call.

The facts are `context.customer` (who is signed in), `context.order` (the order of the call) and
`context.new_items` (the variants that an exchange or a change asks for, with the item that each replaces).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, Final

from agentguard_evals.tau2_records import Records

__all__ = ["RetailDesk"]

_STATUS_AFTER: Final[Mapping[str, str]] = {
    "cancel_pending_order": "cancelled",
    "modify_pending_order_items": "pending (item modified)",
    "return_delivered_order_items": "return requested",
    "exchange_delivered_order_items": "exchange requested",
}
_ADDRESS: Final = ("address1", "address2", "city", "state", "country", "zip")


class RetailDesk:
    """The shop while one customer is served."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], customer: str) -> None:
        self.records: Final = Records(tables)
        self._customer = customer
        self._variants = {
            item: {"product": product["product_id"], **found}
            for product in tables["products"].values()
            for item, found in product["variants"].items()
        }

    def apply(self, tool: str, args: Mapping[str, Any]) -> None:
        """What a call that ran has changed."""
        address = {key: args[key] for key in _ADDRESS if key in args}
        self._settle(tool, args)
        if tool in _STATUS_AFTER:
            self.records.change("orders", args["order_id"], status=_STATUS_AFTER[tool])
        elif tool == "modify_pending_order_address":
            self.records.change("orders", args["order_id"], address=address)
        elif tool == "modify_user_address":
            self.records.change("users", args["user_id"], address=address)

    def _settle(self, tool: str, args: Mapping[str, Any]) -> None:
        """What moves on gift cards at once: the refund of a cancelled order, the price of other items."""
        order = self.records.find("orders", args.get("order_id"))
        if order is None:
            return
        if tool == "cancel_pending_order":
            for one in order["payment_history"]:
                self.records.pay(order["user_id"], one["payment_method_id"], "balance", -one["amount"])
        elif "new_item_ids" in args:
            difference = sum(one["difference"] for one in self._new_items(order, args))
            self.records.pay(order["user_id"], args["payment_method_id"], "balance", difference)

    def facts(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """What is known about a call; an order that does not exist is left out."""
        user = self.records.find("users", self._customer)
        order = self.records.find("orders", args.get("order_id"))
        found: dict[str, Any] = {
            "customer": {"id": self._customer, "payment_methods": user["payment_methods"]},
        }
        if order is not None:
            found["order"] = _order(order)
            if "new_item_ids" in args:
                found["new_items"] = list(self._new_items(order, args))
                found["difference"] = round(sum(one["difference"] for one in found["new_items"]), 2)
        return found

    def _new_items(self, order: Mapping[str, Any], args: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Each new item beside the one it is for; of what does not exist, `known` is false."""
        ordered = {item["item_id"]: item for item in order["items"]}
        for old, new in zip_longest(args.get("item_ids", ()), args["new_item_ids"]):
            before, after = ordered.get(old), self._variants.get(new)
            if before is None or after is None:
                yield {"known": False, "difference": 0.0}
                continue
            yield {
                "known": True,
                "same_product": before["product_id"] == after["product"],
                "other_option": old != new,
                "available": after["available"],
                "difference": after["price"] - before["price"],
            }


def _order(order: Mapping[str, Any]) -> dict[str, Any]:
    paid = [one for one in order["payment_history"] if one["transaction_type"] == "payment"]
    return {
        "user_id": order["user_id"],
        "status": order["status"],
        "items": [item["item_id"] for item in order["items"]],
        "total": round(sum(one["amount"] for one in paid), 2),
        "paid_with": [one["payment_method_id"] for one in paid],
    }
