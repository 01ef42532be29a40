"""What a slow test reports: a number, and the bound that it must keep to."""

from __future__ import annotations

from attrs import frozen


@frozen
class Figure:
    """One number; without bounds it is only told."""

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it is within its bounds."""
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    def __str__(self) -> str:
        bounds = [f"at most {self.most:,g}"] if self.most is not None else []
        bounds += [f"at least {self.least:,g}"] if self.least is not None else []
        told = f" ({', '.join(bounds)}: {'kept' if self.kept else 'MISSED'})" if bounds else ""
        return f"{self.name}: {self.value:,.3f} {self.unit}{told}"
