// The page's panels for an upload, and for a file that it requests in each way that browsers have.

import { assert, assertEqual, check } from "./harness.mjs";

export async function transfer({ page }) {
  const text = (selector) => page.locator(selector).textContent();
  const arrived = (what) => page.locator("#upload-line", { hasText: `${what} arrived in` }).waitFor();

  await check("page: an upload arrives whole, and the bar is full", async () => {
    await page.click("#upload-random");
    await arrived("16 MiB");
    await page.setInputFiles("#upload-file", { name: "noise", mimeType: "application/octet-stream", buffer: Buffer.alloc(3000, 7) });
    await page.click("#upload-send");
    await arrived("2.93 KiB");
    assertEqual(await page.locator("#upload-bar").evaluate((bar) => bar.value), 1, "the bar");
    await page.setInputFiles("#upload-file", { name: "empty", mimeType: "text/plain", buffer: Buffer.alloc(0) });
    await page.click("#upload-send");
    await arrived("0 B");
  });

  await check("page: what is not chosen is not sent, and that is said", async () => {
    await page.setInputFiles("#upload-file", []);
    await page.click("#upload-send");
    await page.locator("#upload-problem:not([hidden])").waitFor();
    assert((await text("#upload-problem")).includes("Choose a file"), "it says so");
    assertEqual(await page.locator("#upload-send").isEnabled(), true, "it may be tried again");
  });

  await check("page: a file whole, in a part, in two, and not again", async () => {
    const answer = async (button, row) => {
      await page.click(button);
      await page.locator("#files-log li").nth(row).waitFor();
      const newest = page.locator("#files-log li").first();
      return [await newest.getAttribute("data-status"), await newest.textContent()];
    };
    // Without a tag yet, the page first requests the whole.
    const [again] = await answer("#files-again", 1);
    assertEqual(again, "304", "what has not changed");
    const [whole, shown] = await answer("#files-whole", 2);
    assertEqual(whole, "200", "the whole");
    assert(shown.includes("image/svg+xml"), shown);
    const [part, range] = await answer("#files-part", 3);
    assertEqual(part, "206", "a part");
    assert(/bytes 0-99\/\d+/.test(range) && range.includes("100 B"), range);
    const [parts, type] = await answer("#files-parts", 4);
    assertEqual(parts, "206", "two parts");
    assert(type.includes("multipart/byteranges"), type);
  });
}
