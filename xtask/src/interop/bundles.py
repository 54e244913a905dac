"""Whole bundles of other people's through a hub: every object in, and out again by paging and by identifier.

`cargo xtask interop --bundle FILE...` names them; `clients.py` runs a check for each.
"""

import json

import requests

# Objects and bytes of one envelope: well within what a hub takes.
OBJECTS = 400
BYTES = 3_000_000
# Identifiers that are asked for at once.
IDENTIFIERS = 25
EVERY_VERSION = {"version": "all", "spec_version": ["2.0", "2.1"]}


class Bundle:
    """The objects of a file, each as the text that is sent."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            whole = json.load(file)
        objects = whole if isinstance(whole, list) else whole.get("objects", [whole])
        # What an object is marked with comes before it.
        objects.sort(key=lambda thing: thing["type"] != "marking-definition")
        # Written as few servers write: a server that parses and writes again is seen by it.
        self.sent = {json.dumps(thing, indent=1, ensure_ascii=False): thing for thing in objects}
        self.refused = {}

    def push(self, collection):
        """With the tool. What is refused is remembered with its reason, by identifier and version."""
        part, size = [], 0
        for text in self.sent:
            length = len(text.encode())
            if part and (len(part) >= OBJECTS or size + length > BYTES):
                self.add(collection, part)
                part, size = [], 0
            part.append(text)
            size += length
        self.add(collection, part)

    def add(self, collection, texts):
        envelope = '{"objects":[' + ",".join(texts) + "]}"
        status = collection.add_objects(envelope.encode(), wait_for_completion=True)
        told = status.success_count + status.failure_count
        if (status.status, told) != ("complete", len(texts)):
            raise AssertionError(f"{len(texts)} were sent, the status tells {status._raw!s:.150}")
        for failed in status.failures:
            self.refused[failed["id"]] = failed["message"]

    def kept(self):
        return {text: thing for text, thing in self.sent.items() if thing["id"] not in self.refused}

    def lost_on_pages(self, served):
        """What is on no page byte for byte as it was sent."""
        return [thing["id"] for text, thing in self.kept().items() if text not in served]

    def lost_by_id(self, ask):
        """What the tool does not get by its identifier: equal in every property, known or not."""
        kept, lost = list(self.kept().values()), []
        for start in range(0, len(kept), IDENTIFIERS):
            part = kept[start : start + IDENTIFIERS]
            got = ask(id=sorted({thing["id"] for thing in part}), **EVERY_VERSION)
            lost += [thing["id"] for thing in part if thing not in got]
        return lost


def served(collection, ca, auth):
    """The texts of all objects of a collection, every version, as the server writes them."""
    session = requests.Session()
    session.verify, session.auth = ca, auth
    session.headers["Accept"] = "application/taxii+json;version=2.1"
    asked = {"limit": 1000, "match[version]": "all", "match[spec_version]": "2.0,2.1"}
    texts = set()
    while True:
        answer = session.get(collection.objects_url, params=asked)
        answer.raise_for_status()
        body = answer.content.decode()
        texts.update(pieces(body))
        page = json.loads(body)
        if not page.get("more"):
            return texts
        asked["next"] = page["next"]


def pieces(envelope):
    """The objects of an envelope, uncut and unchanged."""
    decoder = json.JSONDecoder()
    place = envelope.index('"objects":') + len('"objects":')
    place = envelope.index("[", place) + 1
    while envelope[place] != "]":
        if envelope[place] in ", \t\r\n":
            place += 1
            continue
        _, end = decoder.raw_decode(envelope, place)
        yield envelope[place:end]
        place = end
