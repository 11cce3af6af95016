"""What requests cost: prices of the settings, else the offline table of the package genai-prices. What is in neither is
unknown, and never nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runkon.model.output import Usage

if TYPE_CHECKING:
    from runkon.model.agents import AgentRequest
    from runkon_agents.endpoint import Endpoint

MILLION = 1_000_000
BESIDES = 500  # tokens that the protocol itself may need
Prices = Mapping[str, tuple[float, float]]


def price_of(
    endpoint: Endpoint, prices: Prices, tokens_in: int, tokens_out: int, *, measured: object = None
) -> float | None:
    """Dollars for that many tokens, None if nobody knows. `measured` is the library's count of one request, which also
    tells cached tokens."""
    own = prices.get(endpoint.model) or prices.get(f"{endpoint.provider}:{endpoint.model}")
    if own is not None:
        return (tokens_in * own[0] + tokens_out * own[1]) / MILLION
    from genai_prices import Usage as Counted  # late: the table is large
    from genai_prices import calc_price

    usage: Any = measured or Counted(input_tokens=tokens_in, output_tokens=tokens_out)
    where: dict[str, Any] = (
        {"provider_api_url": endpoint.base_url} if endpoint.base_url else {"provider_id": _provider(endpoint)}
    )
    try:
        found = calc_price(usage, endpoint.model, **where)
    except Exception:  # noqa: BLE001  whatever is wrong with the table: the price is not known
        return None
    return float(found.total_price)


def prompt_tokens(request: AgentRequest) -> int:
    """The most tokens a prompt and its schema can have: a token has at least one byte."""
    from runkon.schemas.json_schema import as_json_schema  # late: only where a price bounds something

    schema = request.schema
    more = 0 if schema is None else len(json.dumps(as_json_schema(schema)).encode())
    return len(request.prompt.encode("utf-8", "replace")) + more + BESIDES


def _provider(endpoint: Endpoint) -> str:
    return endpoint.provider.partition("-")[0] if endpoint.provider.startswith("openai-") else endpoint.provider


class Tally:
    """What the requests of one attempt have cost so far."""

    def __init__(self, endpoint: Endpoint, prices: Prices) -> None:
        self._endpoint = endpoint
        self._prices = prices
        self.cost: float | None = 0.0
        self.tokens_in = 0
        self.tokens_out = 0
        self.turns = 0
        self.is_open = False  # a request is under way

    def begin(self) -> None:
        self.is_open = True

    def refuse(self) -> None:
        """The request under way was not carried out, so that nothing was made for it."""
        self.is_open = False

    def add(self, tokens_in: int, tokens_out: int, measured: object) -> None:
        """A response came. Without a count of tokens its price is unknown, unless it is free."""
        self.is_open = False
        self.turns += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        price = price_of(self._endpoint, self._prices, tokens_in, tokens_out, measured=measured)
        if not tokens_in and not tokens_out and not self._is_free():
            price = None
        self.cost = None if price is None or self.cost is None else self.cost + price

    def usage(self) -> Usage:
        """A request that was broken off may have cost something: then the sum is unknown."""
        cost = self.cost
        if self.is_open and not self._is_free():
            cost = None
        turns = self.turns + (1 if self.is_open else 0)
        return Usage(cost_usd=cost, input_tokens=self.tokens_in, output_tokens=self.tokens_out, turns=turns)

    def price(self, tokens_in: int, tokens_out: int) -> float | None:
        return price_of(self._endpoint, self._prices, tokens_in, tokens_out)

    def _is_free(self) -> bool:
        return price_of(self._endpoint, self._prices, MILLION, MILLION) == 0.0
