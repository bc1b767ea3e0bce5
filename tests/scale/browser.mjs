// Chromium with an EventSource on /numbers: `node browser.mjs PLAYWRIGHT CHROMIUM URL PROFILE`. It
// writes `open`, and for each line on stdin the events so far, as JSON.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, url, profile] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(playwright).href);

const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, args: ["--no-sandbox"] });
const page = await context.newPage();
await page.goto(`${url}/blank`);
await page.evaluate(() => {
  window.probe = { got: [], opens: 0 };
  const source = new EventSource("/numbers");
  source.onopen = () => (window.probe.opens += 1);
  source.onmessage = (event) => window.probe.got.push([event.lastEventId, Number(event.data)]);
  source.addEventListener("reset", (event) => window.probe.got.push(["reset", event.lastEventId]));
});
await page.waitForFunction(() => window.probe.opens === 1);
console.log("open");
for await (const _ of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await page.evaluate(() => window.probe)));
}
await context.close();
