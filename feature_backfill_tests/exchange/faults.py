"""What goes wrong between an exchange and us, switched on and off while the simulated exchange runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from feature_backfill.sources.simulated.server import Answer, Request
from feature_backfill_tests.csv_files import zipped

Change = Callable[[Answer], Answer]


def status(code: int, **headers: str) -> Change:
    """An HTTP error, as Binance words it."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"code": 0, "msg": f"simulated {code}"}).encode()
    return lambda answer: Answer(body, code, {"Content-Type": "application/json", **names})


def slow(seconds: float) -> Change:
    return lambda answer: replace(answer, delay=seconds)


def cut(answer: Answer) -> Answer:
    """The connection breaks in the middle of the answer."""
    return replace(answer, cut=True)


def down(answer: Answer) -> Answer:
    """Nobody answers."""
    return Answer(b"", 0)


def not_json(answer: Answer) -> Answer:
    """The page of a gateway instead of the answer."""
    return Answer(b"<html>please wait</html>", 200, {"Content-Type": "text/html"})


def short_page(answer: Answer) -> Answer:
    """A page of candles without its last rows, and no word of it."""
    rows = json.loads(answer.body)
    return replace(answer, body=json.dumps(rows[: len(rows) // 2 or 1]).encode())


def one_row(answer: Answer) -> Answer:
    """A page of candles of which only the first is left."""
    return replace(answer, body=json.dumps(json.loads(answer.body)[:1]).encode())


def absent(answer: Answer) -> Answer:
    return Answer(b"not found", 404)


def wrong_checksum(answer: Answer) -> Answer:
    return replace(answer, body=b"0" * 64 + answer.body[64:])


def wrong_content(answer: Answer) -> Answer:
    """A zip of something else."""
    return replace(answer, body=zipped(("readme.txt", "moved")))


def not_a_zip(answer: Answer) -> Answer:
    return replace(answer, body=b"<html>please wait</html>")


@dataclass
class Fault:
    """change: what happens to the answers whose path contains `part`; times: to how many of them, None for all."""

    change: Change
    part: str = ""
    times: int | None = None


class Faults:
    """The faults that are switched on. An answer meets the first that fits it."""

    def __init__(self) -> None:
        self.active: list[Fault] = []

    def __call__(self, request: Request, answer: Answer) -> Answer:
        for fault in list(self.active):
            if fault.part in request.path and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault.change(answer)
        return answer

    def switch_on(self, change: Change, part: str = "", times: int | None = None) -> None:
        self.active.append(Fault(change, part, times))

    def clear(self) -> None:
        self.active.clear()
