// The bytes that an SseSink and an SseEvent write, and the events that a real EventSource
// dispatches. The rows have the numbers of the table of inputs in sse_table.rs.

import { assert, assertEqual, check, kill, start } from "./harness.mjs";

// The dispatched events: type, data, lastEventId.
const ROWS = [
  [1, "text", [["message", "hi", ""]]],
  [2, "a space first stays", [["message", " hi", ""]]],
  [3, "a tab first stays", [["message", "\thi", ""]]],
  [4, "empty", [["message", "", ""]]],
  [5, "LF", [["message", "a\nb", ""]]],
  [6, "LF last", [["message", "a\n", ""]]],
  [7, "LF first", [["message", "\na", ""]]],
  [8, "CRLF is one break", [["message", "a\nb", ""]]],
  [9, "CR is a break, and forges no field", [["message", "a\nb", ""], ["message", "a\nevent: forged\nid: 9", ""]]],
  [10, "U+2028, U+0085, VT, FF and NUL are text", [["message", "a\u2028b\u0085c\u000bd\u000ce\u0000f", ""]]],
  [11, "a BOM first in a value stays", [["message", "\ufeffhi", ""]]],
  [12, "1 MiB in one line", [["message", "0123456789abcde\u00fc".repeat(Math.floor(2 ** 20 / 17) + 1), ""]]],
  [13, "no name is message", [["message", "unnamed", ""], ["named", "x", ""], ["message", "again", ""]]],
  [15, "an id sticks", [["message", "a", "1"], ["message", "b", "1"]]],
  [16, "an empty id resets it", [["message", "a", "1"], ["message", "b", ""]]],
  [21, "comments are nothing", [["message", "a", ""]]],
];

// Runs in the page: reads a row to its end.
function read({ path, until, deadline }) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(path);
    const told = { events: [], brokenAt: null, openedAt: null };
    const timer = setTimeout(() => {
      source.close();
      reject(new Error(`only ${told.events.length} events in time`));
    }, deadline);
    const note = (event) => {
      if (event.type === until) {
        clearTimeout(timer);
        source.close();
        resolve({ ...told, end: [event.data, event.lastEventId], pause: told.openedAt - told.brokenAt });
      } else if (event.type !== "end") {
        told.events.push([event.type, event.data, event.lastEventId]);
      }
    };
    for (const type of ["message", "named", "forged", "end", "back"]) source.addEventListener(type, note);
    source.addEventListener("open", () => (told.openedAt = performance.now()));
    source.addEventListener("error", () => (told.brokenAt = performance.now()));
  });
}

const hex = (text) => Buffer.from(text).toString("hex");

export async function sseTable({ browser, program, log, watch, own }) {
  const server = await start(program, [], "stdout", /^(\d+)\n/, log);
  const page = await browser.newPage();
  watch(page);
  own(`127.0.0.1:${server.match[1]}`);
  await page.goto(`http://127.0.0.1:${server.match[1]}/`);

  for (const how of ["verbs", "events"]) {
    const ask = (row, until = "end") => page.evaluate(read, { path: `/rows/${row}/${how}`, until, deadline: 15_000 });

    await check(`event stream by ${how}: rows ${ROWS.map(([row]) => row).join(", ")}`, async () => {
      for (const [row, what, expected] of ROWS) {
        const { events } = await ask(row);
        assertEqual(events, expected, `row ${row}, ${what}`);
      }
    });
    await check(`event stream by ${how}: row 18, an id that is not ASCII comes back as its UTF-8`, async () => {
      const id = "café ✓🦀";
      const { events, end } = await ask(18, "back");
      assertEqual(events, [["message", "a", id]], "events");
      assertEqual(end, [`${hex(id)} true`, id], "Last-Event-ID, and whether last_event_id is the same");
      return `Last-Event-ID ${end[0].split(" ")[0]}`;
    });
    await check(`event stream by ${how}: row 19, an id alone is no event and moves the cursor`, async () => {
      const { events, end } = await ask(19, "back");
      assertEqual(events, [["message", "a", ""]], "events");
      assertEqual(end, [`${hex("7")} true`, "7"], "Last-Event-ID");
    });
    await check(`event stream by ${how}: row 20, a retry time counts without data`, async () => {
      const [long, short] = await Promise.all([ask(20, "back"), ask(120, "back")]);
      assertEqual([...long.events, ...short.events], [], "events");
      assert(long.pause >= 2400, `back after ${long.pause} ms instead of 2500`);
      assert(short.pause >= 190 && short.pause < 2400, `back after ${short.pause} ms instead of 200`);
      return `2500 → ${long.pause.toFixed(0)} ms, 200 → ${short.pause.toFixed(0)} ms`;
    });
  }
  await check("event stream with gzip: an event is dispatched at once, and not when the next one fills a block", async () => {
    const told = await page.evaluate(async (deadline) => {
      const begun = performance.now();
      const source = new EventSource("/gzip");
      const event = (name) =>
        new Promise((resolve, reject) => {
          setTimeout(() => reject(new Error(`no ${name}`)), deadline);
          source.addEventListener(name, ({ data }) => resolve({ data, ms: performance.now() - begun }));
        });
      const [first, second] = await Promise.all([event("first"), event("second")]);
      source.close();
      return { first, second };
    }, 15_000);
    assertEqual([told.first.data, told.second.data.length], ["1", 100_000], "data");
    assert(told.second.ms - told.first.ms > 1500, `the first came ${told.second.ms - told.first.ms} ms before the second`);
    const head = await page.evaluate(async () => {
      const stop = new AbortController();
      const response = await fetch("/gzip", { signal: stop.signal });
      const told = [response.headers.get("content-encoding"), response.headers.get("content-type")];
      stop.abort();
      return told;
    });
    assertEqual(head, ["gzip", "text/event-stream"], "coding and type");
    return `after ${told.first.ms.toFixed(0)} and ${told.second.ms.toFixed(0)} ms`;
  });
  await page.close();
  await kill(server);
}
