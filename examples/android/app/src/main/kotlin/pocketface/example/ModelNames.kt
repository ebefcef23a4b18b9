package pocketface.example

/**
 * All that this app and the model file must agree on by name. tests/examples compares it with a
 * file that `pocketface export --formats litert` has just written.
 */
object ModelNames {
    const val FILE = "model.tflite" // in app/src/main/assets
    const val INPUT = "image"
    const val BOXES = "boxes"
    const val SCORES = "scores"
    const val LANDMARKS = "landmarks"
    const val CONTRACT = "pocketface.contract" // key in the file's metadata
}
