"""A row of the table: a figure of each function, and what is said about Baton's."""

# The functions that are compared, in the order of the table's columns.
PEERS = ["bare", "noop", "direct"]


class Row:
    """A figure of each function, and what is said about Baton's."""

    def __init__(self, title, values, show, compare=None, say=None, must=None, aim=None, note=None, limit=None):
        self.title = title
        self.values = values
        self.show = show
        # What could not be measured is neither within the limit nor beyond it.
        self.compared = compare(values["noop"], values.get("bare")) if compare and not note else None
        self.say = say or show
        self.must = must
        self.limit = limit or (f"≤ {self.say(must)}" if must is not None else "")
        self.aim = self.say(aim) if aim is not None else ""
        self.note = note

    def shown(self):
        return [self.show(self.values[peer]) if self.values.get(peer) is not None else "-" for peer in PEERS]

    def result(self):
        return self.note or (self.say(self.compared) if self.compared is not None else "-")

    def is_exceeded(self):
        return self.must is not None and self.compared is not None and self.compared > self.must


def ratio(noop, bare):
    return noop / bare


def over(noop, bare):
    return noop - bare


def itself(noop, _bare):
    return noop


def percent(share):
    # The limit is none at all: what is rounded away must show.
    return "0 %" if share == 0 else f"{max(share * 100, 0.01):.2f} %"
