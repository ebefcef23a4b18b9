// Photo to network input, raw outputs to faces: what pocketface does in Python, number for number. No Android here, so that it compiles and is tested anywhere (Kotlin 1.3 and later).
package pocketface.example

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

/** What a face detector's contract says of its input; `letterbox` is false for `stretch`. */
data class InputSpec(
    val width: Int,
    val height: Int,
    val letterbox: Boolean,
    val padValue: Float
)

/** Pixels of a photo, row after row, as Bitmap.getPixels gives them: 0xAARRGGBB. */
class Photo(val pixels: IntArray, val width: Int, val height: Int)

/** Where a photo lies in the network's input: at its top left, so many input pixels per photo's. */
data class Placement(
    val photoWidth: Int,
    val photoHeight: Int,
    val newWidth: Int,
    val newHeight: Int
) {
    val scaleX: Double get() = newWidth.toDouble() / photoWidth
    val scaleY: Double get() = newHeight.toDouble() / photoHeight
}

/** One face, in pixels of the photo; `landmarks` are five times x, y. */
class Face(
    val x1: Float,
    val y1: Float,
    val x2: Float,
    val y2: Float,
    val score: Float,
    val landmarks: FloatArray?
)

const val MAX_DETECTIONS = 750
const val MAX_CANDIDATES = 5000 // NMS is quadratic

fun placement(photoWidth: Int, photoHeight: Int, spec: InputSpec): Placement {
    if (!spec.letterbox) return Placement(photoWidth, photoHeight, spec.width, spec.height)
    val scale = min(spec.width.toDouble() / photoWidth, spec.height.toDouble() / photoHeight)
    return Placement(
        photoWidth,
        photoHeight,
        Math.rint(photoWidth * scale).toInt().coerceIn(1, spec.width),
        Math.rint(photoHeight * scale).toInt().coerceIn(1, spec.height)
    )
}

/**
 * Bring a photo to the input that a contract asks for.
 *
 * @param into (height, width, 3) as LiteRT takes it: BGR, 0 to 255; all of it is overwritten.
 */
fun prepare(photo: Photo, to: Placement, spec: InputSpec, into: FloatArray) {
    into.fill(spec.padValue)
    val small = resized(photo, to.newWidth, to.newHeight)
    for (row in 0 until small.height) {
        var at = row * spec.width * 3
        for (column in 0 until small.width) {
            val pixel = small.pixels[row * small.width + column]
            into[at++] = (pixel and 255).toFloat() // blue is the lowest byte, then green, red
            into[at++] = ((pixel shr 8) and 255).toFloat()
            into[at++] = ((pixel shr 16) and 255).toFloat()
        }
    }
}

/**
 * A photo made smaller or larger; without alpha, as no network looks at it.
 *
 * Bilinear by pixel centres, in the fixed point of cv2.resize (INTER_LINEAR), to the last bit:
 * Bitmap.createScaledBitmap would show the network another picture.
 */
fun resized(photo: Photo, newWidth: Int, newHeight: Int): Photo {
    if (newWidth == photo.width && newHeight == photo.height) return photo
    val pixels = photo.pixels
    val x = Taps(photo.width, newWidth)
    val y = Taps(photo.height, newHeight)
    val made = IntArray(newWidth * newHeight)
    for (row in 0 until newHeight) {
        val top = y.first[row] * photo.width
        val bottom = y.second[row] * photo.width
        for (column in 0 until newWidth) {
            val left = x.first[column]
            val right = x.second[column]
            var pixel = 0
            var shift = 0
            while (shift <= 16) {
                val above = mix(pixels[top + left], pixels[top + right], shift, x, column)
                val below = mix(pixels[bottom + left], pixels[bottom + right], shift, x, column)
                val sum = ((y.weightFirst[row] * (above shr 4)) shr 16) +
                    ((y.weightSecond[row] * (below shr 4)) shr 16)
                pixel = pixel or (((sum + 2) shr 2) shl shift)
                shift += 8
            }
            made[row * newWidth + column] = pixel
        }
    }
    return Photo(made, newWidth, newHeight)
}

private fun mix(left: Int, right: Int, shift: Int, taps: Taps, at: Int): Int =
    ((left shr shift) and 255) * taps.weightFirst[at] +
        ((right shr shift) and 255) * taps.weightSecond[at]

/** Per output pixel of one axis: two source positions and their weights, which sum to 2048. */
private class Taps(size: Int, newSize: Int) {
    val first = IntArray(newSize)
    val second = IntArray(newSize)
    val weightFirst = IntArray(newSize)
    val weightSecond = IntArray(newSize)

    init {
        val scale = 1 / (newSize.toDouble() / size)
        for (index in 0 until newSize) {
            val position = ((index + 0.5) * scale - 0.5).toFloat()
            val before = floor(position).toInt()
            val share = position - before
            first[index] = before.coerceIn(0, size - 1)
            second[index] = (before + 1).coerceIn(0, size - 1)
            weightFirst[index] = Math.rint((1 - share) * 2048.0).toInt()
            weightSecond[index] = Math.rint(share * 2048.0).toInt()
        }
    }
}

/**
 * Score threshold, NMS, and the way back to the photo.
 *
 * @param boxes N times x1, y1, x2, y2, network-input pixels.
 * @param scores N, 0 to 1.
 * @param landmarks N times five x, y, network-input pixels; or null.
 * @return Faces, best first.
 */
fun findFaces(
    boxes: FloatArray,
    scores: FloatArray,
    landmarks: FloatArray?,
    placement: Placement,
    scoreThreshold: Float,
    nmsIou: Float,
    maxDetections: Int = MAX_DETECTIONS
): List<Face> {
    // Like cv2's NMS, nothing of score 0. Sorting is stable.
    val order = scores.indices
        .filter { scores[it] >= scoreThreshold && scores[it] > 0 && hasArea(boxes, 4 * it) }
        .sortedByDescending { scores[it] }
        .take(MAX_CANDIDATES)
    val faces = ArrayList<Face>()
    for (index in suppress(boxes, order, nmsIou)) {
        val box = FloatArray(4) { toPhoto(boxes[4 * index + it], it, placement) }
        for (at in 0..3) {
            val limit = if (at % 2 == 0) placement.photoWidth else placement.photoHeight
            box[at] = box[at].coerceIn(0f, limit.toFloat())
        }
        if (!hasArea(box, 0)) continue
        val points = landmarks?.let { all ->
            FloatArray(10) { toPhoto(all[10 * index + it], it, placement) }
        }
        faces.add(Face(box[0], box[1], box[2], box[3], scores[index], points))
        if (faces.size == maxDetections) break
    }
    return faces
}

/** An x where `at` is even, else a y. */
private fun toPhoto(value: Float, at: Int, placement: Placement): Float =
    (value / (if (at % 2 == 0) placement.scaleX else placement.scaleY)).toFloat()

private fun hasArea(boxes: FloatArray, at: Int): Boolean {
    val width = boxes[at + 2] - boxes[at]
    val height = boxes[at + 3] - boxes[at + 1]
    return width > 0 && height > 0 && width < Float.POSITIVE_INFINITY &&
        height < Float.POSITIVE_INFINITY
}

/** Of boxes that overlap by more than `limit` the first is kept. */
private fun suppress(boxes: FloatArray, order: List<Int>, limit: Float): List<Int> {
    val kept = ArrayList<Int>()
    for (index in order) {
        // Rounded as cv2 rounds it.
        if (kept.none { 1f - (1 - iou(boxes, 4 * index, 4 * it)).toFloat() > limit }) kept.add(index)
    }
    return kept
}

private fun iou(boxes: FloatArray, a: Int, b: Int): Double {
    val width = min(boxes[a + 2], boxes[b + 2]).toDouble() - max(boxes[a], boxes[b])
    val height = min(boxes[a + 3], boxes[b + 3]).toDouble() - max(boxes[a + 1], boxes[b + 1])
    val shared = max(0.0, width) * max(0.0, height)
    return shared / (area(boxes, a) + area(boxes, b) - shared)
}

private fun area(boxes: FloatArray, at: Int): Double =
    (boxes[at + 2].toDouble() - boxes[at]) * (boxes[at + 3].toDouble() - boxes[at + 1])
