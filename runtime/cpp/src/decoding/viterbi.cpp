#include "decoding/viterbi.hpp"

#include <algorithm>
#include <limits>

namespace w2vc::decoding {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();

}  // namespace

std::vector<std::uint32_t> best_path(const std::vector<ViterbiState>& states,
                                     const std::vector<double>& scores, std::size_t frames,
                                     std::size_t labels, double& score) {
    const std::size_t count = states.size();
    std::vector<double> current(count, kImpossible);
    std::vector<double> previous(count, kImpossible);
    std::vector<std::uint8_t> came(frames * count, 0);  // which of the states before
    for (std::size_t frame = 0; frame < frames; ++frame) {
        const double* row = scores.data() + frame * labels;
        previous.swap(current);
        for (std::size_t index = 0; index < count; ++index) {
            const ViterbiState& state = states[index];
            double best = kImpossible;
            if (frame == 0) {
                best = state.starts ? 0.0 : kImpossible;
            } else {
                for (std::size_t place = 0; place < state.before.size(); ++place) {
                    const double value = previous[state.before[place]];
                    if (value > best) {
                        best = value;
                        came[frame * count + index] = static_cast<std::uint8_t>(place);
                    }
                }
            }
            current[index] = best + row[state.label];
        }
    }
    std::size_t last = count;
    score = kImpossible;
    for (std::size_t index = 0; index < count; ++index) {
        if (frames > 0 && states[index].ends && current[index] > score) {
            score = current[index];
            last = index;
        }
    }
    if (last == count) {
        return {};
    }
    std::vector<std::uint32_t> path(frames);
    for (std::size_t frame = frames; frame-- > 0;) {
        path[frame] = static_cast<std::uint32_t>(last);
        last = states[last].before[came[frame * count + last]];
    }
    return path;
}

}  // namespace w2vc::decoding
