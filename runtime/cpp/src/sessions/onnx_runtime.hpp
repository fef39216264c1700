// A graph in ONNX Runtime. docs/providers.md has the reason of every setting.
#pragma once

#include <memory>
#include <string>

#include "sessions/library.hpp"
#include "sessions/session.hpp"

namespace w2vc::sessions {

struct OnnxRuntimeOptions {
    std::string provider;  // cpu, cuda, tensorrt or tensorrt-rtx
    int threads = 0;       // of one run; 0: as many as there are cores
};

// path: of an ONNX file. Throws Error: bundle where it cannot be loaded, argument where the provider cannot
// start.
std::unique_ptr<Session> open_onnx_runtime(std::shared_ptr<const Library> library, const std::string& path,
                                           const OnnxRuntimeOptions& options);

}  // namespace w2vc::sessions
