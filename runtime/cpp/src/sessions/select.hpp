// Which session runs a graph of a bundle.
#pragma once

#include <memory>
#include <string>

#include "bundle/manifest.hpp"
#include "sessions/library.hpp"
#include "sessions/session.hpp"

namespace w2vc::sessions {

struct OpenOptions {
    std::string provider = "auto";  // or cpu, cuda, tensorrt, tensorrt-rtx
    std::string library;            // path of ONNX Runtime; empty: see Library
    int threads = 0;                // of one run; 0: as many as there are cores
};

// Opens a graph, or an engine of it that the bundle has with the file that wraps it for ONNX Runtime. `auto`
// takes the first that works: what the graph is written for, an engine, cuda, cpu. opening: what
// Library::opening gave for the options. Throws Error (argument, bundle, runtime).
std::unique_ptr<Session> open(const std::string& bundle, const bundle::Manifest& manifest,
                              const bundle::Graph& graph, const OpenOptions& options,
                              Library::Opening& opening);

}  // namespace w2vc::sessions
