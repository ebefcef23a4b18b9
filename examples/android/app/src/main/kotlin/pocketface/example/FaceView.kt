package pocketface.example

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import kotlin.math.min

/** A photo, as large as there is room for, with the faces found. */
class FaceView(context: Context) : View(context) {
    private var photo: Bitmap? = null
    private var faces: List<Face> = emptyList()
    private val box = Paint(Paint.ANTI_ALIAS_FLAG).apply {
        color = Color.GREEN
        style = Paint.Style.STROKE
    }
    private val dot = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.YELLOW }
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { color = Color.GREEN }

    fun show(photo: Bitmap, faces: List<Face>) {
        this.photo = photo
        this.faces = faces
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        val photo = photo ?: return
        val scale = min(width.toFloat() / photo.width, height.toFloat() / photo.height)
        canvas.scale(scale, scale)
        canvas.drawBitmap(photo, 0f, 0f, null)
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
}
