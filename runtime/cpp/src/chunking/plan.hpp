// How a recording is cut: how long a chunk is, and how much of it is context.
#pragma once

#include <cstdint>
#include <optional>

#include "bundle/manifest.hpp"

namespace w2vc::chunking {

// What may be chosen. None: by the model and the memory here. chunk_seconds: of audio that the model sees at
// once. context_seconds: on each side of it, that is seen and whose outputs are those of the neighbours.
// pooled: one answer in place of windows.
struct Options {
    std::optional<double> chunk_seconds, context_seconds;
    bool pooled = false;
};

// In samples. step: what every cut is a multiple of, so that each output's frames are those of the whole
// recording. chunk: the most that the model sees at once. context: on each side. reserve: beyond a chunk,
// that are waited for, so that what is left after it can be answered. quiet: cut where it is quiet.
struct Plan {
    std::int64_t sampling_rate = 0, step = 1, chunk = 1, context = 0, reserve = 0;
    bool quiet = false;
};

// Whether the outputs of a head are for each frame; those of the others are for a window, which has no
// context.
bool is_framewise(const bundle::Manifest& manifest);

// The Python runtime's plan. longest: samples that fit the memory or the engine here; none where nobody
// knows. Throws Error (argument) where a chunk has no room between its contexts.
Plan plan_for(const bundle::Manifest& manifest, const Options& options, std::optional<std::int64_t> longest);

}  // namespace w2vc::chunking
