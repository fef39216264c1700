// The types of manifest.json: those of the Python runtime, and of docs/manifest.schema.json.
#pragma once

#include "bundle/typed.hpp"

namespace w2vc::bundle {

constexpr int kSchema = 5;

// Whether a text is a plain path inside a bundle, such as model.onnx.
bool is_inner_path(std::string_view text);

// The types of a manifest without its own sha256.
const Types& manifest_types();

}  // namespace w2vc::bundle
