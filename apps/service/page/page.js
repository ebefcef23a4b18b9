// Sends a photo to one of the service's addresses, which its description lists, and shows the answer.
const $ = (id) => document.getElementById(id);
const status = (text, wrong = false) => {
  $("status").textContent = text;
  $("status").className = wrong ? "wrong" : "";
};

const PREFERRED = { details: "true", as: "overlay" }; // answers that can be looked at
const FIELD = "image";
let tasks = [];
let shown = null; // address of the last picture

const formOf = (said) => said?.requestBody?.content["multipart/form-data"]?.schema.properties[FIELD];

// What a query parameter may be: undefined of the empty text leaves it to the service.
function control({ name, schema, description }) {
  const kinds = schema.anyOf ?? [schema];
  const values = kinds.flatMap((kind) => kind.enum ?? (kind.type === "boolean" ? ["false", "true"] : []));
  const field = document.createElement(values.length ? "select" : "input");
  for (const value of values) field.add(new Option(value));
  if (!values.length) {
    const { minimum, maximum } = kinds.find((kind) => kind.type === "number") ?? {};
    Object.assign(field, { type: "number", step: "any", min: minimum ?? "", max: maximum ?? "" });
  }
  field.name = name;
  field.value = PREFERRED[name] ?? schema.default ?? "";
  field.title = description ?? "";
  const label = document.createElement("label");
  label.append(`${name} `, field);
  return label;
}

function chosen() {
  const task = tasks[$("task").value];
  $("options").replaceChildren(...task.parameters.map(control));
  $("other").hidden = task.photos < 2;
}

function boxesOf(answer) {
  return (answer.faces ?? []).map((face) => ({ box: face.box, text: face.name ?? face.label ?? face.answer ?? "" }));
}

async function draw(photo, answer) {
  const image = await createImageBitmap(photo, { imageOrientation: "from-image" }).catch(() => null);
  if (image === null) return; // a format that the browser does not know
  const canvas = $("drawn");
  [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const unit = Math.max(image.width, image.height) / 300;
  Object.assign(context, { strokeStyle: "#2b6", fillStyle: "#2b6", lineWidth: unit, font: `${8 * unit}px sans-serif` });
  for (const { box, text } of boxesOf(answer)) {
    context.strokeRect(box[0], box[1], box[2] - box[0], box[3] - box[1]);
    context.fillText(text, box[0], box[1] - unit);
  }
  canvas.hidden = false;
}

function clear() {
  for (const id of ["drawn", "picture", "save"]) $(id).hidden = true;
  $("answer").textContent = "";
  if (shown !== null) URL.revokeObjectURL(shown);
  shown = null;
}

async function go() {
  const task = tasks[$("task").value];
  const photos = [$("photo"), $("second")].slice(0, task.photos).map((input) => input.files[0]);
  if (photos.some((photo) => !photo)) return status(`Choose ${task.photos === 1 ? "a photo" : "two photos"}.`);
  clear();
  status("Working…");
  const body = new FormData();
  for (const photo of photos) body.append(FIELD, photo, "photo"); // its name is nobody's business
  const query = new URLSearchParams();
  for (const field of $("options").querySelectorAll("[name]")) if (field.value !== "") query.set(field.name, field.value);
  const token = $("token").value;
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  // Relative, so that it works behind a proxy's path.
  const answer = await fetch(`${task.path.slice(1)}?${query}`, { method: "POST", body, headers });
  if (answer.headers.get("Content-Type").startsWith("image/")) {
    const picture = await answer.blob();
    shown = URL.createObjectURL(picture);
    for (const [id, to] of [["picture", "src"], ["save", "href"]]) {
      $(id)[to] = shown;
      $(id).hidden = false;
    }
    $("save").download = `photo.${picture.type.split("/")[1]}`;
    const hidden = answer.headers.get("X-Faces-Hidden");
    return status(hidden === null ? "Done." : `Done: ${hidden} faces hidden.`);
  }
  const said = await answer.json();
  if (!answer.ok) return status(said.detail ?? `The service answered ${answer.status}.`, true);
  $("answer").textContent = JSON.stringify(said, null, 2);
  await draw(photos.at(-1), said);
  status(said.answer ? `Done: ${said.answer}.` : `Done: ${said.faces.length} faces.`);
}

const tried = () => go().catch((error) => status(`The service does not answer: ${error.message}`, true));

async function start() {
  const description = await (await fetch("openapi.json")).json();
  $("secret").hidden = !description.security;
  tasks = Object.entries(description.paths)
    .filter(([, methods]) => formOf(methods.post))
    .map(([path, { post }]) => ({
      path,
      summary: post.summary,
      photos: formOf(post).minItems ?? 1,
      parameters: post.parameters ?? [],
    }));
  for (const [index, task] of tasks.entries()) $("task").add(new Option(task.summary, index));
  chosen();
  status("Ready.");
}

$("task").addEventListener("change", () => { chosen(); tried(); });
$("options").addEventListener("change", tried);
for (const id of ["photo", "second"]) $(id).addEventListener("change", tried);
$("form").addEventListener("submit", (event) => { event.preventDefault(); tried(); });
const drop = $("drop");
for (const kind of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      $("photo").files = event.dataTransfer.files;
      tried();
    }
  });
}
start().catch((error) => status(`The service does not answer: ${error.message}`, true));
