// Drives the service's own page in a headless Chromium, as a person would, and prints what it showed.
//
//   node test/service.mjs --chromium PATH --url URL --photo FILE [--token TEXT]
//
// `tasks`: what can be chosen; `shown`: per task the status line, the answer, and the size of the
// picture or of the drawn photo; `unauthorized`: the status line without the token; `requests`: all
// addresses asked for; `blocked`: whether the page's policy stopped a request to another host;
// `errors`: of the console.
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values } = parseArgs({
  options: {
    chromium: { type: "string" },
    url: { type: "string" },
    photo: { type: "string" },
    token: { type: "string" },
  },
});

const browser = await chromium.launch({
  executablePath: values.chromium,
  args: ["--no-sandbox"], // a container's root has no other way
});
const report = { tasks: [], shown: {}, requests: [], errors: [] };
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on("request", (request) => report.requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && report.errors.push(message.text()));
  page.on("pageerror", (error) => report.errors.push(String(error)));
  const status = page.locator("#status");
  const settled = async () => {
    await page.locator("#status.wrong").or(status.filter({ hasText: /^(Ready|Done|Choose)/ })).waitFor();
    return status.textContent();
  };
  await page.goto(values.url);
  await settled();
  report.tasks = await page.locator("#task option").allTextContents();
  await page.locator("#photo").setInputFiles(values.photo);
  if (values.token) {
    report.unauthorized = await settled();
    report.errors.length = 0; // the console's own line about the 401
    await page.locator("#token").fill(values.token);
  }
  for (const [index, name] of report.tasks.entries()) {
    await page.locator("#task").selectOption(String(index));
    if (await page.locator("#other").isVisible()) await page.locator("#second").setInputFiles(values.photo);
    await page.locator("button").click();
    const said = await settled();
    const sizeOf = (id, [width, height]) =>
      page.locator(id).evaluate(
        (element, keys) => (element.hidden ? null : keys.map((key) => element[key])),
        [width, height],
      );
    if (await page.locator("#picture").isVisible()) await page.locator("#picture").evaluate((image) => image.decode());
    report.shown[name] = {
      status: said,
      answer: await page.locator("#answer").textContent(),
      picture: await sizeOf("#picture", ["naturalWidth", "naturalHeight"]),
      drawn: await sizeOf("#drawn", ["width", "height"]),
    };
  }
  // The console's own line about it is expected, hence last.
  const errors = [...report.errors];
  report.blocked = await page.evaluate(
    () =>
      new Promise((resolve) => {
        addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
        fetch("https://example.org/").then(() => resolve(null), () => {});
      }),
  );
  report.errors = errors;
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));
