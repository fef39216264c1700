// manifest.json: read as a whole, or not at all. docs/bundle.md describes every field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "features/recipe.hpp"

namespace w2vc::json {
class Value;
}

namespace w2vc::bundle {

template <typename T>
using Named = std::vector<std::pair<std::string, T>>;  // in the order of the document

template <typename T>
const T* find(const Named<T>& entries, std::string_view name) {
    for (const auto& [key, value] : entries) {
        if (key == name) return &value;
    }
    return nullptr;
}

// A named dimension varies, a number is fixed.
using Dimension = std::variant<std::string, std::int64_t>;

struct Tensor {
    std::string name;
    std::string dtype;
    std::vector<Dimension> shape;
};

// How many frames of a time axis a clip has: (samples - field) // step + 1, exactly.
struct Frames {
    std::int64_t field = 1;
    std::int64_t step = 1;

    std::int64_t count(std::int64_t samples) const {
        return samples < field ? 0 : (samples - field) / step + 1;
    }
};

struct Ctc {
    std::vector<std::string> vocabulary;
    std::int64_t blank = 0;
    std::string word_delimiter;
    std::string replace_word_delimiter_char;
    std::vector<std::string> special_tokens;
    bool do_lower_case = false;
    bool clean_up_tokenization_spaces = false;
    bool phonemes = false;
};

struct Labels {
    std::vector<std::string> names;
    std::string problem_type;
};

struct Graph {
    std::string precision;
    std::vector<std::string> files;  // the graph, then its weights
    std::optional<std::string> provider;
};

struct FileEntry {
    std::string sha256;
    std::int64_t size = 0;

    bool operator==(const FileEntry& other) const { return sha256 == other.sha256 && size == other.size; }
    bool operator!=(const FileEntry& other) const { return !(*this == other); }
};

struct Profile {
    std::vector<double> seconds;
    std::vector<std::int64_t> batch;
    Named<std::vector<std::vector<std::int64_t>>> shapes;
};

struct Engine {
    std::string file;
    FileEntry entry;
    std::string backend;
    std::string version;
    std::vector<std::string> targets;
    std::optional<std::string> gpu;
    std::string precision;
    Named<std::string> graph;  // sha256 of each file that it was compiled from
    std::vector<Profile> profiles;
    std::optional<FileEntry> ep_context;

    // The ONNX file that wraps the plan for ONNX Runtime, beside it.
    std::string wrap() const;
    Named<FileEntry> files() const;
};

// Of the verdict on a precision, what a reader holds to.
struct Verdict {
    bool passed = false;     // and every case finite
    bool synthetic = false;  // a case is not a recording
};

struct Manifest {
    std::string name, family, head, position;
    features::Padding padding = features::Padding::invariant;
    std::vector<Tensor> inputs, outputs;
    features::Recipe features;
    Named<Frames> frames;
    std::int64_t shortest = 1;
    std::vector<Graph> graphs;
    Named<Verdict> verification;
    Named<FileEntry> files;
    std::optional<Ctc> ctc;
    std::optional<Labels> labels;
    std::vector<Engine> engines;

    // Reads manifest.json of a bundle. Throws Error (bundle) where it is missing, damaged, wrong or too new.
    static Manifest read(const std::string& bundle);

    // Reads the text of one. path and bundle: what to call them. Throws as `read` does.
    static Manifest parse(std::string_view text, const std::string& path, const std::string& bundle);

    // Seconds from one frame of the first output to the next.
    double frame_seconds() const;
};

// What is wrong with a manifest whose fields are all of the right type: that its parts do not belong
// together.
std::optional<std::string> contradiction(const Manifest& manifest);

}  // namespace w2vc::bundle
