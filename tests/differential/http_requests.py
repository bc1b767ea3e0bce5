"""Sends the same mutated requests to us and to the others, and finds where we differ."""

import contextlib
import itertools
import random
from urllib.parse import urlsplit

import grammar
from client import ask
from differences import Finding
from exchange import Client, Exchange, understood
from http_peers import Servers, our_server

# So many others must agree before a difference from them counts.
MANY = 3
BATCH = 48
# How long a server may say nothing before the client goes away: first, and to confirm, in seconds.
IDLE, CONFIRM_IDLE = 1, 5
# Fields that a proxy writes itself, or that say how the message was framed.
OF_CONNECTION = set(
    "connection keep-alive te upgrade transfer-encoding content-length expect via forwarded "
    "trailer "
    "proxy-connection x-forwarded-for x-forwarded-host x-forwarded-server x-forwarded-proto "
    "x-host".split()
)


def fields_of(request):
    """The field values by name. CGI's names know no `_`, and join the lines of a field."""
    found = {}
    for name, value in request["fields"]:
        name = name.lower().replace("_", "-")
        if name not in OF_CONNECTION:
            found.setdefault(name, []).append(value.strip(" \t"))
    return {
        name: ", ".join(values).replace(",", ", ").replace(",  ", ", ")
        for name, values in found.items()
    }


def target_of(request):
    """The target in origin-form."""
    target = request["target"]
    if target[:7].lower() in ("http://", "https:/"):
        with contextlib.suppress(ValueError):
            parts = urlsplit(target)
            return (parts.path or "/") + (
                f"?{parts.query}" if parts.query or target.endswith("?") else ""
            )
    return target


def aspects(request):
    """What is compared of a request that a server understood."""
    found = {"method": request["method"], "target": target_of(request), "body": request["body"]}
    return found | {f"field {name}": value for name, value in fields_of(request).items()}


def differing(ours, others):
    """Where many of the others, by name, agree on something else than we understood: (aspect,
    value, names) of each."""
    views = {name: aspects(request) for name, request in others.items()}
    mine = aspects(ours)
    for aspect in sorted(set(mine).union(*views.values())):
        groups = {}
        for name, view in views.items():
            groups.setdefault(view.get(aspect), []).append(name)
        for value, names in groups.items():
            if len(names) >= MANY and value != mine.get(aspect):
                yield aspect, value, names


def judge(ours, others, changes, many=MANY):
    """The first difference between our view of a pipeline and the others': findings."""
    requests, end, _ = ours
    for at in range(len(requests) + 1):
        peers = {name: view for name, view in others.items() if len(view[0]) >= at}
        here = {name: view[0][at] for name, view in peers.items() if len(view[0]) > at}
        ended = {}
        for name in set(peers) - set(here):
            last = peers[name][1][0]
            # A server that closed without a word refused too, if it did at once.
            ended.setdefault("refused" if last == "closed" and at == 0 else last, []).append(name)
        if at == len(requests):
            yield from judge_end(end, here, ended, changes, many)
            return
        is_last = at + 1 == len(requests) and requests[at]["target"] != "/end"
        for kind, name in (
            ("refused", f"http accepted{behind(end) if is_last else ''}"),
            ("waits", "http answered, others wait"),
            ("closed", "http answered, others close"),
        ):
            if len(ended.get(kind, [])) >= many:
                yield Finding(name, changes, tuple(ended[kind]))
                return
        found = list(differing(requests[at], here))
        for aspect, value, peers in found:
            detail = f"ours {aspects(requests[at]).get(aspect)!r:.80}, theirs {value!r:.80}"
            yield Finding(f"http {aspect.split(' ')[0]} differs", changes, tuple(peers), detail)
        if found:
            return


def behind(end):
    """What we did behind the last request that we accepted. Some servers read everything that is
    there before they answer the first request, and refuse that for the fault of a later one."""
    return {
        "refused": f", and refused what follows: {end[-1]}",
        "closed": ", and closed",
        "waits": "",
    }[end[0]]


def judge_end(end, here, ended, changes, many):
    agreed = largest_agreement(here)
    if len(agreed) >= many:
        reason = f": {end[2]}" if end[0] == "refused" else ""
        yield Finding(f"http {end[0]}{reason}", changes, tuple(agreed))
    elif end[0] == "waits" and len(ended.get("refused", [])) >= many:
        yield Finding("http waits, others refuse", changes, tuple(ended["refused"]))


def largest_agreement(requests):
    """The names of the largest group that understood the same."""
    groups = {}
    for name, request in requests.items():
        key = (request["method"], target_of(request), request["body"])
        groups.setdefault(key, []).append(name)
    return max(groups.values(), key=len, default=[])


def judge_behind(proxy, ours, recorded, changes):
    """Where we, behind a proxy, understood something else than the recorder behind it."""
    (mine, end, _), (theirs, _, _) = ours, recorded
    for one, other in zip(mine, theirs):
        one, other = aspects(one), aspects(other)
        for aspect in sorted(set(one) | set(other)):
            if one.get(aspect) != other.get(aspect):
                detail = f"ours {one.get(aspect)!r:.80}, the recorder {other.get(aspect)!r:.80}"
                yield Finding(
                    f"http behind a proxy, {aspect.split(' ')[0]} differs",
                    changes,
                    (proxy,),
                    detail,
                )
                return
    if len(mine) < len(theirs):
        reason = f": {end[2]}" if end[0] == "refused" else ""
        yield Finding(f"http behind a proxy {end[0]}{reason}", changes, (proxy,))
    elif len(mine) > len(theirs):
        yield Finding("http behind a proxy answered", changes, (proxy,))


class Comparison:
    """Runs cases on all servers."""

    def __init__(self, servers):
        self.servers = servers
        self.exchanges = 0
        self.reductions = {}
        # How many requests each understood, and refused.
        self.counts = {name: [0, 0] for name in ["ours", *servers.direct]}

    def views(self, cases, idle, apart):
        """What each server understood: for each case (ours, others, behind) by name. `apart` sends
        what is behind the first request only after an answer to it."""
        exchanges = []
        for number, case in enumerate(cases):
            first, rest, _ = case.parts()
            parts = [first, rest] if apart else [first + rest]
            addresses = {("ours", "ours"): self.servers.ours}
            addresses |= {
                ("others", name): address for name, address in self.servers.direct.items()
            }
            addresses |= {
                ("behind", name): address for name, address in self.servers.behind.items()
            }
            exchanges += [
                Exchange((number, *key), address, parts) for key, address in addresses.items()
            ]
        Client(idle).run(exchanges)
        self.exchanges += len(exchanges)
        views = [{"ours": {}, "others": {}, "behind": {}} for _ in cases]
        for exchange in exchanges:
            number, kind, name = exchange.key
            views[number][kind][name] = understood(exchange)
        return views

    def findings(self, cases, idle=CONFIRM_IDLE, apart=False, many=MANY):
        """The findings of each case, and how many more requests arrived than were answered."""
        found = []
        views = self.views(cases, idle, apart)
        for case, view in zip(cases, views):
            of_case = list(judge(view["ours"]["ours"], view["others"], case.changed(), many))
            for proxy, ours in view["behind"].items():
                of_case += judge_behind(proxy, ours, view["others"][proxy], case.changed())
            found.append(of_case)
        self.count(views)
        return found, self.smuggled(views)

    def count(self, views):
        for view in views:
            for name, (requests, end, _) in (view["ours"] | view["others"]).items():
                self.counts[name][0] += len(requests)
                self.counts[name][1] += end[0] == "refused"

    def smuggled(self, views):
        """How many more requests reached us and the recorder through proxies than were answered."""
        answered = {"ours": 0, "recorder": 0}
        for view in views:
            for proxy in self.servers.behind:
                answered["ours"] += view["behind"][proxy][2]
                answered["recorder"] += view["others"][proxy][2]
        counted = {
            name: int(ask(at, "GET", "/counted").body) for name, at in self.servers.counters.items()
        }
        return {name: counted[name] - answered[name] for name in counted}

    def confirmed(self, case, finding):
        """Whether the case shows the finding again, alone and with more patience. Where the others
        refused, they must do so before they see the next request."""
        (again,), _ = self.findings([case], apart=finding.name.startswith("http accepted"))
        return any(one.name == finding.name for one in again)

    def reduced(self, case, finding):
        """The smallest part of the case that shows a finding of the same name, and that finding;
        None if its changes each have some of the peers, and none of them many."""
        for smaller in case.smaller():
            key = smaller, finding.name
            if key not in self.reductions:
                (found,), _ = self.findings([smaller])
                self.reductions[key] = next(
                    (one for one in found if one.name == finding.name), None
                )
            if self.reductions[key]:
                return self.reductions[key], smaller
        if len(case.changes) > 1:
            peers = set()
            for change in case.changes:
                (found,), _ = self.findings([grammar.Case(case.bases, (change,))], many=1)
                peers.update(*(one.peers for one in found if one.name == finding.name))
            if peers.issuperset(finding.peers):
                return None, case
        return finding, case


def cases(rng, is_long):
    """Cases without an end. The first have every change of the structure: of one request, or in a
    long run of every one."""
    yield grammar.Case(("get",), ())
    for changed in grammar.every_change(grammar.BASES if is_long else ("post", "chunked")):
        yield from changed if is_long else changed[:1]
    while True:
        yield grammar.case(rng)


def compare(arguments, differences, budget):
    """The part of HTTP: cases until the budget is used."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(our_server(arguments))
        servers = Servers(arguments, ours, stack)
        comparison = Comparison(servers)
        endless = cases(random.Random(f"http {arguments.seed}"), budget.until)
        count = 0
        while budget.lasts(count):
            batch = list(itertools.islice(endless, BATCH))
            count += len(batch)
            found, extra = comparison.findings(batch, IDLE)
            if any(more > 0 for more in extra.values()):
                smuggling(comparison, batch, differences)
            for case, of_case in zip(batch, found):
                for finding in of_case:
                    take(comparison, case, finding, differences)
            servers.still_run()
        print(f"http: {count} cases, {comparison.exchanges} exchanges")
        for name, (understood_, refused) in comparison.counts.items():
            print(f"http: {name}: {understood_} requests understood, {refused} streams refused")


def take(comparison, case, finding, differences):
    """Adds the finding. One that no row lists counts once its case shows it again."""
    if not differences.knows(finding):
        finding, case = comparison.reduced(case, finding)
    if finding and not differences.knows(finding) and not comparison.confirmed(case, finding):
        differences.unsteady(finding)
    elif finding:
        differences.add(finding, case.data())


def smuggling(comparison, batch, differences):
    """Finds the case of a batch in which more requests arrived than were answered: twice, since one
    that was late may be counted with the next case."""
    for case in batch:
        extras = []
        while not extras or (any(count > 0 for count in extras[-1].values()) and len(extras) < 2):
            extras.append(comparison.findings([case])[1])
        for name in extras[0] if len(extras) == 2 else ():
            if min(extra[name] for extra in extras) > 0:
                found = Finding(
                    f"http behind a proxy, {name} got more than were answered", case.changed(), ()
                )
                differences.add(found, case.data())
