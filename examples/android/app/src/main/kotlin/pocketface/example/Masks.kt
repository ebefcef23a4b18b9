// Masks laid back into the photo that their heads were cut out of: what pocketface does in Python,
// pixel for pixel. No Android here, so that it compiles and is tested anywhere (Kotlin 1.3 and later).
package pocketface.example

import kotlin.math.hypot
import kotlin.math.max
import kotlin.math.min

/** What a face segmenter's contract says: its input, where the landmarks come to lie, its classes. */
class MaskSpec(
    val width: Int,
    val height: Int,
    val points: FloatArray, // five times x, y, pixels of the input
    val classes: Int, // the first of several is the background
    val threshold: Float // of an only class
)

/** One face's mask, for a rectangle of the photo: `probabilities` are (classes, height, width). */
class Mask(
    val left: Int,
    val top: Int,
    val width: Int,
    val height: Int,
    val probabilities: FloatArray,
    private val spec: MaskSpec
) {
    /** What a pixel of the photo is: 0 for background, else its class's number, from 1 on. */
    fun classAt(x: Int, y: Int): Int {
        val at = (y - top) * width + x - left
        if (spec.classes == 1) return if (probabilities[at] >= spec.threshold) 1 else 0
        var best = 0
        for (index in 1 until spec.classes) {
            if (probabilities[place(index, at)] > probabilities[place(best, at)]) best = index
        }
        return best
    }

    /** Make a pixel of the photo background. */
    internal fun empty(x: Int, y: Int) {
        val at = (y - top) * width + x - left
        for (index in 0 until spec.classes) probabilities[place(index, at)] = 0f
        if (spec.classes > 1) probabilities[at] = 1f
    }

    private fun place(index: Int, at: Int) = index * width * height + at
}

/**
 * The masks of a photo's heads; a pixel that two claim is of the one whose centre is nearer, in that
 * head's own input pixels.
 *
 * @param shares For each head (classes, height, width), 0 to 1.
 * @param transforms For each head the one that it was cut with.
 */
fun placeMasks(
    shares: List<FloatArray>, transforms: List<Transform>, photoWidth: Int, photoHeight: Int,
    spec: MaskSpec
): List<Mask> {
    val masks = shares.indices.map {
        layBack(shares[it], transforms[it], photoWidth, photoHeight, spec)
    }
    fun away(index: Int, x: Int, y: Int) = hypot(
        transforms[index].x(x + 0.5, y + 0.5) - spec.width / 2.0,
        transforms[index].y(x + 0.5, y + 0.5) - spec.height / 2.0
    )
    for (first in masks.indices) for (second in first + 1 until masks.size) {
        val (one, other) = Pair(masks[first], masks[second])
        val right = min(one.left + one.width, other.left + other.width)
        val bottom = min(one.top + one.height, other.top + other.height)
        for (y in max(one.top, other.top) until bottom) {
            for (x in max(one.left, other.left) until right) {
                if (one.classAt(x, y) == 0 || other.classAt(x, y) == 0) continue
                (if (away(second, x, y) < away(first, x, y)) one else other).empty(x, y)
            }
        }
    }
    return masks
}

/** Probabilities of a head, for the pixels of the photo that it covers; elsewhere background. */
private fun layBack(
    shares: FloatArray, transform: Transform, photoWidth: Int, photoHeight: Int, spec: MaskSpec
): Mask {
    val back = transform.inverse()
    val region = covered(back, spec.width, spec.height, photoWidth, photoHeight, 0.0)
    val here = Transform(back.a, back.b, back.c - region.left, back.d, back.e, back.f - region.top)
    val size = region.width * region.height
    val probabilities = FloatArray(spec.classes * size)
    val part = covered(
        here.inverse(), region.width, region.height, spec.width, spec.height, reach(here)
    )
    for (index in 0 until spec.classes) {
        val start = index * spec.width * spec.height
        val plane = Plane(part) { x, y -> shares[start + y * spec.width + x] }
        warp(plane, here, region.width, region.height, whole = false, replicate = true)
            .copyInto(probabilities, index * size)
    }
    val mask = Mask(region.left, region.top, region.width, region.height, probabilities, spec)
    for (y in region.top until region.top + region.height) {
        for (x in region.left until region.left + region.width) {
            val u = transform.x(x + 0.5, y + 0.5)
            val v = transform.y(x + 0.5, y + 0.5)
            if (u < 0 || v < 0 || u >= spec.width || v >= spec.height) mask.empty(x, y)
        }
    }
    return mask
}
