// Runs the cases of tests/examples/test_same_as_python.py through examples/android:
//   java -jar driver.jar faces CASES ANSWERS
// those of test_masks.py: java -jar driver.jar masks CASES ANSWERS
// those of test_people.py: java -jar driver.jar people CASES ANSWERS
// those of test_second_look.py: java -jar driver.jar twice CASES ANSWERS
// and reads the contract of a model file: java -jar driver.jar contract FILE ANSWER
import java.io.DataOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import pocketface.example.Calibration
import pocketface.example.Face
import pocketface.example.InputSpec
import pocketface.example.MaskSpec
import pocketface.example.ModelNames
import pocketface.example.OperatingPoint
import pocketface.example.PeopleRules
import pocketface.example.Photo
import pocketface.example.cosine
import pocketface.example.cutOut
import pocketface.example.findFaces
import pocketface.example.isTooSmall
import pocketface.example.lookTwice
import pocketface.example.placeMasks
import pocketface.example.placement
import pocketface.example.prepare
import pocketface.example.similarity
import pocketface.example.tfliteMetadata
import pocketface.example.unit

fun main(args: Array<String>) {
    if (args[0] == "contract") {
        val contract = tfliteMetadata(File(args[1]).readBytes(), ModelNames.CONTRACT)
        File(args[2]).writeText(contract ?: "none")
        return
    }
    val file = ByteBuffer.wrap(File(args[1]).readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    fun floats(count: Int) = FloatArray(count) { file.float }
    fun photo(width: Int, height: Int) = IntArray(width * height) {
        val red = file.get().toInt() and 255
        val green = file.get().toInt() and 255
        val blue = file.get().toInt() and 255
        val alpha = file.get().toInt() and 255
        (alpha shl 24) or (red shl 16) or (green shl 8) or blue
    }
    DataOutputStream(File(args[2]).outputStream().buffered()).use { out ->
        fun write(value: Int) = out.writeInt(Integer.reverseBytes(value))
        fun write(value: Float) = write(java.lang.Float.floatToRawIntBits(value))
        if (args[0] == "people") {
            repeat(file.int) {
                val (width, height) = Pair(file.int, file.int)
                val (columns, rows) = Pair(file.int, file.int)
                val (landmarks, points) = Pair(floats(10), floats(10))
                val seen = Photo(photo(width, height), width, height)
                val size = file.int
                val (one, other) = Pair(floats(size), floats(size))
                val thresholds = List(file.int) {
                    OperatingPoint(file.float.toDouble(), file.float.toDouble())
                }
                val hasCurve = file.int == 1
                val curve = Calibration(file.float.toDouble(), file.float.toDouble())
                val maxFmr = file.float.toDouble()
                val rules = PeopleRules(thresholds, if (hasCurve) curve else null)
                val face = FloatArray(3 * columns * rows)
                cutOut(seen, similarity(landmarks, points), columns, rows, face)
                face.forEach(::write)
                val similarity = cosine(unit(one), unit(other))
                val said = rules.verdict(similarity, isTooSmall(landmarks), maxFmr)
                write(similarity.toFloat())
                write((said.probability ?: -1.0).toFloat())
                write(said.answer?.ordinal ?: -1)
            }
            return
        }
        fun write(faces: List<Face>) {
            write(faces.size)
            for (face in faces) {
                floatArrayOf(face.x1, face.y1, face.x2, face.y2, face.score).forEach(::write)
                face.landmarks?.forEach(::write)
            }
        }
        if (args[0] == "twice") {
            repeat(file.int) {
                val (width, height) = Pair(file.int, file.int)
                val spec = InputSpec(file.int, file.int, file.int == 1, file.float)
                val seen = Photo(photo(width, height), width, height)
                val (own, asked, iou) = Triple(file.float, file.float, file.float)
                val outputs = List(2) {
                    val (count, marks) = Pair(file.int, file.int == 1)
                    val (boxes, scores) = Pair(floats(4 * count), floats(count))
                    Triple(boxes, scores, if (marks) floats(10 * count) else null)
                }
                val inputs = ArrayList<FloatArray>()
                val longest = maxOf(spec.width, spec.height)
                val faces = lookTwice(seen, asked, own, longest) { shown, lowest ->
                    val (boxes, scores, landmarks) = outputs[inputs.size]
                    val placed = placement(shown.width, shown.height, spec)
                    inputs.add(FloatArray(3 * spec.width * spec.height))
                    prepare(shown, placed, spec, inputs.last())
                    findFaces(boxes, scores, landmarks, placed, lowest, iou)
                }
                write(inputs.size)
                inputs.forEach { it.forEach(::write) }
                write(faces)
            }
            return
        }
        if (args[0] == "masks") {
            repeat(file.int) {
                val (width, height) = Pair(file.int, file.int)
                val (columns, rows) = Pair(file.int, file.int)
                val (classes, heads) = Pair(file.int, file.int)
                val threshold = file.float
                val spec = MaskSpec(columns, rows, floats(10), classes, threshold)
                val found = List(heads) {
                    Pair(similarity(floats(10), spec.points), floats(classes * columns * rows))
                }
                val seen = Photo(photo(width, height), width, height)
                val masks = placeMasks(
                    found.map { it.second }, found.map { it.first }, width, height, spec
                )
                for (index in masks.indices) {
                    val head = FloatArray(3 * columns * rows)
                    cutOut(seen, found[index].first, columns, rows, head)
                    head.forEach(::write)
                    val mask = masks[index]
                    intArrayOf(mask.left, mask.top, mask.width, mask.height).forEach(::write)
                    mask.probabilities.forEach(::write)
                }
            }
            return
        }
        repeat(file.int) {
            val width = file.int
            val height = file.int
            val spec = InputSpec(file.int, file.int, file.int == 1, file.float)
            val seen = Photo(photo(width, height), width, height)
            val input = FloatArray(3 * spec.width * spec.height)
            val placed = placement(width, height, spec)
            prepare(seen, placed, spec, input)
            input.forEach(::write)

            val count = file.int
            val marks = file.int == 1
            val limit = file.int
            val threshold = file.float
            val iou = file.float
            val boxes = floats(4 * count)
            val scores = floats(count)
            val landmarks = if (marks) floats(10 * count) else null
            write(findFaces(boxes, scores, landmarks, placed, threshold, iou, limit))
        }
    }
}
