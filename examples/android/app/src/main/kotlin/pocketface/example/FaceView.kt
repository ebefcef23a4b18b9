package pocketface.example

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import kotlin.math.min

// Of the classes, half transparent.
private val COLOURS = intArrayOf(0x8000E676.toInt(), 0x80FF8C28.toInt(), 0x80C85AE6.toInt())

/** A photo, as large as there is room for, with the faces found and their masks. */
class FaceView(context: Context) : View(context) {
    private var photo: Bitmap? = null
    private var faces: List<Face> = emptyList()
    private var masks: List<Pair<Mask, Bitmap>> = emptyList()
    private val box = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.GREEN
        style = Paint.Style.STROKE
    }
    private val dot = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.YELLOW }
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.GREEN }

    fun show(photo: Bitmap, faces: List<Face>, masks: List<Mask>) {
        this.photo = photo
        this.faces = faces
        this.masks = masks.filter { it.width > 0 && it.height > 0 }.map { Pair(it, drawn(it)) }
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val photo = photo ?: return
        val scale = min(width.toFloat() / photo.width, height.toFloat() / photo.height)
        canvas.scale(scale, scale)
        canvas.drawBitmap(photo, 0f, 0f, null)
        for ((mask, drawn) in masks) {
            canvas.drawBitmap(drawn, mask.left.toFloat(), mask.top.toFloat(), null)
        }
        val unit = resources.displayMetrics.density / scale // of the screen, in photo pixels
        box.strokeWidth = 2 * unit
        text.textSize = 12 * unit
        for (face in faces) {
            canvas.drawRect(face.x1, face.y1, face.x2, face.y2, box)
            canvas.drawText("%.2f".format(face.score), face.x1, face.y1 - 3 * unit, text)
            val points = face.landmarks ?: continue
            for (at in points.indices step 2) {
                canvas.drawCircle(points[at], points[at + 1], 2.5f * unit, dot)
            }
        }
    }

    private fun drawn(mask: Mask): Bitmap {
        val colours = IntArray(mask.width * mask.height) { at ->
            val number = mask.classAt(mask.left + at % mask.width, mask.top + at / mask.width)
            if (number == 0) Color.TRANSPARENT else COLOURS[(number - 1) % COLOURS.size]
        }
        return Bitmap.createBitmap(colours, mask.width, mask.height, Bitmap.Config.ARGB_8888)
    }
}
