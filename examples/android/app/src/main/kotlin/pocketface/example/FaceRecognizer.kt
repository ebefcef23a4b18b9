package pocketface.example

import android.content.res.AssetManager
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/** A face recogniser's model file in LiteRT. One thread at a time. */
class FaceRecognizer(assets: AssetManager) : AutoCloseable {
    private val contract =
        readContract(assets, ModelNames.RECOGNIZER_FILE, ModelNames.RECOGNIZER_TASK)
    private val input = contract.getJSONObject("input")
    private val width = input.getJSONArray("shape").getInt(2)
    private val height = input.getJSONArray("shape").getInt(1)
    private val points = flat(input.getJSONArray("points"))

    /** What cosines of its embeddings mean. */
    val rules = rulesOfContract()

    private val model = CompiledModel.create(
        assets, ModelNames.RECOGNIZER_FILE, CompiledModel.Options(Accelerator.CPU)
    )
    private val image = model.createInputBuffer(ModelNames.INPUT)
    private val embedding = model.createOutputBuffer(ModelNames.EMBEDDING)
    private val values = FloatArray(width * height * 3)

    /**
     * The faces as vectors of length 1, to compare by `cosine`. Store them as carefully as photos: they
     * are biometric data.
     *
     * @param photo Upright; not of the kind HARDWARE, whose pixels cannot be read.
     * @param faces Of a detector with landmarks; `isTooSmall` says which are of no use.
     */
    fun embeddings(photo: Bitmap, faces: List<Face>): List<FloatArray> {
        val seen = pixels(photo)
        return faces.map { face ->
            val landmarks = requireNotNull(face.landmarks) { "recognition needs landmarks" }
            cutOut(seen, similarity(landmarks, points), width, height, values)
            image.writeFloat(values)
            model.run(mapOf(ModelNames.INPUT to image), mapOf(ModelNames.EMBEDDING to embedding))
            unit(embedding.readFloat())
        }
    }

    override fun close() {
        embedding.close()
        image.close()
        model.close()
    }

    private fun rulesOfContract(): PeopleRules {
        val rules = contract.getJSONObject("rules")
        val points = rules.getJSONArray("thresholds")
        val thresholds = (0 until points.length()).map { index ->
            val point = points.getJSONObject(index)
            OperatingPoint(point.getDouble("fmr"), point.getDouble("cosine"))
        }
        if (rules.isNull("calibration")) return PeopleRules(thresholds, null)
        val curve = rules.getJSONObject("calibration")
        return PeopleRules(
            thresholds, Calibration(curve.getDouble("slope"), curve.getDouble("offset"))
        )
    }
}
