"""Capacity that is a rate limiter: model units, throughput units, and on-demand token quotas.

Both charge a reservation at admission (input and the output the caller may ask for) and settle to the
actual tokens at the end. Model units meter input and output apart; a quota meters their sum, with output
burning down at a multiple on some models, and may also count requests.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossfade.sim.load.bucket import Bucket


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request was charged at admission; given back to `settle`."""

    input_tokens: float
    output_tokens: float


@dataclass(frozen=True, slots=True)
class Refused:
    """No room: which allowance was exhausted and when the request would fit."""

    exhausted: str  # tokens | requests | provisioned
    retry_after_s: float


class ModelUnits:
    """`units` model units, each an allowance of input and of output tokens a minute."""

    def __init__(self, units: int, per_unit: tuple[float, float], window_s: float, now: float) -> None:
        self.units = units
        self.per_unit_input_tpm, self.per_unit_output_tpm = per_unit
        self.window_s = window_s
        self.input = Bucket.per_minute(units * self.per_unit_input_tpm, window_s, now)
        self.output = Bucket.per_minute(units * self.per_unit_output_tpm, window_s, now)

    def admit(self, input_tokens: int, max_output_tokens: int, now: float) -> Charge | Refused:
        """Reserve input and the most output, or refuse and charge nothing."""
        fits_input = self.input.holds(input_tokens, now)
        fits_output = self.output.holds(max_output_tokens, now)
        if self.units == 0:
            return Refused("tokens", 60.0)
        if not (fits_input and fits_output):
            wait = max(self.input.seconds_until(input_tokens), self.output.seconds_until(max_output_tokens))
            return Refused("tokens", wait)
        self.input.take(input_tokens)
        self.output.take(min(max_output_tokens, self.output.size))
        return Charge(input_tokens, min(max_output_tokens, self.output.size))

    def settle(self, charge: Charge, output_tokens: int, now: float) -> None:
        """Replace the output reservation by what was generated."""
        self.output.refill(now)
        _move(self.output, charge.output_tokens, output_tokens)

    def resize(self, units: int, now: float) -> None:
        """Change the number of units at once."""
        self.units = units
        self.input.resize(units * self.per_unit_input_tpm, self.window_s, now)
        self.output.resize(units * self.per_unit_output_tpm, self.window_s, now)


class Quota:
    """A shared allowance of tokens (and requests) a minute; output settles at `burndown` times."""

    def __init__(self, tpm: float, rpm: float | None, burndown: float, window_s: float, now: float) -> None:
        self.tpm = tpm
        self.rpm = rpm
        self.burndown = burndown
        self.tokens = Bucket.per_minute(tpm, window_s, now)
        self.requests = None if rpm is None else Bucket.per_minute(rpm, window_s, now)

    def admit(self, input_tokens: int, max_output_tokens: int, now: float) -> Charge | Refused:
        """Reserve input + max output tokens and one request, or refuse and charge nothing."""
        wanted = input_tokens + max_output_tokens
        if self.requests is not None and not self.requests.holds(1, now):
            return Refused("requests", self.requests.seconds_until(1))
        if not self.tokens.holds(wanted, now):
            return Refused("tokens", self.tokens.seconds_until(wanted))
        reserved = min(wanted, self.tokens.size)
        self.tokens.take(reserved)
        if self.requests is not None:
            self.requests.take(1)
        return Charge(input_tokens, reserved - input_tokens)

    def settle(self, charge: Charge, output_tokens: int, now: float) -> None:
        """Replace the reservation by input + burndown x output."""
        self.tokens.refill(now)
        _move(self.tokens, charge.output_tokens, self.burndown * output_tokens)


class Throughput:
    """Bought throughput: one bucket of tokens a minute, an output token counting `output_ratio` of them.

    Admission reserves input and the most output unweighted, as the clouds do; settlement is weighted.
    """

    def __init__(self, units: int, per_unit: tuple[float, float], window_s: float, now: float) -> None:
        self.units = units
        self.per_unit_tpm, self.output_ratio = per_unit
        self.window_s = window_s
        self.tokens = Bucket.per_minute(units * self.per_unit_tpm, window_s, now)

    def admit(self, input_tokens: int, max_output_tokens: int, now: float) -> Charge | Refused:
        """Reserve, or refuse and charge nothing."""
        wanted = input_tokens + max_output_tokens
        if self.units == 0:
            return Refused("provisioned", 60.0)
        if not self.tokens.holds(wanted, now):
            return Refused("provisioned", self.tokens.seconds_until(wanted))
        reserved = min(wanted, self.tokens.size)
        self.tokens.take(reserved)
        return Charge(input_tokens, reserved - input_tokens)

    def settle(self, charge: Charge, output_tokens: int, now: float) -> None:
        """Replace the reservation by input + weighted output."""
        self.tokens.refill(now)
        _move(self.tokens, charge.output_tokens, self.output_ratio * output_tokens)

    def resize(self, units: int, now: float) -> None:
        """Change the number of units at once."""
        self.units = units
        self.tokens.resize(units * self.per_unit_tpm, self.window_s, now)

    def utilisation(self, now: float) -> float:
        """The share of the bucket in use."""
        self.tokens.refill(now)
        return 1.0 if self.tokens.size == 0 else max(0.0, 1 - self.tokens.level / self.tokens.size)


def _move(bucket: Bucket, reserved: float, actual: float) -> None:
    if actual <= reserved:
        bucket.put_back(reserved - actual)
    else:
        bucket.take(actual - reserved)
