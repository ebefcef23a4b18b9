// The page's lower half: two photos of faces, and whether they show one person.
import { ModelError } from "./file.js";
import { cosine, isSmall, MAX_FMR, verdict } from "./recognizer.js";

const FACE_SCORE = 0.5; // of the detector, from which on a face counts, as in Python
const ASK = "Choose two photos.";

const $ = (id) => document.getElementById(id);

/** The photo's faces with landmarks, each with its aligned crop and its embedding. */
async function seen(name, image, { detector, recognizer }) {
  const { faces } = await detector.detect(image, { scoreThreshold: FACE_SCORE });
  if (!faces.length) throw new ModelError(`${name}: no face in it`);
  if (!faces[0].landmarks) throw new ModelError("This detector finds no landmarks; comparing needs them.");
  const found = [];
  for (const face of faces) {
    const crop = recognizer.cut(image, face);
    found.push({ ...face, crop, embedding: await recognizer.embed(crop) });
  }
  return found;
}

function largest(faces) {
  const area = ({ box: [x1, y1, x2, y2] }) => (x2 - x1) * (y2 - y1);
  return faces.reduce((best, face) => (area(face) > area(best) ? face : best));
}

/**
 * The face of `others` that counts, and what is said of it: the most similar one, or one that is
 * surely the person's where that one is too small to tell.
 */
function mostAlike(person, others, rules) {
  return others
    .map((face) => {
      const similarity = cosine(person.embedding, face.embedding);
      const small = isSmall(person) || isSmall(face);
      return { face, similarity, small, ...verdict(similarity, rules, { small }) };
    })
    .reduce((best, one) => {
      const by = (one.answer === "yes") - (best.answer === "yes");
      return by > 0 || (by === 0 && one.similarity > best.similarity) ? one : best;
    });
}

function drawCrop(canvas, { crop }, { input }) {
  const [, , height, width] = input.shape;
  const drawn = new ImageData(width, height);
  const size = width * height;
  for (let at = 0; at < size; at++) {
    drawn.data.set([crop[2 * size + at], crop[size + at], crop[at], 255], 4 * at); // BGR to RGB
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(drawn, 0, 0);
}

function sentence({ answer, similarity, probability, small }) {
  const number = `similarity ${similarity.toFixed(4)}`;
  const chance = probability === null ? "" : `${Math.round(100 * probability)} %, `;
  if (answer === null) return `${number}; what that means was never measured for ${MAX_FMR}`;
  return `${answer} (${chance}${number}${small ? ", a face is too small" : ""})`;
}

/**
 * Make the two inputs work.
 * @param {function} models Gives the page's `detector` and `recognizer`.
 * @param {function} readPhoto Gives the ImageData of a file.
 * @param {function} whenChosen Calls an action with the file that an input gets.
 * @returns What forgets the photos, for when another recogniser was opened.
 */
export function setUpComparison({ models, readPhoto, whenChosen }) {
  const places = ["first", "second"];
  const photos = [null, null];

  function forgetOne(index) {
    photos[index] = null;
    $("same").textContent = ASK;
    const canvas = $(`${places[index]}-face`);
    canvas.width = canvas.width; // wiped
  }

  function forget() {
    $("people").hidden = !models().recognizer;
    places.forEach((_, index) => forgetOne(index));
  }

  places.forEach((place, index) =>
    whenChosen($(place), async (file) => {
      forgetOne(index);
      const { detector, recognizer } = models();
      if (!detector) throw new ModelError("No detector is open.");
      const faces = await seen(file.name, await readPhoto(file), { detector, recognizer });
      photos[index] = faces;
      const { contract } = recognizer;
      drawCrop($(`${place}-face`), largest(faces), contract);
      if (photos.includes(null)) return;
      const best = mostAlike(largest(photos[0]), photos[1], contract.rules);
      drawCrop($("second-face"), best.face, contract);
      $("same").textContent = sentence(best);
    }),
  );
  return forget;
}
