import AVFoundation
import QuartzCore
import SwiftUI
import UIKit

@main
struct FaceFinderApp: App {
    var body: some Scene {
        WindowGroup { ContentView() }
    }
}

/// Camera to faces; what the view shows.
@MainActor
final class FaceFinder: ObservableObject {
    enum Way: String, CaseIterable, Identifiable {
        case vision = "Vision, NMS in the file"
        case network = "Core ML, NMS in Swift"
        case glasses = "Glasses"
        case masks = "Masks"
        var id: Self { self }

        fileprivate func open() throws -> any FaceDetector {
            switch self {
            case .vision: try PipelineDetector()
            case .network: try NetworkDetector()
            case .glasses: try GlassesFinder()
            case .masks: try MaskFinder()
            }
        }
    }

    @Published private(set) var faces: [Face] = []
    @Published private(set) var frameSize = CGSize(width: 3, height: 4)
    @Published private(set) var status = ""
    let camera: Camera
    private let slot: Slot
    private var turn = 0  // of the ways chosen; what an earlier one still reports is not shown

    init() {
        let slot = Slot()
        self.slot = slot
        camera = Camera { slot.handle($0) }
    }

    /// What the camera's queue works with, so that it need not ask the main thread.
    private final class Slot: @unchecked Sendable {
        private let lock = NSLock()
        private var detector: (any FaceDetector)?
        private var report: (@MainActor (Result<[Face], Error>, CGSize, Double) -> Void)?

        func set(
            _ detector: any FaceDetector,
            report: @escaping @MainActor (Result<[Face], Error>, CGSize, Double) -> Void
        ) {
            lock.withLock { (self.detector, self.report) = (detector, report) }
        }

        func empty() {
            lock.withLock { (self.detector, self.report) = (nil, nil) }
        }

        func handle(_ frame: CVPixelBuffer) {
            let (detector, report) = lock.withLock { (self.detector, self.report) }
            guard let detector, let report else { return }
            let size = CGSize(
                width: CVPixelBufferGetWidth(frame), height: CVPixelBufferGetHeight(frame))
            let started = CACurrentMediaTime()
            let result = Result { try detector.faces(in: frame) }
            let milliseconds = (CACurrentMediaTime() - started) * 1000
            Task { @MainActor in report(result, size, milliseconds) }
        }
    }

    func start(_ way: Way) async {
        turn += 1
        let mine = turn
        slot.empty()  // or the way before would go on under the new one's name
        (faces, status) = ([], "Loading the model …")
        do {
            // It takes a second or more, in which the main thread has better things to do.
            let detector = try await Task.detached { try way.open() }.value
            guard turn == mine else { return }
            slot.set(detector) { [weak self] in
                self?.show($0, size: $1, milliseconds: $2, turn: mine)
            }
            try await camera.start()
        } catch {
            if turn == mine { slot.empty() }
            show(.failure(error), size: frameSize, milliseconds: 0, turn: mine)
        }
    }

    private func show(
        _ result: Result<[Face], Error>, size: CGSize, milliseconds: Double, turn shown: Int
    ) {
        guard shown == turn else { return }
        frameSize = size
        switch result {
        case .success(let found):
            faces = found
            status = "\(found.count) faces, \(Int(milliseconds.rounded())) ms"
        case .failure(let error):
            faces = []
            status = error.localizedDescription
        }
    }
}

struct ContentView: View {
    @StateObject private var finder = FaceFinder()
    @State private var way = FaceFinder.Way.vision

    var body: some View {
        ZStack {
            Color.black.ignoresSafeArea()
            Preview(session: finder.camera.session)
            Canvas { context, size in draw(finder.faces, in: context, size: size) }
        }
        .safeAreaInset(edge: .bottom) {
            VStack {
                Text(finder.status).monospacedDigit()
                Picker("Way", selection: $way) {
                    ForEach(FaceFinder.Way.allCases) { Text($0.rawValue).tag($0) }
                }
                .pickerStyle(.segmented)
            }
            .padding()
            .background(.thinMaterial)
        }
        .task(id: way) { await finder.start(way) }
    }

    /// Frame pixels to view points, as `.resizeAspect` of the preview does it.
    private func draw(_ faces: [Face], in context: GraphicsContext, size: CGSize) {
        let shown = AVMakeRect(
            aspectRatio: finder.frameSize, insideRect: CGRect(origin: .zero, size: size))
        let scale = shown.width / finder.frameSize.width
        let place = { (x: Float, y: Float) in
            CGPoint(x: shown.minX + CGFloat(x) * scale, y: shown.minY + CGFloat(y) * scale)
        }
        for face in faces {
            if let mask = face.mask, let picture = mask.picture {
                let corner = place(Float(mask.left), Float(mask.top))
                let size = CGSize(
                    width: CGFloat(mask.width) * scale, height: CGFloat(mask.height) * scale)
                context.draw(
                    Image(decorative: picture, scale: 1), in: CGRect(origin: corner, size: size))
            }
            let corner = place(face.x1, face.y1)
            let box = CGRect(
                x: corner.x, y: corner.y, width: CGFloat(face.x2 - face.x1) * scale,
                height: CGFloat(face.y2 - face.y1) * scale)
            let colour: Color = face.label == ModelNames.glasses ? .orange : .green
            let text = String(format: "%.2f", face.labelScore ?? face.score)
            context.stroke(Path(box), with: .color(colour), lineWidth: 2)
            context.draw(
                Text("\(face.label ?? "") \(text)").font(.caption).foregroundColor(colour),
                at: corner, anchor: .bottomLeading)
            for at in stride(from: 0, to: face.landmarks.count, by: 2) {
                let point = place(face.landmarks[at], face.landmarks[at + 1])
                let dot = CGRect(x: point.x - 3, y: point.y - 3, width: 6, height: 6)
                context.fill(Path(ellipseIn: dot), with: .color(.yellow))
            }
        }
    }
}

/// What the camera sees.
struct Preview: UIViewRepresentable {
    let session: AVCaptureSession

    final class LayerView: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }
    }

    func makeUIView(context: Context) -> LayerView {
        let view = LayerView()
        if let layer = view.layer as? AVCaptureVideoPreviewLayer {
            layer.session = session
            layer.videoGravity = .resizeAspect
        }
        return view
    }

    func updateUIView(_ view: LayerView, context: Context) {}
}
