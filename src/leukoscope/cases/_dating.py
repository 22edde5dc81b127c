"""When the smear was taken: what orders the smears of a patient in time."""

from __future__ import annotations

import datetime

from ..errors import CaseError
from ._reviewing import who
from ._sampling import SampledCase
from .records import Event

__all__ = ["DatedCase"]


class DatedCase(SampledCase):
    """The day of the smear, for `leukoscope.cases.Case`."""

    @property
    def taken(self) -> datetime.date | None:
        """The day on which the smear was taken, as somebody said it last; None where nobody did."""
        with self._store.mutex:
            dates = self._review.dates
            return datetime.date.fromisoformat(dates[-1].detail["day"]) if dates else None

    def set_taken(self, day: datetime.date, reviewer: str | None = None) -> Event:
        """Say when the smear was taken; it is on disk when this returns.

        It is an event, and a later one corrects it. A signed case may be dated, too: no label changes by it, and the
        signed report stays as it is.

        Parameters
        ----------
        day : datetime.date
            The day; not one to come.
        reviewer : str, optional
            Who says so; the name of the computer's user where it is not given.

        Raises
        ------
        CaseError
            If the day is still to come, the case has no cells yet, or it cannot be written.
        """
        if isinstance(day, datetime.datetime):
            day = day.date()
        # where it is a day later than here, tomorrow has begun
        if day > datetime.date.today() + datetime.timedelta(days=1):
            raise CaseError(f"{day} is still to come", "Give the day on which the smear was taken.", self.path)
        with self._store.mutex:
            told = self._record([self._draft("date", reviewer=who(reviewer), detail={"day": day.isoformat()})])
        return self._tell_all(told)[0]
