"""The rows of the table."""

# The compared functions in the order of the columns.
PEERS = ["bare", "noop", "direct"]


class Row:
    """A figure of each function, and the comparison of Baton's with its limit."""

    def __init__(self, title, values, show, compare=None, show_result=None, must=None, aim=None, note=None, limit=None):
        self.title = title
        self.values = values
        self.show = show
        # A figure that could not be measured is neither within its limit nor above it.
        self.compared = compare(values["noop"], values.get("bare")) if compare and not note else None
        self.show_result = show_result or show
        self.must = must
        self.limit = limit or (f"≤ {self.show_result(must)}" if must is not None else "")
        self.aim = self.show_result(aim) if aim is not None else ""
        self.note = note

    def shown(self):
        return [self.show(self.values[peer]) if self.values.get(peer) is not None else "-" for peer in PEERS]

    def result(self):
        return self.note or (self.show_result(self.compared) if self.compared is not None else "-")

    def is_exceeded(self):
        return self.must is not None and self.compared is not None and self.compared > self.must


def ratio(noop, bare):
    return noop / bare


def difference(noop, bare):
    return noop - bare


def absolute(noop, _bare):
    return noop


def percent(share):
    # The limit is zero, so a share that rounds to zero must not be shown as zero.
    return "0 %" if share == 0 else f"{max(share * 100, 0.01):.2f} %"
