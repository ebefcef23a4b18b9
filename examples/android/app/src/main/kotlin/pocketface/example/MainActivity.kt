package pocketface.example

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.ImageDecoder
import android.net.Uri
import android.os.Bundle
import android.os.SystemClock
import android.widget.Button
import android.widget.LinearLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.PickVisualMediaRequest
import androidx.activity.result.contract.ActivityResultContracts.PickVisualMedia
import java.util.concurrent.Executors

private const val MAX_PIXELS = 12_000_000L
private const val NO_MASKS = ". No masks: this detector finds no landmarks"

/** A button, the photo that it chooses, its faces, and their masks where there is a segmenter. */
class MainActivity : ComponentActivity() {
    private val worker = Executors.newSingleThreadExecutor()
    private var detector: FaceDetector? = null // of the worker's
    private var segmenter: FaceSegmenter? = null // likewise
    private lateinit var view: FaceView
    private lateinit var status: TextView

    private val picker = registerForActivityResult(PickVisualMedia()) { photo ->
        if (photo != null) worker.execute { find(photo) }
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        view = FaceView(this)
        status = TextView(this)
        val button = Button(this)
        button.text = "Choose a photo"
        button.setOnClickListener {
            picker.launch(PickVisualMediaRequest(PickVisualMedia.ImageOnly))
        }
        val column = LinearLayout(this)
        column.orientation = LinearLayout.VERTICAL
        column.fitsSystemWindows = true
        column.addView(button)
        column.addView(status)
        column.addView(
            view, LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 0, 1f)
        )
        setContentView(column)
    }

    override fun onDestroy() {
        worker.execute {
            segmenter?.close()
            detector?.close()
        }
        worker.shutdown()
        super.onDestroy()
    }

    private fun find(source: Uri) {
        try {
            val opened = detector ?: FaceDetector(assets).also { detector = it }
            if (segmenter == null && ModelNames.SEGMENTER_FILE in assets.list("").orEmpty()) {
                segmenter = FaceSegmenter(assets)
            }
            val photo = read(source)
            val started = SystemClock.elapsedRealtime()
            val faces = opened.find(photo)
            val marked = faces.all { it.landmarks != null }
            val masks = if (marked) segmenter?.masks(photo, faces).orEmpty() else emptyList()
            val milliseconds = SystemClock.elapsedRealtime() - started
            val note = if (marked || segmenter == null) "" else NO_MASKS
            runOnUiThread {
                view.show(photo, faces, masks)
                status.text = "${faces.size} faces in $milliseconds ms$note"
            }
        } catch (error: Exception) {
            say(error.message ?: error.toString())
        } catch (error: OutOfMemoryError) {
            say("Not enough memory for this photo")
        }
    }

    private fun say(text: String) = runOnUiThread { status.text = text }

    /** Upright, as its EXIF tag says, four bytes a pixel; transparent parts on white, as in Python. */
    private fun read(source: Uri): Bitmap {
        val decoded = ImageDecoder.decodeBitmap(
            ImageDecoder.createSource(contentResolver, source)
        ) { decoder, info, _ ->
            decoder.allocator = ImageDecoder.ALLOCATOR_SOFTWARE
            // Four bytes for each pixel, twice, and eight more where its colours have 16 bits: more
            // would not fit into an app's memory.
            val pixels = info.size.width.toLong() * info.size.height
            var sample = 1
            while (pixels / (sample * sample) > MAX_PIXELS) sample++
            decoder.setTargetSampleSize(sample)
        }
        if (!decoded.hasAlpha() && decoded.config == Bitmap.Config.ARGB_8888) return decoded
        val opaque = Bitmap.createBitmap(decoded.width, decoded.height, Bitmap.Config.ARGB_8888)
        Canvas(opaque).apply { drawColor(Color.WHITE) }.drawBitmap(decoded, 0f, 0f, null)
        return opaque
    }
}
