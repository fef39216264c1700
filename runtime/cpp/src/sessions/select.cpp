#include "sessions/select.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "sessions/onnx_runtime.hpp"
#include "support/error.hpp"
#include "support/text.hpp"

namespace w2vc::sessions {
namespace {

constexpr const char* kAuto = "auto";
// From the best to the last resort.
constexpr std::array kProviders = {"tensorrt-rtx", "tensorrt", "cuda", "cpu"};
// Before, short clips are computed wrong on some CPUs; see docs/providers.md.
constexpr int kInt8Minor = 25;

Error unavailable(const std::string& message) {
    return {ErrorKind::argument, message};
}

bool known(const std::string& provider) {
    return std::find(kProviders.begin(), kProviders.end(), provider) != kProviders.end();
}

void need(const Library& library, const std::string& provider, const char* execution_provider) {
    const auto found = library.providers();
    if (std::find(found.begin(), found.end(), execution_provider) == found.end()) {
        throw unavailable(
            "provider '" + provider + "' is not in this " + library.shown() +
            "; load a build that has it, such as that of the package onnxruntime-gpu, or use provider 'cpu'");
    }
}

// The file that wraps an engine of a graph.
std::string wrapped(const bundle::Manifest& manifest, const bundle::Graph& graph,
                    const std::string& backend) {
    for (const bundle::Engine& engine : manifest.engines) {
        if (engine.backend == backend && engine.precision == graph.precision && engine.ep_context)
            return engine.wrap();
    }
    throw unavailable("the bundle has no engine of " + backend + " in " + graph.precision +
                      " for ONNX Runtime; w2vc compile --ep-context makes one, or use another provider");
}

std::unique_ptr<Session> open_one(const std::shared_ptr<const Library>& library, const std::string& bundle,
                                  const bundle::Manifest& manifest, const bundle::Graph& graph,
                                  const std::string& provider, int threads) {
    std::string file = graph.files.front();
    if (provider == "cpu" && graph.precision == "bf16") {
        throw unavailable("provider 'cpu' cannot compute in bf16; take 'cuda', or another precision");
    }
    if (provider == "cpu" && graph.precision == "int8" && !library->at_least(1, kInt8Minor)) {
        throw unavailable(
            "int8 on provider 'cpu' needs ONNX Runtime 1." + std::to_string(kInt8Minor) +
            " or newer, and this is " + library->version() +
            ", which computes short clips wrong on some CPUs; upgrade it, or take another precision");
    }
    if (provider == "cuda") need(*library, provider, "CUDAExecutionProvider");
    if (provider == "tensorrt" || provider == "tensorrt-rtx") {
        file = wrapped(manifest, graph, provider);
        need(*library, provider,
             provider == "tensorrt" ? "TensorrtExecutionProvider" : "NvTensorRTRTXExecutionProvider");
    }
    return open_onnx_runtime(library, bundle + "/" + file, {provider, threads});
}

}  // namespace

std::unique_ptr<Session> open(const std::string& bundle, const bundle::Manifest& manifest,
                              const bundle::Graph& graph, const OpenOptions& options,
                              Library::Opening& opening) {
    if (options.provider != kAuto && !known(options.provider)) {
        throw unavailable("unknown provider " + text::quoted(options.provider) +
                          "; known: auto, cpu, cuda, tensorrt, tensorrt-rtx");
    }
    const auto library = opening.get();
    if (options.provider != kAuto) {
        return open_one(library, bundle, manifest, graph, options.provider, options.threads);
    }
    std::vector<std::string> order(kProviders.begin(), kProviders.end());
    if (graph.provider && known(*graph.provider)) order.insert(order.begin(), *graph.provider);
    std::optional<Error> last;
    for (const std::string& provider : order) {
        try {
            return open_one(library, bundle, manifest, graph, provider, options.threads);
        } catch (const Error& error) {
            last = error;
        }
    }
    throw *last;
}

}  // namespace w2vc::sessions
