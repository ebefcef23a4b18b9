/// All that this app and the model files must agree on by name. tests/examples compares it with files
/// that `pocketface export --formats coreml` has just written.
enum ModelNames {
    // Added to the target; Xcode compiles them to <name>.mlmodelc.
    static let pipelineFile = "model_nms"
    static let networkFile = "model"
    static let glassesFile = "glasses"
    static let segmenterFile = "segmenter"
    static let recognizerFile = "recognizer"

    static let image = "image"

    // The pipeline's: Vision knows the outputs by these names.
    static let iouThreshold = "iouThreshold"
    static let confidenceThreshold = "confidenceThreshold"
    static let confidence = "confidence"
    static let coordinates = "coordinates"

    // The network's own.
    static let boxes = "boxes"
    static let scores = "scores"
    static let landmarks = "landmarks"

    static let label = "face"
    static let glasses = "glass"
    static let glassesTask = "face-classification"

    // The segmenter's picture for Vision, beside its array.
    static let maskPicture = "mask_image"
    static let segmenterTask = "face-segmentation"

    static let embedding = "embedding"
    static let recognizerTask = "face-recognition"

    static let contract = "pocketface.contract"
}
