// Manifests with a right hash: a text of JSON, whatever it is, gets its own.
#include "bundle/manifest.hpp"

#include <cstdint>

#include "features/features.hpp"
#include "support/error.hpp"
#include "support/files.hpp"
#include "support/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace w2vc;
    std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const json::Document document = json::Document::parse(text);
        const json::Value root = document.root();
        const std::size_t start = text.find('{');
        if (root.is(json::Type::object) && root.size() && start != text.npos) {
            const std::string digest = files::sha256(json::canonical(root, {"created", "sha256"}));
            text.insert(start + 1, "\"sha256\": \"" + digest + "\", ");
        }
    } catch (const json::DocumentError&) {
        // What is no JSON is tried as it is.
    }
    try {
        const auto manifest = bundle::Manifest::parse(text, "FILE", "BUNDLE");
        if (manifest.outputs.front().shape.size() == 3) manifest.frame_seconds();
        features::make_extractor(manifest.features);
    } catch (const Error& error) {
        if (!*error.what()) __builtin_trap();
    }
    return 0;
}
