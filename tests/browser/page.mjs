// The page of a demo that runs already, in headless Chromium: tests/ports asks this of a demo that
// is not this machine's. `node page.mjs ORIGIN CHROMIUM`; the code is 0 if every check holds.

import { chromium } from "playwright-core";
import { assert, assertEqual, check, counts } from "./harness.mjs";

// Builds and emulators may run beside this.
const WAIT_MS = 50_000;
const [origin, executablePath] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"], timeout: 60_000 });

async function open() {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  const response = await page.goto(`${origin}/`, { waitUntil: "load" });
  assertEqual(response.status(), 200, "status of /");
  return page;
}

const complaints = [];
const pages = [];

await check("two pages load", async () => pages.push(await open(), await open()));
const [page] = pages;

await check("events arrive", async () => {
  await page.locator("#events-log li").nth(2).waitFor();
  assertEqual(await page.locator("#events-reconnections").textContent(), "0", "reconnections");
});

await check("the server's numbers arrive", () =>
  page.waitForFunction(() => Number(document.querySelector("#server").dataset.samples) >= 2).then(() => {}));

await check("1 MiB comes back over a WebSocket as it was", async () => {
  await page.click("#ws-toggle");
  await page.locator('#ws-state[data-state="open"]').waitFor();
  await page.click("#ws-send-random");
  const echo = page.locator('#ws-log li[data-kind="echo"]').first();
  await echo.waitFor();
  assertEqual(await echo.getAttribute("data-identical"), "true", "identical");
  assertEqual(Number(await echo.getAttribute("data-bytes")), 1024 * 1024, "bytes");
});

await check("the pages chat, each by its event stream and its WebSocket", async () => {
  for (const [n, one] of pages.entries()) {
    await one.fill("#chat-name", `Guest ${n}`);
    await one.press("#chat-name", "Enter");
    await one.locator('#chat-state[data-state="in the room"]').waitFor();
  }
  // A page that has just come in may still be on its way into the room's event stream.
  for (const one of pages) {
    await one.waitForFunction(() => {
      const { inRoom, following } = document.querySelector("#chat-people").dataset;
      return inRoom === "2" && following === "2";
    });
  }
  await page.fill("#chat-text", "Grüße 🦀");
  await page.press("#chat-text", "Enter");
  for (const one of pages) await one.locator('#chat-log li[data-kind="message"][data-sse][data-ws]').waitFor();
  const said = await pages[1].locator('#chat-log li[data-kind="message"] .said').textContent();
  assertEqual(said, "Grüße 🦀", "what was said");
});

await check("no page complains", async () => assert(complaints.length === 0, complaints.join("\n")));

await browser.close();
process.exit(counts.failed > 0 ? 1 : 0);
