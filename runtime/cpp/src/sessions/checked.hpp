// What a graph gives, held to its manifest: nothing else has said that the two belong together.
#pragma once

#include <vector>

#include "bundle/manifest.hpp"
#include "sessions/session.hpp"

namespace w2vc::sessions {

// The outputs in the order of the manifest. Throws Error (inference) where they do not fit it in name, type
// or shape.
std::vector<Fetch> run_checked(const Session& session, const bundle::Manifest& manifest,
                               const std::vector<Feed>& feeds);

}  // namespace w2vc::sessions
