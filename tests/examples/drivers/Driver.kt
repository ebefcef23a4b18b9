// Runs the cases of tests/examples/test_same_as_python.py through examples/android:
//   java -jar driver.jar faces CASES ANSWERS
// and reads the contract of a model file: java -jar driver.jar contract FILE ANSWER
import java.io.DataOutputStream
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder
import pocketface.example.InputSpec
import pocketface.example.ModelNames
import pocketface.example.findFaces
import pocketface.example.placement
import pocketface.example.prepare
import pocketface.example.tfliteMetadata

fun main(args: Array<String>) {
    if (args[0] == "contract") {
        val contract = tfliteMetadata(File(args[1]).readBytes(), ModelNames.CONTRACT)
        File(args[2]).writeText(contract ?: "none")
        return
    }
    val file = ByteBuffer.wrap(File(args[1]).readBytes()).order(ByteOrder.LITTLE_ENDIAN)
    fun floats(count: Int) = FloatArray(count) { file.float }
    DataOutputStream(File(args[2]).outputStream().buffered()).use { out ->
        fun write(value: Int) = out.writeInt(Integer.reverseBytes(value))
        fun write(value: Float) = write(java.lang.Float.floatToRawIntBits(value))
        repeat(file.int) {
            val width = file.int
            val height = file.int
            val spec = InputSpec(file.int, file.int, file.int == 1, file.float)
            val pixels = IntArray(width * height) {
                val red = file.get().toInt() and 255
                val green = file.get().toInt() and 255
                val blue = file.get().toInt() and 255
                val alpha = file.get().toInt() and 255
                (alpha shl 24) or (red shl 16) or (green shl 8) or blue
            }
            val input = FloatArray(3 * spec.width * spec.height)
            val placed = placement(width, height, spec)
            prepare(pixels, placed, spec, input)
            input.forEach(::write)

            val count = file.int
            val marks = file.int == 1
            val limit = file.int
            val threshold = file.float
            val iou = file.float
            val boxes = floats(4 * count)
            val scores = floats(count)
            val landmarks = if (marks) floats(10 * count) else null
            val faces = findFaces(boxes, scores, landmarks, placed, threshold, iou, limit)
            write(faces.size)
            for (face in faces) {
                floatArrayOf(face.x1, face.y1, face.x2, face.y2, face.score).forEach(::write)
                face.landmarks?.forEach(::write)
            }
        }
    }
}
