"""A run folder of which only is known what is done and what failed, for agendas."""

from foldwise.runs.agenda import Agenda


class DoneSoFar:
    """Stands in for a `RunFolder`; counts what it is asked."""

    def __init__(self, done=(), failed=()):
        self.number = dict.fromkeys((*done, *failed), 1)
        self.failed = set(failed)
        self.listings, self.opened = 0, []

    def put(self, item_id, *, failed=False):
        """An item is committed; one that was before was put away first."""
        self.number[item_id] = self.number.get(item_id, 0) + 1
        (self.failed.add if failed else self.failed.discard)(item_id)

    def put_away(self, item_id):
        del self.number[item_id]

    def committed(self):
        self.listings += 1
        return dict(self.number)

    def leased(self):
        return []

    def result(self, item_id):
        self.opened.append(item_id)
        if item_id not in self.number:
            return None
        return {"status": "failed" if item_id in self.failed else "done"}


def can_be_done(plan, *, done=(), failed=()):
    """The items that an agenda offers where all that it offers is had by others."""
    agenda = Agenda(DoneSoFar(done, failed), plan, draw=lambda: 0.0)
    agenda.look()
    offered = []
    for item in agenda.choices():
        offered.append(item)
        agenda.was_had(item)
    return offered
