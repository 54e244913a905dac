"""Tools that people already have, unmodified, against a hub: taxii2-client, stix2, stix2-validator, stix2-patterns.

    python clients.py URL CA TOKEN_FILE MEMBER EMITTED [BUNDLE...]

URL is the hub's, CA the PEM file that it is known by, TOKEN_FILE holds a token of MEMBER with the scopes `report` and
`read`, EMITTED is a bundle of everything that we write, BUNDLEs are other people's. `cargo xtask interop` prepares all of it and calls this.

Prints one line for each check, separated by tabs: `ok NAME COUNT` or `FAILED NAME WHY`. Exit code 1 if one failed.
"""

import collections
import datetime
import json
import re
import sys
import uuid

import requests
import stix2
import stix2validator
from bundles import Bundle, served
from requests.exceptions import HTTPError, SSLError
from stix2.utils import parse_into_datetime
from stix2patterns.validator import run_validator
from taxii2client.common import TokenAuth
from taxii2client.v21 import ApiRoot, Server, as_pages

TAXII = "application/taxii+json;version=2.1"
# More than one page of everything that is paged here.
INDICATORS = 250
PAGE = 100
# The most that one request adds here, and that one page holds (docs/reference/taxii.md).
ENVELOPE = 1000
# Longest reason that is printed.
WHY_MAX = 300
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

CHECKS = []


def check(function):
    """What is marked so is run, in the order of this file. It returns how many things it looked at, at least one."""
    CHECKS.append(function)
    return function


class Bearer(requests.auth.AuthBase):
    """A token as RFC 6750 has it: what one gives to `auth=` of taxii2-client."""

    def __init__(self, token):
        self.token = token

    def __call__(self, request):
        request.headers["Authorization"] = "Bearer " + self.token
        return request


class Hub:
    """The server as taxii2-client sees it, and what the checks hand on to each other."""

    def __init__(self, url, ca, token_file, member, emitted):
        self.discovery, self.url, self.ca, self.member = url + "/taxii2/", url, ca, member
        with open(token_file, encoding="ascii") as file:
            self.token = file.read().strip()
        with open(emitted, encoding="utf-8") as file:
            self.emitted = json.load(file)["objects"]
        self.server = self.enter(user=member, password=self.token)
        self.sent, self.findings, self.plans = [], [], []

    def enter(self, verify=None, **credential):
        return Server(self.discovery, verify=verify or self.ca, **credential)

    def collection(self, alias, server=None):
        return next(c for c in (server or self.server).default.collections if c.alias == alias)

    @property
    def sightings(self):
        """Where members push into."""
        return self.collection("sightings")


def expect(holds, found):
    if not holds:
        raise AssertionError(str(found))


def equal(found, expected, what=""):
    expect(found == expected, f"{what} is {found!r:.150}, not {expected!r:.150}")


def refused(status, ask, *words, **named):
    """The server says no with this status, and in TAXII's form (§3.6.1)."""
    try:
        answer = ask(*words, **named)
    except HTTPError as error:
        equal(error.response.status_code, status, "the status")
        expect(error.response.headers["content-type"].startswith("application/taxii+json"), error.response.headers)
        body = error.response.json()
        expect(body["title"] and body["http_status"] == str(status), body)
        return 1
    raise AssertionError(f"not refused: {answer!r:.100}")


def same(thing):
    """An object in one form: `stix2` writes moments without zeros at their end, and leaves out what is the default."""
    if isinstance(thing, dict):
        return {name: same(value) for name, value in thing.items() if (name, value) != ("revoked", False)}
    if isinstance(thing, list):
        return [same(value) for value in thing]
    return parse_into_datetime(thing) if isinstance(thing, str) and MOMENT.fullmatch(thing) else thing


def indicator(name, address, **more):
    now = datetime.datetime.now(datetime.timezone.utc)
    more = {"object_marking_refs": [stix2.TLP_GREEN], **more}
    pattern = f"[ipv4-addr:value = '{address}']"
    kind = ["malicious-activity"]
    return stix2.Indicator(
        name=name, pattern=pattern, pattern_type="stix", valid_from=now, indicator_types=kind, **more
    )


def plain(thing):
    return json.loads(thing.serialize())


def add(collection, objects):
    return collection.add_objects({"objects": objects}, wait_for_completion=True)


def everything(ask, per_request=ENVELOPE, **filters):
    """All objects of all pages, as the tool itself pages."""
    pages = list(as_pages(ask, per_request=per_request, **filters))
    sizes = [len(page.get("objects", [])) for page in pages]
    expect(all(size <= per_request for size in sizes), f"pages of {sizes} where {per_request} were asked for")
    expect(all(size > 0 for size in sizes[:-1]), f"an empty page in the middle: {sizes}")
    return [thing for page in pages for thing in page.get("objects", [])]


def by_id(objects):
    found = {thing["id"]: thing for thing in objects}
    equal(len(found), len(objects), "the number of different identifiers")
    return found


# --- who is there -----------------------------------------------------------------------------------------------------


@check
def discovery(hub):
    roots = [root.url for root in hub.server.api_roots]
    expect(hub.server.title and hub.server.default.url in roots, (hub.server.title, roots))
    return len(roots)


@check
def api_roots(hub):
    for root in hub.server.api_roots:
        expect(root.title and TAXII in root.versions and root.max_content_length > 0, root._raw)
    return len(hub.server.api_roots)


@check
def collections_of_every_root(hub):
    count = 0
    for root in hub.server.api_roots:
        for collection in root.collections:
            equal(uuid.UUID(collection.id).version, 4, collection.id)
            listed = collection._raw
            collection.refresh()
            equal(collection._raw, listed, "the collection by itself")
            expect(collection.can_read, f"{collection.url} cannot be read")
            count += 1
    return count


@check
def may_read_and_may_write(hub):
    """The rights that are told are the rights that are held to."""
    session = requests.Session()
    session.verify, session.auth = hub.ca, Bearer(hub.token)
    kinds = {True: 0, False: 0}
    for collection in (c for root in hub.server.api_roots for c in root.collections):
        kinds[collection.can_write] += 1
        if not collection.can_write:
            headers = {"Accept": TAXII, "Content-Type": TAXII}
            answer = session.post(collection.objects_url, headers=headers, data=b'{"objects":[]}')
            refused(403, answer.raise_for_status)
    expect(all(kinds.values()), kinds)
    return sum(kinds.values())


@check
def what_is_public_needs_no_token(hub):
    root = ApiRoot(hub.discovery + "public/", verify=hub.ca)
    for collection in root.collections:
        expect(collection.can_read and not collection.can_write, collection._raw)
        collection.get_objects(limit=1)
    return len(root.collections)


@check
def wrong_credentials_are_401(hub):
    wrong = hub.token[:-6] + "AAAAAA"
    count = 0
    for credential in [
        {"user": hub.member, "password": wrong},
        {"user": "somebody-else", "password": hub.token},
        {"auth": Bearer(wrong)},
        {"auth": TokenAuth(wrong)},
    ]:
        count += refused(401, hub.enter(**credential).refresh)
    return count + refused(401, ApiRoot(hub.discovery + "alliance/", verify=hub.ca).refresh)


@check
def another_authority_is_not_trusted(hub):
    try:
        hub.enter(verify=True, auth=Bearer(hub.token)).refresh()
    except SSLError:
        return 1
    raise AssertionError("a certificate of an unknown authority was taken")


# --- in ---------------------------------------------------------------------------------------------------------------


@check
def indicators_added(hub):
    made = [indicator(f"test {n}", f"80.9.{n // 250}.{n % 250 + 1}") for n in range(INDICATORS)]
    hub.sent = [plain(thing) for thing in made]
    hub.status = add(hub.sightings, hub.sent)
    equal(hub.status.status, "complete", "the status")
    counts = (hub.status.total_count, hub.status.success_count, hub.status.failure_count, hub.status.pending_count)
    equal(counts, (INDICATORS, INDICATORS, 0, 0), "what was counted")
    equal([s["id"] for s in hub.status.successes], [o["id"] for o in hub.sent], "the order of successes")
    versions = [s["version"] for s in hub.status.successes]
    equal(same(versions), same([o["modified"] for o in hub.sent]), "the versions of successes")
    return INDICATORS


@check
def status_asked_again(hub):
    again = hub.server.default.get_status(hub.status.id)
    equal(again._raw, hub.status._raw, "the status")
    refused(404, hub.server.default.get_status, str(uuid.uuid4()))
    return again.success_count


@check
def added_twice_is_no_error(hub):
    status = add(hub.sightings, hub.sent[:10])
    equal((status.success_count, status.failure_count), (10, 0), "what was counted")
    return len(by_id(everything(hub.sightings.get_objects, id=[o["id"] for o in hub.sent[:10]])))


@check
def broken_objects_do_not_hold_up_the_others(hub):
    good = plain(indicator("in bad company", "80.9.9.1"))
    red = plain(indicator("red", "80.9.9.2", object_marking_refs=[stix2.TLP_RED]))
    broken = [{"type": "indicator", "id": "indicator--nonsense"}, {**good, "id": 7}, {"type": 1}, red]
    status = add(hub.sightings, [broken[0], good, *broken[1:]])
    equal((status.status, status.success_count, status.failure_count), ("complete", 1, len(broken)), "what was counted")
    expect(all(failure.get("message") for failure in status.failures), status.failures)
    equal(status.successes[0]["id"], good["id"], "what was kept")
    refused(404, hub.sightings.get_object, red["id"])
    refused(422, hub.sightings.add_objects, b'{"objects": [')
    return len(broken)


# --- out --------------------------------------------------------------------------------------------------------------


@check
def pages_of_100(hub):
    """None missing, none twice, each as it was sent."""
    got = by_id(everything(hub.sightings.get_objects, per_request=PAGE))
    for sent in hub.sent:
        equal(got.get(sent["id"]), sent, "what came back")
    return len(got)


@check
def manifest_pages(hub):
    hub.manifest = everything(hub.sightings.get_manifest, per_request=PAGE)
    objects = everything(hub.sightings.get_objects)
    equal([m["id"] for m in hub.manifest], [o["id"] for o in objects], "the manifest's order")
    versions = [m["version"] for m in hub.manifest]
    equal(same(versions), same([o["modified"] for o in objects]), "the manifest's versions")
    dates = [m["date_added"] for m in hub.manifest]
    expect(dates == sorted(set(dates)), "dates do not ascend, or one comes twice")
    expect(all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", date) for date in dates), dates[:3])
    return len(hub.manifest)


@check
def added_after(hub):
    for place in (0, 4, INDICATORS // 2, INDICATORS - 2):
        got = everything(hub.sightings.get_objects, per_request=PAGE, added_after=hub.manifest[place]["date_added"])
        equal([o["id"] for o in got], [m["id"] for m in hub.manifest[place + 1 :]], f"after the {place}th")
    equal(everything(hub.sightings.get_objects, added_after=hub.manifest[-1]["date_added"]), [], "after the last")
    return 5


@check
def match_id(hub):
    wanted = [o["id"] for o in hub.sent[::25]]
    equal(sorted(by_id(everything(hub.sightings.get_objects, id=wanted))), sorted(wanted), "what was found")
    equal(everything(hub.sightings.get_objects, id="indicator--" + str(uuid.uuid4())), [], "what nobody sent")
    return len(wanted)


@check
def match_type(hub):
    got = everything(hub.sightings.get_objects, type="indicator")
    equal({o["type"] for o in got}, {"indicator"}, "types")
    equal(everything(hub.sightings.get_objects, type="malware"), [], "what nobody sent")
    equal(len(everything(hub.sightings.get_objects, type=["malware", "indicator"])), len(got), "either")
    return len(got)


@check
def match_spec_version(hub):
    equal(everything(hub.sightings.get_objects, spec_version="2.0"), [], "STIX 2.0")
    return len(everything(hub.sightings.get_objects, spec_version=["2.0", "2.1"]))


@check
def one_object(hub):
    for sent in hub.sent[::50]:
        equal(hub.sightings.get_object(sent["id"])["objects"], [sent], "the object")
    refused(404, hub.sightings.get_object, "indicator--" + str(uuid.uuid4()))
    return len(hub.sent[::50])


@check
def versions_of_an_object(hub):
    first = hub.sent[0]
    second = plain(stix2.parse(first).new_version(name="newer"))
    equal(add(hub.sightings, [second]).success_count, 1, "what was kept")
    listed = hub.sightings.object_versions(first["id"])["versions"]
    equal(same(listed), same([first["modified"], second["modified"]]), "versions")
    return len(listed)


@check
def match_version(hub):
    first, one = hub.sent[0], hub.sightings.get_object
    newest = one(first["id"])["objects"][0]
    equal(newest["name"], "newer", "without a filter")
    for version, expected in [
        ("all", [first, newest]),
        ("first", [first]),
        ("last", [newest]),
        (first["modified"], [first]),
        (["first", newest["modified"]], [first, newest]),
    ]:
        equal(one(first["id"], version=version)["objects"], expected, version)
    equal(len(everything(hub.sightings.get_objects, id=first["id"], version="all")), 2, "of the collection")
    return 6


@check
def deleted(hub):
    gone = hub.sent[1]["id"]
    hub.sightings.delete_object(gone)
    refused(404, hub.sightings.get_object, gone)
    refused(404, hub.sightings.delete_object, gone)
    expect(gone not in by_id(everything(hub.sightings.get_objects, per_request=PAGE)), "it is in a page")
    return 1


@check
def an_envelope_of_1000(hub):
    made = [plain(indicator(f"many {n}", f"80.10.{n // 250}.{n % 250 + 1}")) for n in range(ENVELOPE)]
    status = add(hub.sightings, made)
    equal((status.success_count, status.failure_count), (ENVELOPE, 0), "what was counted")
    got = by_id(everything(hub.sightings.get_objects, per_request=PAGE))
    for sent in made:
        equal(got.get(sent["id"]), sent, "what came back")
    return ENVELOPE


@check
def basic_and_bearer_and_token_alike(hub):
    """`TokenAuth` of taxii2-client writes `Authorization: Token …`; a bearer token is RFC 6750's."""
    wanted = [o["id"] for o in hub.sent[2:12]]
    seen = [everything(hub.sightings.get_objects, id=wanted)]
    for auth in (Bearer(hub.token), TokenAuth(hub.token)):
        collection = hub.collection("sightings", hub.enter(auth=auth))
        equal(add(collection, hub.sent[2:3]).success_count, 1, "what was kept")
        seen.append(everything(collection.get_objects, id=wanted))
    expect(len(seen[0]) == 10 and seen[0] == seen[1] == seen[2], [len(s) for s in seen])
    return len(seen)


@check
def stix2_collection_store(hub):
    """What a program sees that knows nothing of TAXII: `stix2` brings its own way to a collection."""
    store = stix2.TAXIICollectionStore(hub.sightings)
    name = f"by the store {uuid.uuid4()}"
    made = indicator(name, "80.9.9.3")
    store.add(made)
    equal(store.get(made.id), made, "what came back")
    equal(len(store.all_versions(hub.sent[0]["id"])), 2, "versions")
    equal(store.get("indicator--" + str(uuid.uuid4())), None, "what nobody sent")
    found = store.query([stix2.Filter("type", "=", "indicator"), stix2.Filter("name", "=", name)])
    equal([thing.id for thing in found], [made.id], "the query")
    return 5


# --- what we write ----------------------------------------------------------------------------------------------------


@check
def plans_pulled(hub):
    hub.plans = everything(hub.collection("plans").get_objects, per_request=PAGE)
    by_id(hub.plans)
    return len(hub.plans)


@check
def findings_pulled(hub):
    hub.findings = everything(hub.collection("findings").get_objects, per_request=PAGE)
    by_id(hub.findings)
    return len(hub.findings)


def parse_all(objects):
    for thing in objects:
        parsed = stix2.parse(thing, allow_custom=False)
        equal(same(plain(parsed)), same(thing), "what stix2 writes again")
    return len(objects)


def valid_all(objects):
    options = stix2validator.ValidationOptions(version="2.1", strict_types=False)
    for thing in objects:
        result = stix2validator.validate_instance(thing, options)
        expect(result.is_valid, f"{thing['id']}: {[str(error) for error in result.errors][:3]}")
    return len(objects)


def patterns_all(objects):
    patterns = [thing["pattern"] for thing in objects if thing["type"] == "indicator"]
    for pattern in patterns:
        faults = run_validator(pattern, stix_version="2.1")
        expect(not faults, f"{pattern}: {faults}")
    return len(patterns)


def identifiers_all(objects):
    """Those of cyber-observables follow from their content (STIX 2.1 §2.9): `stix2` comes to the same ones."""
    observables = [thing for thing in objects if "created" not in thing]
    for thing in observables:
        parsed = stix2.parse({name: value for name, value in thing.items() if name != "id"}, allow_custom=False)
        equal(parsed.id, thing["id"], "the identifier that stix2 makes")
    return len(observables)


def references_all(objects):
    """Every reference has its object beside it, or is a marking that every tool knows."""
    known = {thing["id"] for thing in objects}
    wanted = collections.Counter()
    for thing in objects:
        for name, value in thing.items():
            if name.endswith("_ref"):
                wanted[value] += 1
            elif name.endswith("_refs"):
                wanted.update(value)
    lost = sorted(name for name in wanted if name not in known)
    expect(not lost, f"{len(lost)} lead nowhere: {lost[:3]}")
    return sum(wanted.values())


def on_all(where, judge):
    def run(hub):
        return judge(getattr(hub, where))

    run.__name__ = f"{where}_{judge.__name__.removesuffix('_all')}"
    check(run)


for _where in ("findings", "emitted"):
    for _judge in (parse_all, valid_all, patterns_all, identifiers_all, references_all):
        on_all(_where, _judge)
for _judge in (parse_all, valid_all):
    on_all("plans", _judge)


@check
def plans_references(hub):
    """What a plan mitigates stands among the findings, which were pulled after it."""
    own = by_id(hub.plans)
    return references_all(hub.plans + [thing for thing in hub.findings if thing["id"] not in own])


def on_bundle(path):
    """Each object of a bundle goes in and comes out: on a page byte for byte, by identifier with every property."""
    name = "bundle " + path.rsplit("/", 1)[-1]

    def run(hub):
        bundle = Bundle(path)
        bundle.push(hub.sightings)
        for reason, count in collections.Counter(bundle.refused.values()).items():
            print(f"{name}: {count} refused: {reason}", flush=True)
        if bundle.refused:
            print("ok", f"{name}, refused", len(bundle.refused), sep="\t", flush=True)
        lost = bundle.lost_on_pages(served(hub.sightings, hub.ca, Bearer(hub.token)))
        expect(not lost, f"{len(lost)} are on no page as they were sent: {lost[:3]}")
        lost = bundle.lost_by_id(lambda **filters: everything(hub.sightings.get_objects, **filters))
        expect(not lost, f"{len(lost)} are not there by identifier: {lost[:3]}")
        return len(bundle.sent)

    run.__name__ = name
    check(run)


def perform(function, hub):
    name = function.__name__.replace("_", " ")
    try:
        count = function(hub)
        expect(count > 0, "there was nothing to look at")
    except Exception as error:  # whatever a tool makes of us is a finding, not the end of the run
        why = " ".join(f"{type(error).__name__}: {error}".split())
        print("FAILED", name, why[:WHY_MAX], sep="\t", flush=True)
        return False
    print("ok", name, count, sep="\t", flush=True)
    return True


def main():
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    hub = Hub(*sys.argv[1:6])
    for path in sys.argv[6:]:
        on_bundle(path)
    done = [perform(function, hub) for function in CHECKS]
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()
