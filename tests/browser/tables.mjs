// The tables of the server's panel: how long answers took, and the open connections.

import net from "node:net";
import { WAIT_MS, assert, assertEqual, check } from "./harness.mjs";

// Reads from the page until it shows enough. The page's policy forbids to evaluate text in it.
async function until(page, read, enough) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const shown = await page.evaluate(read);
    if (enough(shown)) return shown;
    assert(Date.now() < deadline, `the page does not show ${enough}, but ${JSON.stringify(shown)}`);
    await page.waitForTimeout(100);
  }
}

// Runs in the page: how many answers each bar stands for, and how wide it is.
const bars = () =>
  [...document.querySelectorAll("#latency-rows tr")].map((row) => ({
    bound: row.querySelector("th").textContent,
    count: Number(row.querySelector(".span span").textContent.replaceAll(",", "")),
    width: row.querySelector(".bar-of").getBoundingClientRect().width,
  }));

const sum = (all) => all.reduce((total, { count }) => total + count, 0);

// How many answers the server has measured, as it tells Prometheus.
async function measured(page) {
  const text = await page.evaluate(async () => (await fetch("/metrics")).text());
  const counts = [...text.matchAll(/^akurai_request_duration_seconds_count\{.*\} (\d+)$/gm)];
  return counts.reduce((total, [, count]) => total + Number(count), 0);
}

// Runs in the page: the listed connections.
const listed = () =>
  [...document.querySelectorAll("#connections-rows tr")].map((row) => [...row.cells].map((cell) => cell.textContent));

const open = (kind, all) => all.filter((row) => row[1] === kind).length;

export async function tables({ page, origin }) {
  await check("page: the histogram shows the answers that the server measured", async () => {
    await page.evaluate(async () => {
      for (let i = 0; i < 25; i += 1) await (await fetch("/api/health")).text();
    });
    const atLeast = await measured(page);
    assert(atLeast >= 25, `only ${atLeast} were measured`);
    const shown = await until(page, bars, (all) => sum(all) >= atLeast);
    const atMost = await measured(page);
    assert(sum(shown) <= atMost, `the page shows ${sum(shown)} of ${atMost}`);
    const bounds = shown.map(({ bound }) => bound);
    assertEqual([bounds[0], bounds.at(-2), bounds.at(-1)], ["10 µs", "10 s", "longer"], "bounds");
    for (const { bound, count, width } of shown) {
      assertEqual(width > 1, count > 0, `${bound}: ${count} answers have a bar of ${width} pixels`);
    }
    const longest = [...shown].sort((one, other) => other.width - one.width)[0];
    assertEqual(longest.count, Math.max(...shown.map(({ count }) => count)), "answers of the longest bar");
    const line = await page.textContent("#latency-line");
    assert(/^Half took at most \d+ [µm]s, 99 of 100 /.test(line), line);
    return `${sum(shown)} answers`;
  });

  await check("page: the list shows a WebSocket, what it carries, and its end", async () => {
    const before = await until(page, listed, (all) => open("event stream", all) > 0);
    const numbers = new Set(before.map(([number]) => number));
    await page.evaluate(() => {
      const oldest = document.querySelector("#connections-rows").lastElementChild;
      oldest.dataset.mark = "kept";
      window.probe = new WebSocket(`ws://${location.host}/api/ws`);
      // Random, since the connection compresses.
      window.probe.onopen = () => window.probe.send(crypto.getRandomValues(new Uint8Array(60_000)));
    });
    const isNew = ([number, kind]) => kind === "WebSocket" && !numbers.has(number);
    const rows = await until(page, listed, (all) => all.some((row) => isNew(row) && /^(58|59|60)\S* KiB$/.test(row[3])));
    assertEqual(open("WebSocket", rows), open("WebSocket", before) + 1, "WebSockets");
    const [number, , age] = rows.find(isNew);
    assert(/^\d+ s$/.test(age), `its age is ${age}`);
    await page.evaluate(() => window.probe.close());
    await until(page, listed, (all) => all.every((row) => row[0] !== number));
    assertEqual(await page.locator('#connections-rows tr[data-mark="kept"]').count(), 1, "rows that kept their place");
  });

  await check("page: of many connections it lists the newest 50, and no address", async () => {
    const { hostname, port } = new URL(origin);
    const crowd = Array.from({ length: 60 }, () => net.connect(Number(port), hostname));
    await page.waitForFunction(() => /^The newest 50 of \d+,/.test(document.querySelector("#connections-line").textContent));
    const rows = await page.evaluate(listed);
    assertEqual(rows.length, 50, "rows");
    const numbers = rows.map(([number]) => Number(number));
    assert(numbers.every((number, i) => i === 0 || number < numbers[i - 1]), `not the newest first: ${numbers}`);
    assert(!(await page.textContent("#server")).includes(hostname), "an address is shown");
    for (const socket of crowd) socket.destroy();
    await page.waitForFunction(() => /^All \d+,/.test(document.querySelector("#connections-line").textContent));
  });
}
