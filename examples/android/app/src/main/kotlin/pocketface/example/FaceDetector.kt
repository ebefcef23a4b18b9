package pocketface.example

import android.content.res.AssetManager
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import kotlin.math.max
import org.json.JSONObject

/** A model file of pocketface in LiteRT. One thread at a time. */
class FaceDetector(assets: AssetManager) : AutoCloseable {
    private val contract = readContract(assets, ModelNames.FILE, ModelNames.TASK)
    private val spec = inputSpec(contract.getJSONObject("input"))
    private val rules = contract.getJSONObject("rules")
    private val scoreThreshold = rules.getDouble("score_threshold").toFloat()
    private val nmsIou = rules.getDouble("nms_iou").toFloat()

    private val model = CompiledModel.create(
        assets, ModelNames.FILE, CompiledModel.Options(Accelerator.CPU)
    )
    private val input = model.createInputBuffer(ModelNames.INPUT)
    private val outputs = outputNames().associateWith { model.createOutputBuffer(it) }
    private val values = FloatArray(spec.width * spec.height * 3)

    /** @param photo Upright; not of the kind HARDWARE, whose pixels cannot be read. */
    fun find(photo: Bitmap): List<Face> {
        val longest = max(spec.width, spec.height)
        return lookTwice(pixels(photo), scoreThreshold, scoreThreshold, longest, this::look)
    }

    private fun look(photo: Photo, lowest: Float): List<Face> {
        val placement = placement(photo.width, photo.height, spec)
        prepare(photo, placement, spec, values)
        input.writeFloat(values)
        model.run(mapOf(ModelNames.INPUT to input), outputs)
        val scores = outputs.getValue(ModelNames.SCORES).readFloat()
        // NaN would be below every threshold: no faces, without a hint why.
        check(scores.all { it.isFinite() }) { "the network's scores are not finite" }
        return findFaces(
            outputs.getValue(ModelNames.BOXES).readFloat(),
            scores,
            outputs[ModelNames.LANDMARKS]?.readFloat(),
            placement,
            lowest,
            nmsIou
        )
    }

    override fun close() {
        outputs.values.forEach { it.close() }
        input.close()
        model.close()
    }

    private fun outputNames(): List<String> {
        val outputs = contract.getJSONArray("outputs")
        return (0 until outputs.length()).map { outputs.getJSONObject(it).getString("name") }
    }

    private fun inputSpec(input: JSONObject): InputSpec {
        val shape = input.getJSONArray("shape")
        return InputSpec(
            width = shape.getInt(2),
            height = shape.getInt(1),
            letterbox = input.getString("resize") == "letterbox",
            padValue = input.getDouble("pad_value").toFloat()
        )
    }
}

/** The pixels of a photo that is not of the kind HARDWARE. */
fun pixels(photo: Bitmap): Photo {
    val pixels = IntArray(photo.width * photo.height)
    photo.getPixels(pixels, 0, photo.width, 0, 0, photo.width, photo.height)
    return Photo(pixels, photo.width, photo.height)
}
