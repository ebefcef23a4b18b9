// The second look: a face that fills the photo is found better with a frame around the photo, as
// detectors learn from faces with surroundings. What pocketface.tasks.detection.framed does in Python,
// number for number. No Android here, so that it compiles and is tested anywhere (Kotlin 1.3 and
// later).
package pocketface.example

import kotlin.math.max
import kotlin.math.min

private const val LARGE = 0.5f // of the photo's longer side, from which on a face is searched again
private const val LARGE_ALONE = 0.375f // likewise, where the first look finds nobody
private const val FRAME = 0.25 // of the photo's longer side: the frame's width
private const val FAINT = 0.5f // of the contract's threshold: scores are often lower so
private const val SURE = 0.75f // surer faces have surroundings
private const val SURER = 2f // a faint one is not searched again beside a face so much surer,
private const val NOT_SMALLER = 1f / 3 // and not only an eye or a mouth of it
private const val SAME = 0.3 // IoU of what two looks say of one large face

/**
 * The faces of a photo, in two looks where the first one finds large faces.
 *
 * Which photos get the second look does not depend on `scoreThreshold`; what it finds below the
 * contract's does not count, as it would hide fainter faces of the first.
 *
 * @param scoreThreshold Lowest score of a face.
 * @param own The contract's.
 * @param longest Longer side of the network's input, to which a larger photo is reduced before it is
 *   framed.
 * @param look Gives the faces of a photo from a score on, best first; see `findFaces`.
 */
fun lookTwice(
    photo: Photo,
    scoreThreshold: Float,
    own: Float,
    longest: Int,
    look: (Photo, Float) -> List<Face>
): List<Face> {
    val seen = look(photo, min(scoreThreshold, FAINT * own))
    val found = seen.filter { it.score >= scoreThreshold }
    val large = seen.filter { isSearchedAgain(it, seen, photo, own) }
    if (large.isEmpty()) return found
    val copy = FramedPhoto(photo, longest)
    val again = look(copy.pixels, max(scoreThreshold, own)).mapNotNull(copy::toPhoto)
    return joined(again, large, found, photo).take(MAX_DETECTIONS)
}

/** Whether a second look at a face of the first one is worth its time. */
private fun isSearchedAgain(face: Face, seen: List<Face>, photo: Photo, own: Float): Boolean {
    val least = if (seen.any { it.score >= own }) LARGE else LARGE_ALONE
    if (!isLarge(face, photo, least) || face.score > SURE || face.score < FAINT * own) return false
    return face.score >= own || seen.none { other ->
        other.score > SURER * face.score && side(other) / side(face) >= NOT_SMALLER
    }
}

/** A photo with black around it, made smaller first where it is large. */
private class FramedPhoto(private val photo: Photo, longest: Int) {
    val pixels: Photo
    private val frame: Int
    private val ratioX: Float
    private val ratioY: Float

    init {
        val longer = max(photo.width, photo.height)
        fun fit(size: Int) = max(1, Math.rint(size.toDouble() * longest / longer).toInt())
        val inner =
            if (longer > longest) resized(photo, fit(photo.width), fit(photo.height)) else photo
        frame = Math.rint(FRAME * max(inner.width, inner.height)).toInt()
        pixels = Photo(
            IntArray((inner.width + 2 * frame) * (inner.height + 2 * frame)),
            inner.width + 2 * frame,
            inner.height + 2 * frame
        )
        for (row in 0 until inner.height) {
            val to = (row + frame) * pixels.width + frame
            System.arraycopy(inner.pixels, row * inner.width, pixels.pixels, to, inner.width)
        }
        ratioX = (photo.width.toDouble() / inner.width).toFloat()
        ratioY = (photo.height.toDouble() / inner.height).toFloat()
    }

    /** A face that was found in it, on the photo; null where nothing of its box lies there. */
    fun toPhoto(face: Face): Face? {
        val x1 = x(face.x1).coerceIn(0f, photo.width.toFloat())
        val y1 = y(face.y1).coerceIn(0f, photo.height.toFloat())
        val x2 = x(face.x2).coerceIn(0f, photo.width.toFloat())
        val y2 = y(face.y2).coerceIn(0f, photo.height.toFloat())
        if (x2 <= x1 || y2 <= y1) return null
        val landmarks = face.landmarks?.let { points ->
            FloatArray(points.size) { if (it % 2 == 0) x(points[it]) else y(points[it]) }
        }
        return Face(x1, y1, x2, y2, face.score, landmarks)
    }

    private fun x(x: Float) = (x - frame) * ratioX

    private fun y(y: Float) = (y - frame) * ratioY
}

/** The large faces of the second look, and the faces of the first that are no part of them. */
private fun joined(
    again: List<Face>, large: List<Face>, found: List<Face>, photo: Photo
): List<Face> {
    // Smaller faces are those of the first look, in which they are larger.
    val kept = again.filter { face ->
        isLarge(face, photo) || large.any { iou(face, it) >= SAME }
    }
    val others = found.filter { face ->
        kept.none { iou(face, it) >= SAME || liesWithin(face, it) }
    }
    return (kept + others).sortedByDescending { it.score } // stable, as in Python
}

private fun side(face: Face): Float = max(face.x2 - face.x1, face.y2 - face.y1)

private fun isLarge(face: Face, photo: Photo, least: Float = LARGE): Boolean =
    side(face) >= least * max(photo.width, photo.height)

/** Whether the middle of a face lies within another one's box. */
private fun liesWithin(face: Face, other: Face): Boolean {
    val x = (face.x1 + face.x2) / 2
    val y = (face.y1 + face.y2) / 2
    return x >= other.x1 && x <= other.x2 && y >= other.y1 && y <= other.y2
}

private fun iou(a: Face, b: Face): Double {
    val width = min(a.x2, b.x2).toDouble() - max(a.x1, b.x1)
    val height = min(a.y2, b.y2).toDouble() - max(a.y1, b.y1)
    val shared = max(0.0, width) * max(0.0, height)
    return shared / (area(a) + area(b) - shared)
}

private fun area(face: Face): Double =
    (face.x2 - face.x1).toDouble() * (face.y2 - face.y1).toDouble()
