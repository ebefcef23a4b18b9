package pocketface.example

/**
 * All that this app and the model files must agree on by name. tests/examples compares it with files
 * that `pocketface export --formats litert` has just written.
 */
object ModelNames {
    const val FILE = "model.tflite" // in app/src/main/assets
    const val INPUT = "image"
    const val BOXES = "boxes"
    const val SCORES = "scores"
    const val LANDMARKS = "landmarks"
    const val TASK = "face-detection"
    const val SEGMENTER_FILE = "segmenter.tflite" // likewise, where there are to be masks
    const val SEGMENTER_TASK = "face-segmentation"
    const val MASK = "mask"
    const val RECOGNIZER_FILE = "recognizer.tflite" // likewise, where people are compared
    const val RECOGNIZER_TASK = "face-recognition"
    const val EMBEDDING = "embedding"
    const val CONTRACT = "pocketface.contract" // key in the file's metadata
}
