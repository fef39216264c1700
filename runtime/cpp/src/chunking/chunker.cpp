#include "chunking/chunker.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <variant>

#include "features/sums.hpp"

namespace w2vc::chunking {
namespace {

// The share of what lies between two contexts in which a cut may move to where it is quiet.
constexpr double kMovable = 0.4;
// What is compared for loudness: as long as a pause between words.
constexpr double kPauseSeconds = 0.2;
constexpr double kAsQuiet = 1e-12;

using Position = std::vector<float>::difference_type;

}  // namespace

void Chunk::cut(std::vector<results::Array>& outputs, const bundle::Manifest& manifest) const {
    for (std::size_t index = 0; index < outputs.size(); ++index) {
        const auto& shape = manifest.outputs[index].shape;
        const auto* axis = shape.size() > 1 ? std::get_if<std::string>(&shape[1]) : nullptr;
        const bundle::Frames* frames = axis ? find(manifest.frames, *axis) : nullptr;
        if (!frames) continue;
        results::Array& array = outputs[index];
        const auto begin = std::min(static_cast<std::size_t>((first - start) / frames->step), array.rows);
        std::size_t end = array.rows;
        if (!is_last) end = std::min(static_cast<std::size_t>((last - start) / frames->step), end);
        const auto at = [&](std::size_t row) {
            return array.values.begin() + static_cast<Position>(row * array.columns);
        };
        array.values.erase(at(end), array.values.end());
        array.values.erase(array.values.begin(), at(begin));
        array.rows = end - begin;
    }
}

void Chunker::push(const float* samples, std::size_t count, const Take& take) {
    // One sample more than a chunk is known to be needed: a recording that fits one is answered as it always
    // was.
    const auto most = static_cast<std::size_t>(plan_.chunk + plan_.reserve) + 1;
    while (count) {
        const std::size_t taken = std::min(count, most - held_.size());
        held_.insert(held_.end(), samples, samples + taken);
        received_ += static_cast<std::int64_t>(taken);
        samples += taken;
        count -= taken;
        while (held_.size() == most) take(cut());
    }
}

void Chunker::end(const Take& take) {
    if (held_.empty()) return;
    Chunk chunk{std::move(held_), start_, first_, received_, true};
    held_.clear();
    take(chunk);
}

Chunk Chunker::cut() {
    const std::int64_t latest = start_ + plan_.chunk - plan_.context;
    const std::int64_t join = plan_.quiet ? quietest(latest) : latest;
    // Always as long, wherever the cut is: backends hold memory for every length that they meet.
    Chunk chunk{{held_.begin(), held_.begin() + plan_.chunk}, start_, first_, join, false};
    const std::int64_t start = std::max<std::int64_t>(0, join - plan_.context);
    held_.erase(held_.begin(), held_.begin() + (start - start_));
    start_ = start;
    first_ = join;
    return chunk;
}

// Where to cut: the middle of the quietest stretch before `latest`, the last of them.
std::int64_t Chunker::quietest(std::int64_t latest) const {
    const std::int64_t step = plan_.step;
    const std::int64_t room =
        static_cast<std::int64_t>(static_cast<double>(latest - first_) * kMovable) / step;
    if (room < 1) return latest;
    const std::int64_t earliest = latest - room * step;
    const auto pause = static_cast<std::int64_t>(
        std::nearbyint(kPauseSeconds * static_cast<double>(plan_.sampling_rate) / static_cast<double>(step)));
    const std::int64_t half = std::max<std::int64_t>(1, pause / 2);
    const std::int64_t begin = std::max<std::int64_t>(0, earliest - half * step - start_);
    const std::int64_t end = std::min(latest + half * step - start_, plan_.chunk);
    std::vector<double> sums = {0};  // of the power of each step
    for (std::int64_t at = begin; at + step <= end; at += step) {
        const double power = features::pairwise_sum(
            held_.data() + at, static_cast<std::size_t>(step),
            [](float value) { return static_cast<double>(value) * static_cast<double>(value); });
        sums.push_back(sums.back() + power / static_cast<double>(step));
    }
    const auto steps = static_cast<std::int64_t>(sums.size()) - 1;
    const auto loudness = [&](std::int64_t cut) {
        const std::int64_t middle = (cut - start_ - begin) / step;
        const std::int64_t lower = std::clamp<std::int64_t>(middle - half, 0, steps);
        const std::int64_t upper = std::min(middle + half, steps);
        const double sum = sums[static_cast<std::size_t>(upper)] - sums[static_cast<std::size_t>(lower)];
        return sum / static_cast<double>(std::max<std::int64_t>(upper - lower, 1));
    };
    double least = loudness(latest);
    for (std::int64_t cut = earliest; cut < latest; cut += step) least = std::min(least, loudness(cut));
    std::int64_t quiet = latest;
    while (loudness(quiet) > least + kAsQuiet) quiet -= step;
    return quiet;
}

}  // namespace w2vc::chunking
