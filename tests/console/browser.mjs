// Drives one Chromium for the tests in this folder: a JSON command a line in, a JSON answer a line out.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";

const require = createRequire(new URL("../../console/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const browser = await chromium.launch({ executablePath: process.argv[2], args: ["--no-sandbox"] });
const pages = new Map();

async function open({ page, url, width, height, scheme }) {
  const made = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  const seen = { page: made, errors: [], requests: [] };
  made.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));
  made.on("pageerror", (error) => seen.errors.push(error.message));
  made.on("request", (request) => seen.requests.push(request.url()));
  pages.set(page, seen);
  await made.goto(url, { waitUntil: "commit" });
}

// Whether it is true; a page that goes on to another address while it is asked is asked again.
async function isTrue(page, expression) {
  try {
    return await pages.get(page).page.evaluate(expression);
  } catch (error) {
    if (error.message.includes("context was destroyed")) return false;
    throw error;
  }
}

const commands = {
  open,
  // asked from outside: the page's own policy forbids evaluating text inside it
  wait: async ({ page, expression, timeout_ms }) => {
    const deadline = performance.now() + timeout_ms;
    while (!(await isTrue(page, expression))) {
      if (performance.now() > deadline) throw new Error(`not within ${timeout_ms} ms: ${expression}`);
      await setTimeout(100);
    }
  },
  evaluate: ({ page, expression }) => pages.get(page).page.evaluate(expression),
  press: ({ page, key }) => pages.get(page).page.keyboard.press(key),
  seen: ({ page }) => ({ errors: pages.get(page).errors, requests: pages.get(page).requests }),
  close: ({ page }) => pages.get(page).page.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ value: (await commands[command](options)) ?? null }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
await browser.close();
