// Runs all scenarios of the suite for servers, and counts their checks.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const [url, results] = process.argv.slice(2);
// A check that may fail, by its id, and the reason.
const EXPECTED = {};
// The suite of this version has so many scenarios. If there are fewer, some did not run.
const SCENARIOS = 32;

const suite = new URL("node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url);
const run = spawnSync(process.execPath, [suite.pathname, "server", "--url", url, "--suite", "all", "-o", results], {
  encoding: "utf8",
});
if (run.error) throw run.error;

const counts = { passed: 0, expected: 0, failed: 0 };
const scenarios = readdirSync(results);
const tell = (outcome, check, why) => console.log(`${outcome} ${check.id}: ${why}`);
const failed = new Set();
for (const scenario of scenarios) {
  for (const check of JSON.parse(readFileSync(`${results}/${scenario}/checks.json`, "utf8"))) {
    if (check.status === "INFO") continue; // What was sent and received: nothing is checked.
    if (check.status === "SUCCESS") {
      counts.passed++;
      continue;
    }
    // A warning says that the server leaves out something that it should do.
    failed.add(check.id);
    const reason = EXPECTED[check.id];
    counts[reason ? "expected" : "failed"]++;
    tell(reason ? "expected" : "FAILED", check, reason ?? check.errorMessage ?? check.status);
  }
}
for (const id of Object.keys(EXPECTED).filter((id) => !failed.has(id))) {
  counts.failed++;
  tell("FAILED", { id }, "it is listed, but passes");
}
if (scenarios.length !== SCENARIOS || counts.passed === 0) {
  console.log(run.stdout, run.stderr);
  console.log(`FAILED: ${scenarios.length} of ${SCENARIOS} scenarios have run`);
  counts.failed++;
}
console.log(`${scenarios.length} scenarios: ${counts.passed} passed, ${counts.expected} expected, ${counts.failed} failed`);
process.exit(counts.failed ? 1 : 0);
