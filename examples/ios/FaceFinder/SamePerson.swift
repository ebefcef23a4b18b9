// Are two faces one person's? What pocketface says of embeddings in Python. Foundation alone, so that it
// compiles and is tested anywhere. Nothing looks for life: a photo of a photo passes.
import Foundation

/// From which cosine on two faces count as one person's, and how often that is wrong.
struct OperatingPoint: Decodable {
    var fmr: Double
    var cosine: Double
}

/// A logistic curve from cosine to probability.
struct Calibration: Decodable {
    var slope: Double
    var offset: Double
}

/// What is said of two faces.
struct Verdict {
    enum Answer: String {
        case yes, unsure, no
    }

    /// nil where it was never measured how often strangers are as similar.
    var answer: Answer?
    /// That they are one person's, at even odds beforehand; nil likewise, or if a face is too small.
    var probability: Double?
}

/// A recogniser's rules: what its cosines mean.
struct PeopleRules {
    /// Of pairs of two people the share that may be called one person.
    static let maxFmr = 0.001
    /// So many times as often strangers may reach the cosine from which on an answer is unsure.
    private static let unsure = 10.0

    /// The most frequent first.
    var thresholds: [OperatingPoint]
    var calibration: Calibration?

    /// - Parameters:
    ///   - cosine: Of two embeddings.
    ///   - small: Whether one of the faces is too small to tell.
    func verdict(_ cosine: Double, small: Bool = false, maxFmr: Double = maxFmr) -> Verdict {
        let curve = small ? nil : calibration
        let probability = curve.map { 1 / (1 + exp(-($0.slope * cosine + $0.offset))) }
        guard let often = thresholds.first?.fmr, let seldom = thresholds.last?.fmr,
            maxFmr >= seldom
        else { return Verdict(answer: nil, probability: probability) }
        let sure = threshold(maxFmr)
        // Nothing is known beyond the largest rate that was measured.
        let least = min(sure, threshold(max(maxFmr, min(Self.unsure * maxFmr, often))))
        if small || (cosine >= least && cosine < sure) {
            return Verdict(answer: .unsure, probability: probability)
        }
        return Verdict(answer: cosine >= sure ? .yes : .no, probability: probability)
    }

    /// The cosine at a false match rate: between the measured ones linear over their logarithm.
    private func threshold(_ fmr: Double) -> Double {
        guard let at = thresholds.firstIndex(where: { $0.fmr <= fmr }) else { return 1 }
        if at == 0 { return thresholds[0].cosine }
        let (often, seldom) = (thresholds[at - 1], thresholds[at])
        let share = log(fmr / seldom.fmr) / log(often.fmr / seldom.fmr)
        return seldom.cosine + share * (often.cosine - seldom.cosine)
    }
}

/// The same direction with length 1; files of lower precision are a little off.
func unit(_ vector: [Float]) -> [Float] {
    let length = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    return vector.map { Float(Double($0) / length) }
}

/// Cosine of the angle between two embeddings of length 1, -1 to 1.
func cosine(_ one: [Float], _ other: [Float]) -> Double {
    zip(one, other).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
}

/// Whether a face's eyes are nearer to each other than 8 pixels: then nobody is recognised.
func isTooSmall(_ landmarks: [Float]) -> Bool {
    let (x, y) = (landmarks[2] - landmarks[0], landmarks[3] - landmarks[1])
    return (x * x + y * y).squareRoot() < 8
}
