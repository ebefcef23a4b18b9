// The contract out of a .tflite, which is a FlatBuffer (schema: tensorflow/lite/schema.fbs). LiteRT's
// Kotlin API has no way to it. No Android here.
package pocketface.example

import java.nio.ByteBuffer
import java.nio.ByteOrder

private const val BUFFERS = 4 // positions of fields in table Model
private const val METADATA = 6

/** The text that a model file has in its metadata under `name`; null where it has none. */
fun tfliteMetadata(file: ByteArray, name: String): String? {
    val buffer = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN)
    val model = Table(buffer, buffer.getInt(0))
    val entry = model.tables(METADATA).firstOrNull { it.bytes(0)?.toString(Charsets.UTF_8) == name }
    val index = entry?.int(1) ?: return null
    return model.tables(BUFFERS)[index].bytes(0)?.toString(Charsets.UTF_8)
}

/** A table of a FlatBuffer at byte `start`. */
private class Table(val buffer: ByteBuffer, val start: Int) {
    /** Where a field's value is; null where it is left out. */
    private fun field(position: Int): Int? {
        val offsets = start - buffer.getInt(start)
        val entry = 4 + 2 * position
        if (entry >= buffer.getShort(offsets)) return null
        return buffer.getShort(offsets + entry).toInt().takeIf { it != 0 }?.let { start + it }
    }

    fun int(position: Int): Int = field(position)?.let { buffer.getInt(it) } ?: 0

    /** A string, or a vector of bytes. */
    fun bytes(position: Int): ByteArray? = vector(position)?.let { at ->
        buffer.array().copyOfRange(at + 4, at + 4 + buffer.getInt(at))
    }

    fun tables(position: Int): List<Table> = vector(position)?.let { at ->
        (0 until buffer.getInt(at)).map { index ->
            val entry = at + 4 + 4 * index
            Table(buffer, entry + buffer.getInt(entry))
        }
    } ?: emptyList()

    private fun vector(position: Int): Int? = field(position)?.let { it + buffer.getInt(it) }
}
