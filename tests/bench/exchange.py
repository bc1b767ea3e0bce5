"""Requests, and echoed messages: see README.md beside this file."""

import argparse

import against
import cells
import process
import servers
from process import title

# A core that computes answers the others in bursts: a round has to have several of them.
COMPUTE_TIMES = 5

# About how many requests strace counts, and how many bytes in all.
CALLED_REQUESTS = 2000
CALLED_BYTES = 2**30


def open_cell(args, server, case):
    # In its favour: see there.
    words = ["pipelined"] if server == "hyper" and case.depth > 1 else []
    if server == "axum-one":
        words = ["one"]
    program = cells.Program(args, servers.PROGRAMS[server], *words)
    cell = cells.Cell(args, program, case.client, *case.words(server))
    cell.rate, cell.computes, cell.rest = (
        case.rate,
        case.slow == "compute",
        args.rest or case.is_load,
    )
    if case.slow == "compute":
        cell.times = COMPUTE_TIMES
    return cell


def system_calls(args):
    cases = [case for case in args.cases if not case.is_load]
    if not cases:
        return
    title(f"System calls: {args.scenario}")
    print("| | | calls/request | of which |\n|---|---|---|---|")
    for case in cases:
        together = case.connections * case.depth
        times = max(1, min(CALLED_REQUESTS, CALLED_BYTES // max(case.bytes, 1)) // together)
        for server in filter(case.has, args.servers):
            with open_cell(args, server, case) as cell:
                calls = cell.calls(times)
            cells.print_calls(case.name, server, calls, times * together)


def main():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    parser.add_argument("scenario", choices=servers.CASES)
    parser.add_argument(
        "cases",
        nargs="*",
        metavar="CASE",
        help=" ".join(
            f"{name}: {' '.join(cases)} by default; {servers.FORMS[name]}."
            for name, cases in servers.CASES.items()
        ),
    )
    parser.add_argument(
        "--servers",
        nargs="+",
        help="the first is compared with the others; all is everybody. "
        + " ".join(
            f"{name}: {' '.join(default)} by default, and {' '.join(others)}."
            for name, (default, others) in servers.SERVERS.items()
            if name in servers.CASES
        ),
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="that a round measures")
    parser.add_argument("--binary", action="store_true", help="of echo: messages are not text")
    parser.add_argument(
        "--deflate", action="store_true", help="of echo: permessage-deflate, by those who have it"
    )
    parser.add_argument(
        "--wrk",
        action="store_true",
        help="of http: by wrk, as a cross-check, a GET that is not pipelined",
    )
    parser.add_argument(
        "--rest",
        action="store_true",
        help="the server's CPU time in the second after the last answer in all cases",
    )
    parser.add_argument(
        "--against",
        metavar="CHECKOUT",
        help="our server with the crates of another checkout takes part, as `before`",
    )
    parser.add_argument("--calls", action="store_true", help="count system calls alone")
    parser.add_argument(
        "--nice",
        type=int,
        default=0,
        help="of server and client, on a machine that others use; below 0 as root",
    )
    args = parser.parse_args()
    if (
        args.scenario == "http"
        and (args.binary or args.deflate)
        or args.scenario == "echo"
        and args.wrk
    ):
        parser.error(f"that is no option of {args.scenario}")
    names = args.cases or servers.CASES[args.scenario]
    options = [option for option in ("--binary", "--deflate") if getattr(args, option[2:])]
    args.cases = [
        servers.http_case(name) if args.scenario == "http" else servers.echo_case(name, *options)
        for name in names
    ]
    if args.against:
        servers.PROGRAMS["before"] = against.built(args.against, args.target)
    args.servers = servers.chosen(args, args.scenario)
    process.NICE = args.nice
    for case in [] if args.calls else args.cases:
        present = list(filter(case.has, args.servers))
        if not present:
            parser.error(f"none of these has {case.name} {' '.join(options)}".rstrip())
        heading = " ".join([args.scenario, case.name, *(option[2:] for option in options)])

        def opened(server, case=case):
            return open_cell(args, server, case)

        if args.wrk and (
            case.is_load or case.path != "/" or case.depth > 1 or "--churn" in case.options
        ):
            continue
        if args.wrk:
            cells.by_wrk(args, heading, present, opened, case.path, case.connections)
        else:
            cells.side_by_side(
                args,
                heading,
                present,
                opened,
                ["cpu_gb", "gb"] if case.long else ["cpu_us", "p50", "p99", "rate"],
            )
    if args.calls or not args.wrk and cells.has_strace():
        system_calls(args)


main()
