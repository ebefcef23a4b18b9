// Faces and heads cut out of a photo by five landmarks, as pocketface does it in Python. No Android
// here, so that it compiles and is tested anywhere (Kotlin 1.3 and later).
package pocketface.example

import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.min

/**
 * x' = a x + b y + c, y' = d x + e y + f; pixels are counted from the outer edge of the first one, so
 * that its middle is at 0.5.
 */
class Transform(
    val a: Double,
    val b: Double,
    val c: Double,
    val d: Double,
    val e: Double,
    val f: Double
) {
    val scaleX: Double get() = hypot(a, d)
    val scaleY: Double get() = hypot(b, e)

    fun x(x: Double, y: Double): Double = a * x + b * y + c
    fun y(x: Double, y: Double): Double = d * x + e * y + f

    fun inverse(): Transform {
        val size = a * e - b * d
        val (p, q) = Pair(e / size, -b / size)
        val (r, s) = Pair(-d / size, a / size)
        return Transform(p, q, -(p * c + q * f), r, s, -(r * c + s * f))
    }
}

/**
 * The turn, scale and shift that bring landmarks closest to points, by least squares.
 *
 * Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991;
 * without reflection, in two dimensions a division of complex numbers.
 */
fun similarity(landmarks: FloatArray, points: FloatArray): Transform {
    fun mean(of: FloatArray, first: Int) = (first until 10 step 2).map { of[it].toDouble() }.sum() / 5
    val (fromX, fromY) = Pair(mean(landmarks, 0), mean(landmarks, 1))
    val (toX, toY) = Pair(mean(points, 0), mean(points, 1))
    var spread = 0.0
    var along = 0.0
    var across = 0.0
    for (at in 0 until 10 step 2) {
        val (x, y) = Pair(landmarks[at] - fromX, landmarks[at + 1] - fromY)
        val (u, v) = Pair(points[at] - toX, points[at + 1] - toY)
        spread += x * x + y * y
        along += x * u + y * v
        across += x * v - y * u
    }
    // Landmarks in one place have no direction: they are only shifted.
    val cosine = if (spread > 0) along / spread else 1.0
    val sine = if (spread > 0) across / spread else 0.0
    return Transform(
        cosine, -sine, toX - (cosine * fromX - sine * fromY),
        sine, cosine, toY - (sine * fromX + cosine * fromY)
    )
}

/**
 * Cut a face or a head out for a network; black beyond the photo. Where it shrinks, all pixels of the
 * photo count.
 *
 * @param transform From the photo's pixels to the input's.
 * @param into (height, width, 3) as LiteRT takes it: BGR, 0 to 255; all of it is overwritten.
 */
fun cutOut(photo: Photo, transform: Transform, width: Int, height: Int, into: FloatArray) {
    val part = covered(
        transform.inverse(), width, height, photo.width, photo.height, reach(transform)
    )
    for (channel in 0..2) { // blue is the lowest byte, then green, red
        val plane = Plane(part) { x, y ->
            ((photo.pixels[y * photo.width + x] shr (8 * channel)) and 255).toFloat()
        }
        val cut = warp(plane, transform, width, height, whole = true, replicate = false)
        for (at in cut.indices) into[3 * at + channel] = cut[at]
    }
}

internal class Rectangle(val left: Int, val top: Int, val width: Int, val height: Int)

/**
 * The rectangle of whole pixels of a picture that contains another one laid there by `back`, and an
 * edge of `margin` of that one's pixels around it.
 */
internal fun covered(
    back: Transform, width: Int, height: Int, wholeWidth: Int, wholeHeight: Int, margin: Double
): Rectangle {
    val corners = listOf(-margin, width + margin).flatMap { x ->
        listOf(-margin, height + margin).map { y -> Pair(back.x(x, y), back.y(x, y)) }
    }
    // A hair's breadth of rounding must not add a row of pixels.
    fun bounds(places: List<Double>, limit: Int): Pair<Int, Int> {
        val low = floor(places.reduce { one, other -> min(one, other) } + 1e-6)
        val high = ceil(places.reduce { one, other -> max(one, other) } - 1e-6)
        val first = low.coerceIn(0.0, limit.toDouble())
        val last = high.coerceIn(first, limit.toDouble())
        return Pair(first.toInt(), last.toInt())
    }
    val (left, right) = bounds(corners.map { it.first }, wholeWidth)
    val (top, bottom) = bounds(corners.map { it.second }, wholeHeight)
    return Rectangle(left, top, right - left, bottom - top)
}

/** What interpolation looks at around a picture: two pixels of the target, or of the source. */
internal fun reach(transform: Transform) = 2 * max(1.0, max(transform.scaleX, transform.scaleY))

private const val LEAST_SCALE = 0.75 // below it linear interpolation would skip pixels

/** Values of a rectangle of a picture. */
internal class Plane(
    val left: Int, val top: Int, val width: Int, val height: Int, val values: FloatArray
) {
    constructor(part: Rectangle, value: (x: Int, y: Int) -> Float) : this(
        part.left, part.top, part.width, part.height,
        FloatArray(part.width * part.height) {
            value(part.left + it % part.width, part.top + it / part.width)
        }
    )
}

/**
 * Bilinear by pixel centres, in single precision as cv2.warpAffine, so that it rounds alike; shrunk
 * first where that would skip pixels.
 *
 * @param transform From the pixels of the plane's picture to the target's.
 * @param whole Whether values are rounded to whole numbers.
 * @param replicate Whether what is at the edge goes on beyond it, where else is 0.
 */
internal fun warp(
    plane: Plane, transform: Transform, width: Int, height: Int, whole: Boolean,
    replicate: Boolean
): FloatArray {
    val made = FloatArray(width * height)
    if (plane.values.isEmpty()) return made
    fun round(value: Float) = if (whole) Math.rint(value.toDouble()).toFloat() else value
    fun fit(side: Int, scale: Double) =
        if (scale < LEAST_SCALE) max(1, Math.rint(side * scale).toInt()) else side
    val small = shrink(
        plane, fit(plane.width, transform.scaleX), fit(plane.height, transform.scaleY), ::round
    )
    // Where nothing shrinks, places are those in the whole picture, as single precision rounds by them.
    val shrinks = min(transform.scaleX, transform.scaleY) < LEAST_SCALE
    val x0 = if (shrinks) transform.x(plane.left.toDouble(), plane.top.toDouble()) else transform.c
    val y0 = if (shrinks) transform.y(plane.left.toDouble(), plane.top.toDouble()) else transform.f
    val originX = if (shrinks) 0 else plane.left
    val originY = if (shrinks) 0 else plane.top
    val stepX = plane.width.toDouble() / small.width
    val stepY = plane.height.toDouble() / small.height
    val back = Transform(
        transform.a * stepX, transform.b * stepY, x0, transform.d * stepX, transform.e * stepY, y0
    ).inverse()
    // cv2 counts from the middle of the first pixel.
    val shiftX = (back.c + (back.a + back.b - 1) / 2).toFloat()
    val shiftY = (back.f + (back.d + back.e - 1) / 2).toFloat()

    fun pixel(x: Int, y: Int): Float {
        val inside = x in 0 until small.width && y in 0 until small.height
        if (!inside && !replicate) return 0f
        return small.values[
            y.coerceIn(0, small.height - 1) * small.width + x.coerceIn(0, small.width - 1)
        ]
    }
    for (row in 0 until height) {
        val startX = back.b.toFloat() * row + shiftX
        val startY = back.e.toFloat() * row + shiftY
        for (column in 0 until width) {
            val x = fused(back.a.toFloat(), column.toFloat(), startX)
            val y = fused(back.d.toFloat(), column.toFloat(), startY)
            val shareX = x - floor(x)
            val shareY = y - floor(y)
            val left = floor(x).toInt() - originX
            val top = floor(y).toInt() - originY
            val above = mix(pixel(left, top), pixel(left + 1, top), shareX)
            val below = mix(pixel(left, top + 1), pixel(left + 1, top + 1), shareX)
            made[row * width + column] = round(mix(above, below, shareY))
        }
    }
    return made
}

/** Rounded once, as a processor's fused multiply-add. */
private fun fused(one: Float, other: Float, sum: Float): Float =
    (one.toDouble() * other + sum).toFloat()

private fun mix(one: Float, other: Float, share: Float): Float = fused(share, other - one, one)

/** Each pixel the mean of what it covers, as cv2.resize (INTER_AREA). */
private fun shrink(plane: Plane, width: Int, height: Int, round: (Float) -> Float): Plane {
    if (width == plane.width && height == plane.height) return plane
    val across = covers(plane.width, width)
    val down = covers(plane.height, height)
    val values = FloatArray(width * height) { at ->
        val rows = down[at / width]
        val columns = across[at % width]
        var sum = 0.0
        for (row in rows.shares.indices) {
            val start = (rows.first + row) * plane.width + columns.first
            for (column in columns.shares.indices) {
                sum += plane.values[start + column] * rows.shares[row] * columns.shares[column]
            }
        }
        round(sum.toFloat())
    }
    return Plane(plane.left, plane.top, width, height, values)
}

/** The pixels along one axis that a new one covers, from `first` on, each with its share of it. */
private class Cover(val first: Int, val shares: DoubleArray)

private fun covers(size: Int, newSize: Int): List<Cover> {
    val scale = size.toDouble() / newSize
    return (0 until newSize).map { index ->
        val start = index * scale
        val end = min(size.toDouble(), (index + 1) * scale)
        fun covered(at: Int) = min(end, at + 1.0) - max(start, at.toDouble())
        val pixels = (floor(start).toInt() until ceil(end).toInt())
            .filter { covered(it) > 1e-3 } // cv2 leaves slivers out, too
        Cover(pixels.first(), pixels.map { covered(it) / (end - start) }.toDoubleArray())
    }
}
