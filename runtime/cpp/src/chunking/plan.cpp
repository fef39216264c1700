#include "chunking/plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "support/error.hpp"
#include "support/text.hpp"

namespace w2vc::chunking {
namespace {

// What models are trained on is rarely longer, and attention grows with the square of it.
constexpr double kChunkSeconds = 20;
// Of a chunk, on each side: as in Hugging Face's pipelines, which cut like this.
constexpr double kContextShare = 1.0 / 6;
// Of the encoder where no output has a time axis: 20 ms, as all of these models have.
constexpr std::int64_t kFramesASecond = 50;
constexpr double kMostSeconds = 3600;

std::int64_t up(std::int64_t samples, std::int64_t step) {
    return (samples + step - 1) / step * step;
}

void check(const Options& options) {
    const auto refuse = [](const char* what, const char* least, double value) {
        throw Error(ErrorKind::argument, std::string(what) + " seconds must be " + least +
                                             " 0 and at most 3600, got " + text::general(value));
    };
    const auto chunk = options.chunk_seconds, context = options.context_seconds;
    if (chunk && !(*chunk > 0 && *chunk <= kMostSeconds)) refuse("chunk", "more than", *chunk);
    if (context && !(*context >= 0 && *context <= kMostSeconds)) refuse("context", "at least", *context);
}

}  // namespace

bool is_framewise(const bundle::Manifest& manifest) {
    return manifest.head == "base" || manifest.head == "ctc" || manifest.head == "frame-classification" ||
           manifest.head == "pretraining";
}

Plan plan_for(const bundle::Manifest& manifest, const Options& options, std::optional<std::int64_t> longest) {
    check(options);
    const bool framewise = is_framewise(manifest);
    Plan plan;
    plan.sampling_rate = sampling_rate(manifest.features);
    const double rate = static_cast<double>(plan.sampling_rate);
    std::int64_t reach = 0;  // of a frame, past its step: what it reaches for is context
    for (const auto& [name, frames] : manifest.frames) {
        if (!framewise) break;
        plan.step = std::lcm(plan.step, frames.step);
        reach = std::max(reach, frames.field - frames.step);
    }
    if (!framewise || manifest.frames.empty())
        plan.step = std::max<std::int64_t>(1, plan.sampling_rate / kFramesASecond);
    const std::int64_t step = plan.step, shortest = manifest.shortest;
    double wanted = options.chunk_seconds.value_or(kChunkSeconds) * rate;
    if (longest && !options.chunk_seconds) wanted = std::min(wanted, static_cast<double>(*longest));
    plan.chunk = std::max<std::int64_t>(static_cast<std::int64_t>(wanted) / step, 1) * step;
    if (!framewise) {
        if (options.context_seconds.value_or(0) > 0) {
            throw Error(ErrorKind::argument,
                        "head '" + manifest.head + "' answers for a whole window, which has no context");
        }
        plan.chunk = std::max(plan.chunk, up(shortest, step));
        plan.reserve = shortest;
        return plan;
    }
    const std::int64_t least = up(reach, step);
    if (!options.chunk_seconds) plan.chunk = std::max({plan.chunk, 2 * least + step, up(shortest, step)});
    const double frames =
        options.context_seconds
            ? std::nearbyint(*options.context_seconds * rate / static_cast<double>(step))
            : std::trunc(static_cast<double>(plan.chunk) * kContextShare / static_cast<double>(step));
    plan.context = std::max(static_cast<std::int64_t>(frames) * step, least);
    const std::int64_t room = std::max(2 * plan.context + step, shortest);
    if (plan.chunk < room) {
        const auto seconds = [&](std::int64_t samples) {
            return text::general(static_cast<double>(samples) / rate) + " s";
        };
        throw Error(ErrorKind::argument, "chunks of " + seconds(plan.chunk) +
                                             " have no room between contexts of " + seconds(plan.context) +
                                             "; take at least " + seconds(room) + ", or less context");
    }
    plan.reserve = std::max<std::int64_t>(0, shortest - plan.context);
    plan.quiet = manifest.head == "ctc";
    return plan;
}

}  // namespace w2vc::chunking
