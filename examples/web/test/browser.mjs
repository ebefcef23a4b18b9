// Drives the page in a headless Chromium, as a person would, and prints what it showed, as JSON.
//
//   node test/browser.mjs --chromium PATH --url URL [--segmenter FILE] [--no-masks] [--photo FILE]…
//                         [--model FILE]… [--camera FILE.mjpeg] [--screenshot FILE.png]
//                         [--recognizer FILE] [--first FILE --second FILE]…
//
// `opened`: the status line when the page has opened its models; `segmenter`: the one after the file
// that is opened then; `photos`: per photo the faces and the status line; `unmasked`: the same of the
// last one, once masks are switched off; `models`: per file of --model the status line;
// `people`: whether two photos can be compared, once the models are open; `recognizer`: the status line
// after that file is opened; `compared`: what is said of each pair of photos, and whether each one's face is drawn;
// `camera`: faces of a video that takes the camera's place; `requests`: all addresses asked for;
// `blocked`: whether the page's policy stopped a request to another host; `errors`: of the console.
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values } = parseArgs({
  options: {
    chromium: { type: "string" },
    url: { type: "string" },
    segmenter: { type: "string" },
    "no-masks": { type: "boolean" },
    photo: { type: "string", multiple: true, default: [] },
    model: { type: "string", multiple: true, default: [] },
    camera: { type: "string" },
    screenshot: { type: "string" },
    recognizer: { type: "string" },
    first: { type: "string", multiple: true, default: [] },
    second: { type: "string", multiple: true, default: [] },
  },
});

const browser = await chromium.launch({
  executablePath: values.chromium,
  args: [
    "--no-sandbox", // a container's root has no other way
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    ...(values.camera ? [`--use-file-for-fake-video-capture=${values.camera}`] : []),
  ],
});
const report = { photos: [], models: [], compared: [], camera: null, requests: [], errors: [] };
try {
  const page = await browser.newPage({ viewport: { width: 900, height: 980 } });
  page.setDefaultTimeout(60_000);
  page.on("request", (request) => report.requests.push(request.url()));
  page.on("console", (message) => message.type() === "error" && report.errors.push(message.text()));
  page.on("pageerror", (error) => report.errors.push(String(error)));

  const status = page.locator("#status");
  const settled = (pattern) => page.locator(".wrong").or(status.filter({ hasText: pattern })).waitFor();
  const faces = async () => JSON.parse(await page.locator("#faces").textContent());
  const choose = async (input, file, pattern) => {
    await status.evaluate((line) => (line.textContent = line.className = ""));
    await page.locator(input).setInputFiles(file);
    await settled(pattern);
    return status.textContent();
  };

  await page.goto(values.url);
  await settled(/^Ready/);
  report.opened = await status.textContent();
  if (values.segmenter) report.segmenter = await choose("#other", values.segmenter, /^Ready/);
  report.people = await page.locator("#people").isVisible();
  if (values.recognizer) report.recognizer = await choose("#other", values.recognizer, /^Ready/);
  for (const [index, first] of values.first.entries()) {
    await choose("#first", first, /^Ready/);
    const told = await choose("#second", values.second[index], /^Ready/);
    report.compared.push({
      said: await page.locator("#same").textContent(),
      status: told,
      drawn: await page.locator("#people canvas").evaluateAll((all) =>
        all.map((canvas) => {
          const { width, height } = canvas;
          return canvas.getContext("2d").getImageData(0, 0, width, height).data.some((value) => value);
        }),
      ),
    });
  }
  for (const photo of values.photo) {
    const text = await choose("#photo", photo, / ms |not a photo/);
    report.photos.push({ photo, status: text, faces: await faces() });
  }
  if (values["no-masks"]) {
    await status.evaluate((line) => (line.textContent = line.className = ""));
    await page.locator("#masks").uncheck();
    await settled(/ ms /);
    report.unmasked = { status: await status.textContent(), faces: await faces() };
  }
  if (values.screenshot) await page.screenshot({ path: values.screenshot });
  if (values.camera) {
    await page.locator("#camera").click();
    await settled(/ ms /);
    report.camera = { status: await status.textContent(), faces: await faces() };
    await page.locator("#camera").click();
  }
  for (const model of values.model) report.models.push(await choose("#other", model, / ms |file/));
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
