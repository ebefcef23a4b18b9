import AVFoundation
import CoreVideo
import Foundation

/// Frames of the front camera: upright, mirrored as the preview is, BGRA, one at a time.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate {
    let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "camera frames")
    private let onFrame: (CVPixelBuffer) -> Void

    enum Problem: LocalizedError {
        case notAllowed
        case notThere

        var errorDescription: String? {
            switch self {
            case .notAllowed: "Allow the camera in Settings"
            case .notThere: "This device has no camera that can be used"
            }
        }
    }

    /// - Parameter onFrame: Called on the camera's own queue; frames that come meanwhile are dropped.
    init(onFrame: @escaping (CVPixelBuffer) -> Void) {
        self.onFrame = onFrame
    }

    func start() async throws {
        guard await AVCaptureDevice.requestAccess(for: .video) else { throw Problem.notAllowed }
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, Error>) in
            queue.async { done.resume(with: Result { try self.open() }) }
        }
    }

    private func open() throws {
        guard !session.isRunning else { return }
        guard
            let device = AVCaptureDevice.default(
                .builtInWideAngleCamera, for: .video, position: .front)
        else { throw Problem.notThere }
        let input = try AVCaptureDeviceInput(device: device)
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        guard session.canAddInput(input), session.canAddOutput(output) else {
            throw Problem.notThere
        }
        session.beginConfiguration()
        session.sessionPreset = .vga640x480
        session.addInput(input)
        session.addOutput(output)
        if let connection = output.connection(with: .video) {
            // Turned here, so that neither Vision nor the overlay has to know of orientations.
            if #available(iOS 17, *) {
                connection.videoRotationAngle = 90
            } else {
                connection.videoOrientation = .portrait
            }
            connection.automaticallyAdjustsVideoMirroring = false
            connection.isVideoMirrored = true
        }
        session.commitConfiguration()
        session.startRunning()
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        if let frame = CMSampleBufferGetImageBuffer(sampleBuffer) { onFrame(frame) }
    }
}
