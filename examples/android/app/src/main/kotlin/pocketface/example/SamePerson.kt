// Are two faces one person's? What pocketface says of embeddings in Python. No Android here, so that it
// compiles and is tested anywhere (Kotlin 1.3 and later). Nothing looks for life: a photo of a photo
// passes.
package pocketface.example

import kotlin.math.exp
import kotlin.math.hypot
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

private const val UNSURE = 10.0 // times as often strangers may reach the cosine that is unsure
private const val MIN_EYES = 8f // pixels between the eyes, below which nobody is recognised

/** Of pairs of two people the share that may be called one person. */
const val MAX_FMR = 0.001

/** From which cosine on two faces count as one person's, and how often that is wrong. */
class OperatingPoint(val fmr: Double, val cosine: Double)

/** A logistic curve from cosine to probability. */
class Calibration(val slope: Double, val offset: Double)

enum class Answer { NO, UNSURE, YES }

/**
 * What is said of two faces: `answer` is null where it was never measured how often strangers are as
 * similar, `probability`, at even odds beforehand, likewise, or if a face is too small.
 */
class Verdict(val answer: Answer?, val probability: Double?)

/** A recogniser's rules: what its cosines mean. The most frequent threshold is the first. */
class PeopleRules(
    private val thresholds: List<OperatingPoint>,
    private val calibration: Calibration?
) {
    /**
     * @param cosine Of two embeddings.
     * @param small Whether one of the faces is too small to tell.
     */
    fun verdict(cosine: Double, small: Boolean = false, maxFmr: Double = MAX_FMR): Verdict {
        val curve = if (small) null else calibration
        val probability = curve?.let { 1 / (1 + exp(-(it.slope * cosine + it.offset))) }
        if (thresholds.isEmpty() || maxFmr < thresholds.last().fmr) return Verdict(null, probability)
        val sure = threshold(maxFmr)
        // Nothing is known beyond the largest rate that was measured.
        val often = max(maxFmr, min(UNSURE * maxFmr, thresholds.first().fmr))
        val least = min(sure, threshold(often))
        val answer = when {
            small || (cosine >= least && cosine < sure) -> Answer.UNSURE
            cosine >= sure -> Answer.YES
            else -> Answer.NO
        }
        return Verdict(answer, probability)
    }

    /** The cosine at a false match rate: between the measured ones linear over their logarithm. */
    private fun threshold(fmr: Double): Double {
        val at = thresholds.indexOfFirst { it.fmr <= fmr }
        if (at == 0) return thresholds[0].cosine
        val (often, seldom) = Pair(thresholds[at - 1], thresholds[at])
        val share = ln(fmr / seldom.fmr) / ln(often.fmr / seldom.fmr)
        return seldom.cosine + share * (often.cosine - seldom.cosine)
    }
}

/** The same direction with length 1; files of lower precision are a little off. */
fun unit(vector: FloatArray): FloatArray {
    val length = sqrt(vector.fold(0.0) { sum, one -> sum + one.toDouble() * one })
    check(length > 0 && length.isFinite()) { "the network's embeddings are not finite, or 0" }
    return FloatArray(vector.size) { (vector[it] / length).toFloat() }
}

/** Cosine of the angle between two embeddings of length 1, -1 to 1. */
fun cosine(one: FloatArray, other: FloatArray): Double =
    one.indices.fold(0.0) { sum, at -> sum + one[at].toDouble() * other[at] }

/** Whether a face is too small to say who it is; `landmarks` are five times x, y. */
fun isTooSmall(landmarks: FloatArray): Boolean =
    hypot(landmarks[2] - landmarks[0], landmarks[3] - landmarks[1]) < MIN_EYES
