// The page around detector.js, segmenter.js and recognizer.js: photo or camera in, boxes and masks on a
// canvas out; compare.js has what two photos are compared with.
import * as ort from "./vendor/ort.wasm.min.mjs";
import { ModelError, readContract } from "./file.js";
import { loadDetector } from "./detector.js";
import { loadRecognizer } from "./recognizer.js";
import { classAt, loadSegmenter } from "./segmenter.js";
import { setUpComparison } from "./compare.js";

const LIST = "models.json"; // paths of the files that are opened first
const COLOURS = [[46, 230, 166], [255, 140, 40], [200, 90, 230], [40, 200, 230]]; // of classes
// More threads need headers (COOP, COEP) that a plain file server does not send.
ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error"; // it warns of nodes that WebAssembly runs, as it should

const $ = (id) => document.getElementById(id);
const picture = $("picture");
const brush = picture.getContext("2d");
// A canvas of its own for the pixels, so that no drawing can get into them.
const source = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const layer = document.createElement("canvas").getContext("2d");

let detector = null;
let segmenter = null; // once its file has been opened
let recognizer = null; // likewise
let image = null; // ImageData of what is shown
let turn = null; // of the camera, from the click that starts it to the one that stops it
let busy = Promise.resolve(); // one inference at a time
let waiting = false; // whether one of `findAgain` is still to begin

/** A detector takes the place of the one before it, a segmenter and a recogniser likewise. */
async function open(bytes) {
  say("Loading the model …");
  const { task } = readContract(bytes);
  if (task === "face-recognition") {
    const opened = await loadRecognizer(ort, bytes);
    await recognizer?.close();
    recognizer = opened;
    forgetPeople();
  } else if (task === "face-segmentation") {
    const opened = await loadSegmenter(ort, bytes);
    await segmenter?.close();
    segmenter = opened;
  } else {
    const opened = await loadDetector(ort, bytes);
    await detector?.close();
    detector = opened;
    const { rules } = detector.contract;
    const slider = $("threshold");
    // A graph with NMS inside has dropped the rest already.
    slider.min = rules.nms === "graph" ? rules.score_threshold : 0.05;
    slider.value = rules.score_threshold;
    slider.disabled = false;
    showThreshold();
  }
  $("masks").disabled = !segmenter;
  const facts = [detector, segmenter, recognizer].flatMap((model) => (model ? factsOf(model) : []));
  $("model").replaceChildren(
    ...facts.flatMap(([term, text]) => [element("dt", term), element("dd", text)]),
  );
}

function ready() {
  say("Ready: choose a photo or use the camera.");
}

function factsOf({ contract, sealed }) {
  const { input, rules } = contract;
  const [, , height, width] = input.shape;
  let own = ["NMS", `IoU ${rules.nms_iou}, ${rules.nms === "graph" ? "in the graph" : "in this page"}`];
  if (rules.classes) own = ["Masks", rules.classes.join(", ")];
  if (rules.thresholds) own = ["Measured on", rules.measured_on ?? "nothing"];
  return [
    ["Name", contract.name],
    ["Input", `${width} × ${height}, ${input.resize}`],
    ["Precision", contract.precision],
    own,
    ["Licence", contract.provenance.licence ?? "not stated"],
    ["SHA-256", sealed ? "matches" : "not compared: needs https or localhost"],
  ];
}

async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new ModelError(`${path} is not beside this page; see README.md`);
  return answer;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** Pixels of a photo or a video frame as a viewer shows it, in its own size. */
function read(drawable, width, height) {
  Object.assign(source.canvas, { width, height });
  source.fillStyle = "white"; // behind transparent parts, as in Python
  source.fillRect(0, 0, width, height);
  source.drawImage(drawable, 0, 0);
  return source.getImageData(0, 0, width, height);
}

/** ImageData of a file. */
async function readPhoto(file) {
  let bitmap;
  try {
    // Turned by its EXIF orientation; colour profiles are not applied: the network learnt so.
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
    });
  } catch {
    throw new ModelError(`${file.name}: not a photo that this browser can read`);
  }
  const pixels = read(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  return pixels;
}

async function openPhoto(file) {
  image = await readPhoto(file);
  await find();
}

async function find() {
  if (!detector) throw new ModelError("No model is open.");
  const { faces, milliseconds } = await detector.detect(image, {
    scoreThreshold: Number($("threshold").value),
  });
  let masks = [];
  let maskTime = "";
  let note = "";
  let sum = milliseconds.prepare + milliseconds.network + milliseconds.decode;
  const masked = segmenter && $("masks").checked && faces.length;
  if (masked && !faces[0].landmarks) note = ". No masks: this detector finds no landmarks";
  else if (masked) {
    const segmented = await segmenter.segment(image, faces);
    masks = segmented.masks;
    maskTime = `, masks ${segmented.milliseconds.toFixed(0)}`;
    sum += segmented.milliseconds;
  }
  const areas = draw(faces, masks);
  const { prepare, network, decode } = milliseconds;
  say(
    `${faces.length} ${faces.length === 1 ? "face" : "faces"} in ${sum.toFixed(0)} ms ` +
      `(resize ${prepare.toFixed(0)}, network ${network.toFixed(0)}, NMS ${decode.toFixed(0)}` +
      `${maskTime}), ${image.width} × ${image.height}${note}`,
  );
  const told = areas.length ? faces.map((face, at) => ({ ...face, area: areas[at] })) : faces;
  $("faces").textContent = JSON.stringify(told);
}

/** Find faces anew in the photo that is shown; of requests that wait only one is left. */
function findAgain() {
  if (turn || !image || waiting) return;
  waiting = true;
  queue(() => {
    waiting = false;
    return find();
  });
}

/** Draw the picture, masks and boxes; gives the pixels of each face: of its first class. */
function draw(faces, masks) {
  Object.assign(picture, { width: image.width, height: image.height });
  brush.putImageData(image, 0, 0);
  const areas = masks.map(drawMask);
  const unit = Math.max(image.width, image.height) / 400; // looks the same in every size
  brush.lineWidth = 1.5 * unit;
  brush.font = `600 ${8 * unit}px system-ui, sans-serif`;
  brush.textBaseline = "bottom";
  for (const { box, score, landmarks } of faces) {
    const [x1, y1, x2, y2] = box;
    brush.strokeStyle = brush.fillStyle = "#2ee6a6";
    brush.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const text = score.toFixed(2);
    const bottom = Math.max(y1, 10 * unit);
    brush.fillRect(x1 - unit, bottom - 10 * unit, brush.measureText(text).width + 5 * unit, 10 * unit);
    brush.fillStyle = "#0c2b20";
    brush.fillText(text, x1 + 1.5 * unit, bottom - 0.5 * unit);
    brush.fillStyle = "#ffd54a";
    brush.strokeStyle = "#0c2b20";
    for (const [x, y] of landmarks ?? []) {
      brush.beginPath();
      brush.arc(x, y, 2 * unit, 0, 2 * Math.PI);
      brush.stroke();
      brush.fill();
    }
  }
  return areas;
}

function drawMask(mask) {
  const { left, top, width, height } = mask;
  if (width === 0 || height === 0) return 0; // the head lies beside the photo
  const drawn = new ImageData(width, height);
  let area = 0;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 4) {
      const number = classAt(mask, left + x, top + y, segmenter.contract.rules);
      if (number === 0) continue;
      drawn.data.set(COLOURS[(number - 1) % COLOURS.length], at);
      drawn.data[at + 3] = 128;
      if (number === 1) area += 1;
    }
  }
  Object.assign(layer.canvas, { width, height });
  layer.putImageData(drawn, 0, 0);
  brush.drawImage(layer.canvas, left, top);
  return area;
}

function startCamera() {
  const mine = {};
  turn = mine;
  showCamera();
  queue(() => runCamera(mine));
}

async function runCamera(mine) {
  let stream = null;
  try {
    if (turn !== mine) return; // stopped before it began
    if (!detector) throw new ModelError("No model is open.");
    if (!navigator.mediaDevices) throw new ModelError("The camera needs https or localhost.");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    const video = $("video");
    video.srcObject = stream;
    await video.play();
    while (turn === mine) {
      if (video.videoWidth > 0) {
        image = read(video, video.videoWidth, video.videoHeight);
        await find();
      }
      await new Promise(requestAnimationFrame);
    }
  } finally {
    for (const track of stream?.getTracks() ?? []) track.stop();
    if (turn === mine) stopCamera(); // it failed
  }
}

function stopCamera() {
  turn = null;
  showCamera();
}

function showCamera() {
  $("camera").setAttribute("aria-pressed", String(turn !== null));
  $("camera").textContent = turn ? "Stop the camera" : "Use the camera";
}

function showThreshold() {
  $("threshold-value").textContent = Number($("threshold").value).toFixed(2);
}

function say(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

/** One after the other; what goes wrong is shown. */
function queue(action) {
  busy = busy.then(action).catch((error) => {
    if (!(error instanceof ModelError)) console.error(error);
    say(error.message, true);
  });
}

function whenChosen(input, action) {
  input.addEventListener("change", () => {
    const [file] = input.files;
    stopCamera(); // else its turn never ends
    if (file) queue(() => action(file));
    input.value = ""; // the same file may be chosen again
  });
}

const forgetPeople = setUpComparison({
  models: () => ({ detector, recognizer }),
  readPhoto,
  whenChosen: (input, action) =>
    whenChosen(input, async (file) => {
      await action(file);
      ready(); // what went wrong before is over
    }),
});
whenChosen($("photo"), openPhoto);
whenChosen($("other"), async (file) => {
  await open(new Uint8Array(await file.arrayBuffer()));
  ready();
  if (image) await find();
});
$("camera").addEventListener("click", () => (turn ? stopCamera() : startCamera()));
$("threshold").addEventListener("input", () => {
  showThreshold();
  findAgain();
});
$("masks").addEventListener("change", findAgain);
queue(async () => {
  const problems = [];
  for (const path of await (await get(LIST)).json()) {
    try {
      await open(new Uint8Array(await (await get(path)).arrayBuffer()));
    } catch (error) {
      if (!(error instanceof ModelError)) throw error;
      problems.push(error.message); // the others are of use without it
    }
  }
  if (problems.length) throw new ModelError(problems.join("; "));
  ready();
});
