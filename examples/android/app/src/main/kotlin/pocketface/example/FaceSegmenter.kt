package pocketface.example

import android.content.res.AssetManager
import android.graphics.Bitmap
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel

/** A face segmenter's model file in LiteRT. One thread at a time. */
class FaceSegmenter(assets: AssetManager) : AutoCloseable {
    private val contract =
        readContract(assets, ModelNames.SEGMENTER_FILE, ModelNames.SEGMENTER_TASK)
    private val input = contract.getJSONObject("input")
    private val rules = contract.getJSONObject("rules")
    private val spec = MaskSpec(
        width = input.getJSONArray("shape").getInt(2),
        height = input.getJSONArray("shape").getInt(1),
        points = flat(input.getJSONArray("points")),
        classes = rules.getJSONArray("classes").length(),
        threshold = rules.getDouble("threshold").toFloat()
    )

    private val model = CompiledModel.create(
        assets, ModelNames.SEGMENTER_FILE, CompiledModel.Options(Accelerator.CPU)
    )
    private val image = model.createInputBuffer(ModelNames.INPUT)
    private val mask = model.createOutputBuffer(ModelNames.MASK)
    private val values = FloatArray(spec.width * spec.height * 3)

    /**
     * @param photo Upright; not of the kind HARDWARE, whose pixels cannot be read.
     * @param faces Of a detector with landmarks.
     * @return A mask for each face; no pixel is of two.
     */
    fun masks(photo: Bitmap, faces: List<Face>): List<Mask> {
        val seen = pixels(photo)
        val transforms = faces.map { face ->
            similarity(requireNotNull(face.landmarks) { "masks need landmarks" }, spec.points)
        }
        val shares = transforms.map { transform ->
            cutOut(seen, transform, spec.width, spec.height, values)
            image.writeFloat(values)
            model.run(mapOf(ModelNames.INPUT to image), mapOf(ModelNames.MASK to mask))
            val share = mask.readFloat()
            check(share.all { it.isFinite() }) { "the network's probabilities are not finite" }
            share
        }
        return placeMasks(shares, transforms, photo.width, photo.height, spec)
    }

    override fun close() {
        mask.close()
        image.close()
        model.close()
    }
}
