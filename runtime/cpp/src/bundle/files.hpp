// The files of a bundle: where they are, and whether they are the ones that its manifest names.
#pragma once

#include <string>

#include "bundle/manifest.hpp"

namespace w2vc::bundle {

// The path of a file of a bundle. name: a plain path inside it. remedy: what would be right.
// Throws Error (bundle) where it is missing, or is not a file of this directory.
std::string locate(const std::string& bundle, const std::string& name,
                   const std::string& remedy = "export the bundle again");

// The graph in a precision; empty: the first. Throws Error (argument) where the bundle has none in that
// precision.
const Graph& find_graph(const std::string& bundle, const Manifest& manifest, const std::string& precision);

// Compares every file with the manifest. Throws Error (bundle) on the first that is missing, altered, or a
// graph that names files beside those that the manifest names for it: whatever runs the graph would open
// them.
void check_files(const std::string& bundle, const Manifest& manifest);

}  // namespace w2vc::bundle
